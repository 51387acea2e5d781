"""The end of the log, and what came since."""

from pathlib import Path
from typing import Any

import pytest

from openclawd.methods.logs import LogsTailParams, tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "openclawd.log"
    file.write_text("".join(f"line {number}\n" for number in range(10)))
    return file


def after(log: Path, answer: dict[str, Any], **more: int) -> dict[str, Any]:
    return tail(log, LogsTailParams(cursor=answer["cursor"], **more))


def test_the_first_call_gives_the_last_lines(log: Path) -> None:
    answer = tail(log, LogsTailParams(limit=2))

    assert (answer["lines"], answer["truncated"], answer["reset"]) == (["line 8", "line 9"], True, False)


def test_the_next_call_gives_what_came_since(log: Path) -> None:
    first = tail(log, LogsTailParams())
    with log.open("a") as more:
        more.write("line 10\nline 11\n")

    assert after(log, first)["lines"] == ["line 10", "line 11"]


def test_a_line_that_is_still_being_written_comes_whole_the_next_time(log: Path) -> None:
    with log.open("a") as more:
        more.write("half a l")
    first = tail(log, LogsTailParams())
    with log.open("a") as more:
        more.write("ine\n")

    assert first["lines"][-1] == "line 9"
    assert after(log, first)["lines"] == ["half a line"]


def test_a_log_that_was_rotated_is_read_from_its_start_and_says_so(log: Path) -> None:
    first = tail(log, LogsTailParams())
    log.write_text("another log\n" * 20)
    answer = after(log, first)

    assert (answer["reset"], answer["lines"]) == (True, ["another log"] * 20)


def test_a_cursor_beyond_the_end_starts_again(log: Path) -> None:
    answer = tail(log, LogsTailParams(cursor=10**9))

    assert (answer["reset"], len(answer["lines"])) == (True, 10)


def test_too_many_bytes_are_cut_at_the_start_and_never_inside_a_line(log: Path) -> None:
    answer = tail(log, LogsTailParams(max_bytes=10))

    assert (answer["lines"], answer["truncated"]) == (["line 9"], True)


def test_no_log_yet_is_an_empty_log(tmp_path: Path) -> None:
    answer = tail(tmp_path / "none.log", LogsTailParams())

    assert (answer["lines"], answer["cursor"], answer["size"]) == ([], 0, 0)
