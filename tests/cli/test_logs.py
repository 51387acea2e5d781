"""`logs`: the end of the log, over rotations, readable or as it is."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest

from openclawd.cli.logs import follow
from tests.cli.conftest import Shell

WriteLog = Callable[..., Path]


def line(message: str) -> str:
    return json.dumps(
        {
            "time": "2026-11-22T12:00:00.000+00:00",
            "level": "info",
            "name": "openclawd.net",
            "message": message,
        }
    )


def test_the_last_lines_are_shown_readable(shell: Shell, write_log: WriteLog) -> None:
    write_log(line("one"), line("two"), line("three"))
    ran = shell("logs", "-n", "2")
    assert ran.code == 0
    assert [shown.split()[2:] for shown in ran.out.splitlines()] == [["info", "two"], ["info", "three"]]
    assert ran.out.startswith("2026-11-22 ")


def test_as_json_the_lines_are_as_they_are(shell: Shell, write_log: WriteLog) -> None:
    write_log(line("one"), "not json at all")
    assert shell("logs", "--json").out == f"{line('one')}\nnot json at all\n"


def test_rotated_files_are_read_too(shell: Shell, write_log: WriteLog) -> None:
    write_log("c")
    write_log("b", number=1)
    write_log("a", number=2)
    assert shell("logs").out == "a\nb\nc\n"


def test_a_long_log_is_read_from_its_end(shell: Shell, write_log: WriteLog) -> None:
    write_log(*(f"{number:>999}" for number in range(1000)))
    assert [int(shown) for shown in shell("logs", "-n", "200").out.splitlines()] == [*range(800, 1000)]


def test_a_line_that_is_being_written_is_left_for_later(shell: Shell, write_log: WriteLog) -> None:
    log = write_log("whole")
    with log.open("a") as file:
        file.write("ha")
    assert shell("logs").out == "whole\n"


@pytest.fixture
def followed(write_log: WriteLog) -> Iterator[tuple[Path, "Queue[bytes]"]]:
    """The log, and the lines that following it gives."""
    log = write_log("before")
    lines: Queue[bytes] = Queue()

    def read() -> None:
        for found in follow(log, 10):
            lines.put(found)
            if found == b"stop":
                return

    reader = threading.Thread(target=read)
    reader.start()
    yield log, lines
    with log.open("a") as file:
        file.write("stop\n")
    reader.join(10)
    assert not reader.is_alive()


def test_following_shows_the_last_lines_and_then_what_is_added(
    followed: tuple[Path, "Queue[bytes]"],
) -> None:
    log, lines = followed
    assert lines.get(timeout=10) == b"before"
    with log.open("a") as file:
        file.write("added ")
        file.flush()
        file.write("in two\n")
    assert lines.get(timeout=10) == b"added in two"


def test_following_goes_on_over_a_rotation_and_loses_nothing(followed: tuple[Path, "Queue[bytes]"]) -> None:
    log, lines = followed
    assert lines.get(timeout=10) == b"before"
    with log.open("a") as file:
        log.rename(log.with_name("openclawd.log.1"))
        file.write("last of the old\n")
    log.write_text("first of the new\n")
    assert lines.get(timeout=10) == b"last of the old"
    assert lines.get(timeout=10) == b"first of the new"
