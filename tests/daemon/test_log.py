"""The log: JSON lines on disk, a readable form on the terminal, and no record that breaks either."""

import contextlib
import enum
import io
import json
import logging
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.config.secret import Secret
from openclawd.daemon.log import as_document, as_line, configure_logging
from openclawd.daemon.log_file import LogFile
from openclawd.daemon.log_text import printable, render, render_line

LOGGER = logging.getLogger("openclawd.test")


@pytest.fixture(autouse=True)
def _levels_as_they_were() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("openclawd")
    before = root.level, ours.level
    yield
    root.setLevel(before[0])
    ours.setLevel(before[1])


def record(message: str = "admitted", fields: object = None, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("openclawd.net", logging.INFO, "f.py", 1, message, more.pop("args", ()), None)
    made.created = 1_795_000_000.5
    if fields is not None:
        made.__dict__["fields"] = fields
    return made


@contextlib.contextmanager
def logged(log_dir: Path, *, stream: io.StringIO, **settings: Any) -> Iterator[Path]:
    """Logging set up for a while; gives the file."""
    log = configure_logging(log_dir, stream=stream, **{"verbose": False, **settings})
    try:
        yield log.path
    finally:
        log.close()


def log_a_failure() -> None:
    try:
        int("no number")
    except ValueError:
        LOGGER.exception("tick failed")


def written(log_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (log_dir / "openclawd.log").read_text().splitlines()]


# --- the file


def test_a_record_is_one_json_line_with_its_fields(tmp_path: Path) -> None:
    with logged(tmp_path / "logs", stream=io.StringIO()) as file:
        LOGGER.info("admitted", extra={"fields": {"conn": "7f3a", "scopes": ["operator.read"]}})
    (line,) = written(file.parent)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "name": "openclawd.test",
        "message": "admitted",
        "conn": "7f3a",
        "scopes": ["operator.read"],
    }


def test_file_and_folder_are_the_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o755)
    (folder / "openclawd.log").touch(mode=0o644)
    with logged(folder, stream=io.StringIO()):
        LOGGER.info("x")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "openclawd.log").stat().st_mode) == 0o600


def test_a_secret_shows_as_stars_wherever_it_hides(tmp_path: Path) -> None:
    terminal = io.StringIO()
    with logged(tmp_path, verbose=True, stream=terminal) as file:
        LOGGER.info(
            "x %s",
            Secret("hunter2"),
            extra={"fields": {"a": Secret("hunter2"), "b": [{"c": Secret("hunter2")}]}},
        )
    assert written(tmp_path)[0]["a"] == "***"
    assert written(tmp_path)[0]["b"] == [{"c": "***"}]
    assert "hunter2" not in file.read_text() + terminal.getvalue()


def test_a_field_cannot_take_the_place_of_the_records_own_keys() -> None:
    document = as_document(record(fields={"level": "none", "message": "forged"}))
    assert (document["level"], document["message"]) == ("info", "admitted")
    assert (document["level_"], document["message_"]) == ("none", "forged")


def test_an_exception_is_one_line_with_its_traceback_in_a_field(tmp_path: Path) -> None:
    terminal = io.StringIO()
    with logged(tmp_path, stream=terminal):
        log_a_failure()
    (line,) = written(tmp_path)
    assert line["exception"].startswith("Traceback (most recent call last)")
    assert terminal.getvalue().count("\n") == 1
    assert 'error="ValueError: invalid literal for int()' in terminal.getvalue()


def test_verbose_shows_the_traceback_and_debug_records_on_the_terminal(tmp_path: Path) -> None:
    terminal = io.StringIO()
    with logged(tmp_path, verbose=True, stream=terminal):
        LOGGER.debug("details")
        log_a_failure()
    assert "details" in terminal.getvalue()
    assert "\n    ValueError: invalid literal for int()" in terminal.getvalue()


def test_the_terminal_can_be_spared_what_is_below_a_level(tmp_path: Path) -> None:
    terminal = io.StringIO()
    with logged(tmp_path, stream=terminal, stream_level=logging.WARNING) as file:
        LOGGER.info("everyday")
        LOGGER.warning("unusual")
    assert "everyday" not in terminal.getvalue()
    assert "unusual" in terminal.getvalue()
    assert "everyday" in file.read_text()


def test_other_libraries_are_heard_from_warnings_up(tmp_path: Path) -> None:
    terminal = io.StringIO()
    with logged(tmp_path, stream=terminal):
        logging.getLogger("httpx").info("GET https://example.org/?key=secret")
        logging.getLogger("httpx").warning("slow")
    assert [line["message"] for line in written(tmp_path)] == ["slow"]
    assert "httpx: slow" in terminal.getvalue()


def test_python_warnings_go_to_the_log(tmp_path: Path) -> None:
    with logged(tmp_path, stream=io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    assert "old thing" in written(tmp_path)[0]["message"]


def test_the_level_is_stocks_word(tmp_path: Path) -> None:
    with logged(tmp_path, level="warn", stream=io.StringIO()):
        LOGGER.info("quiet")
        LOGGER.warning("loud")
    assert [line["level"] for line in written(tmp_path)] == ["warn"]


def test_the_file_rotates_and_keeps_a_bounded_number(tmp_path: Path) -> None:
    file = LogFile(tmp_path, as_line, max_bytes=300, files=3)
    for number in range(20):
        file.handle(record(f"{number:>100}"))
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "openclawd.log",
        "openclawd.log.1",
        "openclawd.log.2",
    ]
    assert all(path.stat().st_size <= 300 for path in tmp_path.iterdir())
    newest = json.loads((tmp_path / "openclawd.log").read_text().splitlines()[-1])
    assert newest["message"].strip() == "19"


def test_a_disk_that_refuses_is_said_once_and_raises_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    file = LogFile(tmp_path / "logs", as_line)
    file.handle(record())
    file.handle(record())
    assert capsys.readouterr().err.count("The log file cannot be written") == 1
    (tmp_path / "logs").unlink()
    file.handle(record("back"))
    file.close()
    assert written(tmp_path / "logs")[0]["message"] == "back"


# --- no value is too odd


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Colour(enum.StrEnum):
    RED = "red"


CYCLE: dict[str, object] = {}
CYCLE["self"] = CYCLE


@pytest.mark.parametrize(
    "value",
    [
        Hostile(),
        CYCLE,
        2**200,
        float("nan"),
        b"bytes",
        {1: 2},
        {None},
        "\ud800",
        Path("/x"),
        Colour.RED,
        object,
    ],
)
def test_an_odd_value_still_makes_a_line(value: object) -> None:
    assert isinstance(json.loads(as_line(record(fields={"odd": value}))), dict)


def test_what_a_terminal_would_obey_is_escaped_in_the_file_and_still_means_the_same() -> None:
    odd = "\x1b[2J \x9b31m \x85 \u2028 \u202e \u2066 é 日本"
    line = as_line(record(fields={"odd": odd}))
    assert line.decode().removesuffix("\n").isprintable()
    assert json.loads(line)["odd"] == odd


def test_arguments_that_do_not_fit_still_make_a_line() -> None:
    assert as_document(record("%d things", args=("no number",)))["message"] == "%d things"


_texts = st.text(max_size=8)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@given(st.text(), st.dictionaries(_texts, _values, max_size=3))
def test_whatever_is_logged_is_one_json_line_and_one_printable_line(
    message: str, fields: dict[str, object]
) -> None:
    line = as_line(record("%s", fields, args=(message,)))
    assert line.count(b"\n") == 1
    assert isinstance(json.loads(line), dict)
    assert render_line(line, colour=False).isprintable()


@given(st.binary())
def test_whatever_stands_in_a_log_file_can_be_shown(line: bytes) -> None:
    assert render_line(line, colour=False).isprintable()


# --- the readable form


def rendered(fields: dict[str, object] | None = None, **more: Any) -> str:
    return render(as_document(record(fields=fields)), colour=False, **more)


def test_a_line_is_time_level_message_and_fields() -> None:
    line = rendered({"conn": "7f3a", "client": "cli", "ms": 12})
    assert line[8:] == "  info   admitted              conn=7f3a  client=cli  ms=12"
    assert line[2] == line[5] == ":"


def test_a_line_may_have_its_day() -> None:
    assert rendered(dated=True)[4] == "-"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://localhost:8888", "http://localhost:8888"),
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("new\nline", '"new\\nline"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("a\u202eb", '"a\\u202eb"'),
        ("Zoë", "Zoë"),
        (None, "null"),
        (True, "true"),
        ([1, "a b"], '[1,"a b"]'),
    ],
)
def test_a_value_is_bare_where_that_is_unambiguous(value: object, shown: str) -> None:
    assert rendered({"v": value}).endswith(f"  v={shown}")


def test_colour_changes_nothing_but_colour() -> None:
    document = as_document(record(fields={"conn": "7f3a"}))
    coloured = render(document, colour=True)
    for code in ("\x1b[2m", "\x1b[0m", "\x1b[33m", "\x1b[31m"):
        coloured = coloured.replace(code, "")
    assert coloured == render(document, colour=False)


def test_a_stream_that_is_no_terminal_gets_no_colours(tmp_path: Path) -> None:
    terminal = io.StringIO()
    with logged(tmp_path, stream=terminal):
        LOGGER.warning("x")
    assert "\x1b" not in terminal.getvalue()


def test_json_lines_can_go_to_the_terminal_too(tmp_path: Path) -> None:
    terminal = io.StringIO()
    with logged(tmp_path, stream=terminal, json_lines=True):
        LOGGER.warning("x")
    assert terminal.getvalue() == (tmp_path / "openclawd.log").read_text()


def test_a_terminal_that_is_closed_costs_nothing(tmp_path: Path) -> None:
    terminal = io.StringIO()
    with logged(tmp_path, stream=terminal):
        terminal.close()
        LOGGER.warning("x")
    assert len(written(tmp_path)) == 1


def test_what_prints_stays_as_it_is() -> None:
    assert printable("Grüße, 世界") == "Grüße, 世界"
