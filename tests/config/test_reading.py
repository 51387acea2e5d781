"""From bytes to one JSON object, or to the line where it goes wrong."""

import subprocess
import sys

import pytest

from openclawd.config.reading import NotReadable, decode_text, parse

JSON5 = """\ufeff// a comment
{
  unquoted: 'single', /* and */ hex: 0x10,
  "list": [1, 2, .5,], nothing: null,
}
"""


def test_json5_is_read_with_a_byte_order_mark_or_without() -> None:
    expected = {"unquoted": "single", "hex": 16, "list": [1, 2, 0.5], "nothing": None}
    assert parse(JSON5) == parse(JSON5.removeprefix("\ufeff")) == expected


@pytest.mark.parametrize("text", ["", " \n", "// nothing yet\n", "/* a *//* b */", "\ufeff"])
def test_a_text_without_a_value_is_an_empty_object(text: str) -> None:
    assert parse(text) == {}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', 3, "'\"' is out of place; is a comma missing before it? (column 3)"),
        ("{\n  a: 'x\n}", 2, "the string that begins here has no proper end (column 6)"),
        ("{ a: {\n b: 1\n", 1, "the object that begins here has no proper end (column 6)"),
        ("{a: 1}\n\n}", 3, "'}' is out of place (column 1)"),
        ("{a: 1,, b: 2}", 1, "',' is out of place (column 7)"),
        ("{a: 1} // x\r\n/* y", 2, "the comment that begins here has no proper end (column 2)"),
        ("[1]", 1, "the file must hold one object: { ... }"),
        ('"x"', 1, "the file must hold one object: { ... }"),
    ],
)
def test_a_broken_text_names_the_line_and_the_column(text: str, line: int, said: str) -> None:
    with pytest.raises(NotReadable) as caught:
        parse(text)
    assert caught.value.line == line
    assert said in str(caught.value)


@pytest.mark.parametrize("depth", [70, 500, 5000])
@pytest.mark.parametrize("head", ['{"a":', "{a:"])
def test_deep_nesting_is_refused(depth: int, head: str) -> None:
    with pytest.raises(NotReadable):
        parse(head + "[" * depth + "]" * depth + "}")


def test_integers_beyond_64_bits_become_floats_as_in_stock() -> None:
    assert parse("{a: 123456789012345678901234567890, 'b': -1}") == {"a": 1.2345678901234568e29, "b": -1}


def test_bytes_that_are_not_utf8_name_their_line() -> None:
    with pytest.raises(NotReadable, match="not UTF-8: byte 0xff") as caught:
        decode_text(b'{\n "a": "\xff"}')
    assert caught.value.line == 2


def test_a_row_of_comments_before_an_error_costs_no_time() -> None:
    with pytest.raises(NotReadable):
        parse("/**/" * 5000 + "x")


def test_plain_json_loads_no_json5_library() -> None:
    script = (
        "import sys; from openclawd.config.load import load_text;"
        "from openclawd.config.paths import resolve_paths;"
        "paths = resolve_paths({'OPENCLAW_STATE_DIR': '/nowhere'});"
        """load_text(paths, '{"gateway": {"port": 18789}}', {});"""
        "print(*sys.modules.keys() & {'pyjson5', 'difflib', 'openclawd.config.syntax'})"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
