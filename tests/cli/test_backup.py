"""`openclawd backup`: each has a name of its own."""

import sqlite3
from contextlib import closing

from openclawd.store.backup_files import backups_in
from tests.cli.conftest import Shell


def test_backups_made_within_a_second_are_all_kept(shell: Shell) -> None:
    own = shell.write_config("{}").parent / "openclawd"
    own.mkdir(exist_ok=True)
    with closing(sqlite3.connect(own / "openclawd.sqlite3")) as database:
        database.execute("CREATE TABLE facts (name)")
    made = [shell("backup", "--json").json["file"] for _ in range(3)]
    assert [str(each.path) for each in backups_in(own / "backups")] == made[::-1]
