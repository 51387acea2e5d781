"""`logs`: the end of the log, over rotations, readable or as it is."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest

from openclawd.cli.journal_read import line_of
from openclawd.cli.log_file_read import FollowedFile
from openclawd.cli.logs import follow, merged
from openclawd.daemon.log_text import render
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
        for added in follow([FollowedFile(log, 10)]):
            for found in added:
                lines.put(found)
            if added[-1] == b"stop":
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


def logged(second: int, message: str) -> bytes:
    return json.dumps({"time": f"2026-11-22T12:00:{second:02}.000+00:00", "message": message}).encode()


def test_what_the_journal_has_beside_the_log_stands_where_it_happened() -> None:
    log = [logged(1, "a"), b"belongs to a", logged(5, "d")]
    journal = [logged(2, "b"), logged(3, "c"), logged(6, "e")]
    assert merged([log, journal]) == [*log[:2], *journal[:2], log[2], journal[2]]


def test_a_clock_that_was_set_back_does_not_turn_a_log_round() -> None:
    log = [logged(30, "a"), logged(2, "b"), logged(31, "c")]
    assert merged([log, []]) == log


def entry(message: object, **fields: str) -> dict[str, object]:
    return {"__REALTIME_TIMESTAMP": "1795402470123456", "MESSAGE": message, **fields}


def test_a_line_of_the_manager_is_one_of_the_log_with_its_name_and_level() -> None:
    line = line_of(entry("Failed.", USER_UNIT="openclawd.service", SYSLOG_IDENTIFIER="systemd", PRIORITY="4"))
    assert line is not None
    assert json.loads(line) == {
        "time": "2026-11-23T02:54:30.123+00:00",
        "level": "warn",
        "name": "systemd",
        "message": "Failed.",
    }


def test_what_a_gateway_said_before_it_had_a_log_is_its_own_line() -> None:
    line = line_of(entry("gateway.port is 0", SYSLOG_IDENTIFIER="openclawd", PRIORITY="6"))
    assert line is not None
    assert (json.loads(line)["name"], json.loads(line)["level"]) == ("openclawd", "info")


@pytest.mark.parametrize("message", ["12:00:00  info   ready", '{"time":"2026-11-22T12:00:00"}', "  ", None])
def test_what_the_log_has_itself_is_not_shown_twice(message: object) -> None:
    assert line_of(entry(message)) is None


def test_the_readable_form_of_a_line_is_known_as_one_that_the_log_has() -> None:
    rendered = render(json.loads(logged(1, "ready")) | {"level": "warn"}, colour=False)
    assert line_of(entry(rendered)) is None


def test_a_log_that_comes_later_is_followed_from_its_first_line(tmp_path: Path) -> None:
    log = tmp_path / "openclawd.log"
    followed = FollowedFile(log, 1)
    assert followed.poll() == []
    log.write_text("one\ntwo\n")
    assert followed.poll() == [b"one", b"two"]
    followed.close()


def test_a_log_that_is_removed_and_comes_again_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "openclawd.log"
    log.write_text("one\n")
    followed = FollowedFile(log, 10)
    assert followed.poll() == [b"one"]
    log.unlink()
    assert followed.poll() == []
    log.write_text("two\n")
    assert followed.poll() == [b"two"]
    followed.close()
