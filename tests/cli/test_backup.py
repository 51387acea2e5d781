"""`openclawd backup`: each has a name of its own, and lies where it was asked for."""

import sqlite3
from contextlib import closing
from pathlib import Path

from openclawd.store.backup_files import backups_in
from tests.cli.conftest import Shell


def with_database(shell: Shell) -> Path:
    """The folder of its own state."""
    own = shell.write_config("{}").parent / "openclawd"
    own.mkdir(exist_ok=True)
    with closing(sqlite3.connect(own / "openclawd.sqlite3")) as database:
        database.execute("CREATE TABLE facts (name)")
    return own


def test_backups_made_within_a_second_are_all_kept(shell: Shell) -> None:
    own = with_database(shell)
    made = [shell("backup", "--json").json["file"] for _ in range(3)]
    assert [str(each.path) for each in backups_in(own / "backups")] == made[::-1]


def test_a_folder_that_is_not_there_is_not_made(shell: Shell, tmp_path: Path) -> None:
    with_database(shell)
    ended = shell("backup", "--to", str(tmp_path / "typo" / "backup.tar"))
    assert ended.code == 1
    assert ended.err.splitlines() == [
        f"--to {tmp_path}/typo/backup.tar: there is no folder {tmp_path}/typo.",
        f"mkdir -p {tmp_path}/typo",
    ]
    assert not (tmp_path / "typo").exists()
