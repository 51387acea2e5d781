"""`gateway check`: could a gateway start here."""

import ast
import io
import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import openclawd
from openclawd.daemon.program import LATE_LIBRARIES
from openclawd.store.schema import MIGRATIONS
from tests.cli.conftest import Ran, Shell

SOURCES = Path(openclawd.__file__).parent


def failed(ran: Ran) -> list[str]:
    """What speaks against a start."""
    return [each["name"] for each in ran.json["findings"] if each["verdict"] == "failed"]


@pytest.fixture
def database(shell: Shell) -> Path:
    """A state database as this version makes it."""
    shell.state_dir.chmod(0o700)
    (shell.state_dir / "openclawd").mkdir(mode=0o700)
    file = shell.state_dir / "openclawd" / "openclawd.sqlite3"
    with closing(sqlite3.connect(file)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        for statement in (each for step in MIGRATIONS[:1] for each in step.statements):
            made.execute(statement)
        made.execute("PRAGMA user_version = 1")
        made.commit()
    return file


def test_where_nothing_is_yet_a_gateway_could_start_and_still_nothing_is(shell: Shell) -> None:
    ran = shell("gateway", "check", "--json")

    assert (ran.code, ran.json["ok"], ran.json["version"]) == (0, True, openclawd.__version__)
    assert list(shell.state_dir.iterdir()) == []


def test_a_person_reads_what_was_looked_at(shell: Shell) -> None:
    ran = shell("gateway", "check")

    assert ran.out.splitlines()[-1] == "A gateway could start here."
    assert str(shell.state_dir / "openclaw.json") in ran.out


@pytest.mark.parametrize(
    ("config", "words", "code"),
    [
        ('{"gateway": {"port": "high"}}', (), 78),
        ("{", (), 78),
        ("", ("--port", "0"), 2),
        ("", ("--token-file", "/does/not/exist"), 2),
        ("", ("--bind", "lan", "--auth", "none"), 78),
        ('{"gateway": {"bind": "custom", "customBindHost": "192.0.2.1"}}', ("--token", "t"), 78),
        ('{"gateway": {"tls": {"enabled": true, "certPath": "/none.pem", "autoGenerate": false}}}', (), 78),
    ],
)
def test_what_would_end_a_start_is_said_with_its_exit_code(
    shell: Shell, config: str, words: tuple[str, ...], code: int
) -> None:
    shell.write_config(config)

    ran = shell("gateway", *words, "check", "--json")

    assert (ran.code, ran.json["ok"]) == (code, False)
    assert len(failed(ran)) == 1


def test_a_database_with_a_page_that_is_none_is_found_where_no_gateway_uses_it(
    shell: Shell, database: Path
) -> None:
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)

    ran = shell("gateway", "check", "--json")

    assert (ran.code, failed(ran)) == (1, ["database"])


def test_where_one_ran_it_is_said_where_its_end_is_told(shell: Shell) -> None:
    log = shell.state_dir / "openclawd" / "logs" / "openclawd.log"
    log.parent.mkdir(mode=0o700, parents=True)
    log.parents[1].chmod(0o700)
    log.touch()
    assert shell("gateway", "check").out.endswith("openclawd logs -n 50\n")


def test_an_older_database_could_be_converted_and_is_not(shell: Shell, database: Path) -> None:
    before = database.read_bytes()

    assert shell("gateway", "check").code == 0

    assert database.read_bytes() == before


def test_a_database_that_this_version_cannot_convert_forbids_the_start(shell: Shell, database: Path) -> None:
    with closing(sqlite3.connect(database)) as found:
        found.execute("CREATE TABLE facts (something TEXT)")
        found.commit()

    ran = shell("gateway", "check", "--json")

    assert (ran.code, failed(ran)) == (1, ["database"])


def test_a_newer_database_forbids_the_start(shell: Shell, database: Path) -> None:
    with closing(sqlite3.connect(database)) as found:
        found.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        found.commit()

    ran = shell("gateway", "check", "--json")

    assert (ran.code, failed(ran)) == (1, ["database"])
    assert f"has schema {len(MIGRATIONS) + 1}" in ran.out


def test_what_was_committed_and_is_only_in_the_log_counts(shell: Shell, database: Path) -> None:
    """A gateway that runs has most of its database there."""
    with closing(sqlite3.connect(database)) as running:
        running.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        running.commit()
        ran = shell("gateway", "check", "--json")

    assert failed(ran) == ["database"]


def test_a_file_that_is_no_database_forbids_the_start(shell: Shell, database: Path) -> None:
    database.write_bytes(b"this is no database" * 1_000)

    ran = shell("gateway", "check", "--json")

    assert (ran.code, failed(ran)) == (1, ["database"])


def test_a_database_of_another_program_forbids_the_start(shell: Shell, database: Path) -> None:
    database.unlink()
    with closing(sqlite3.connect(database)) as found:
        found.execute("CREATE TABLE recipes (name TEXT)")
        found.commit()

    ran = shell("gateway", "check", "--json")

    assert (ran.code, failed(ran)) == (1, ["database"])


def test_a_folder_that_others_can_look_into_forbids_the_start(shell: Shell, database: Path) -> None:
    database.parent.chmod(0o755)

    ran = shell("gateway", "check")

    assert ran.code == 78
    assert f"chmod 700 {database.parent}" in ran.out


def test_something_in_the_place_of_the_state_directory_forbids_the_start(shell: Shell) -> None:
    (shell.state_dir / "openclawd").write_text("a file")

    ran = shell("gateway", "check", "--json")

    assert (ran.code, failed(ran)) == (78, ["state"])


def test_a_module_that_cannot_be_imported_forbids_the_start(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)

    ran = shell("gateway", "check", "--json")

    assert (ran.code, failed(ran)) == (1, ["program"])
    assert "httpx cannot be imported" in ran.out


def test_a_file_of_ours_that_is_broken_forbids_the_start(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that the check itself would need."""
    monkeypatch.setitem(sys.modules, "openclawd.daemon.door", None)

    ran = shell("gateway", "check", "--json")

    assert (ran.code, failed(ran)) == (1, ["program"])
    assert "openclawd.daemon.door cannot be imported" in ran.out


def test_secrets_come_through_stdin_when_a_gateway_asks(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("gateway", "--auth", "password", "check", "--secrets-from-stdin")
    for given, code in (({"password": "p"}, 0), ({}, 78), ({"later-flag": "x", "password": "p"}, 0)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(given)))
        assert shell(*words).code == code


@pytest.mark.parametrize("text", ["", "{", "[]", '{"token": 1}'])
def test_what_is_no_object_of_secrets_is_a_wrong_command_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    assert shell("gateway", "check", "--secrets-from-stdin").code == 2


def test_every_library_that_is_imported_late_is_tried() -> None:
    """Of ours, every module is imported; of what these import inside functions, this list."""
    tried = {name.split(".")[0] for name in LATE_LIBRARIES}
    needed = {name.split(".")[0] for name in late_imports()}

    assert needed - tried - sys.stdlib_module_names == set()


def late_imports() -> Iterator[str]:
    for file in SOURCES.rglob("*.py"):
        if file.relative_to(SOURCES).parts[0] == "cli":
            continue
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (each.name for each in node.names)
                elif isinstance(node, ast.ImportFrom) and not str(node.module).startswith("openclawd"):
                    yield str(node.module)
