"""Edits leave everything else as it was; the disk has the old file or the new one."""

import stat
import subprocess
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.config.atomic import write_atomic
from openclawd.config.edit import EditError, ensure_token, set_value, unset_value
from openclawd.config.load import ConfigError, load_config
from openclawd.config.paths import Paths
from openclawd.config.reading import parse
from openclawd.config.syntax import scan

TOKEN = ["gateway", "auth", "token"]

# --- setting


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # nothing there yet
        ("", '{\n  "gateway": {\n    "auth": {\n      "token": "T"\n    }\n  }\n}\n'),
        ("// mine", '// mine\n{\n  "gateway": {\n    "auth": {\n      "token": "T"\n    }\n  }\n}\n'),
        ("{}\n", '{\n  "gateway": {\n    "auth": {\n      "token": "T"\n    }\n  }\n}\n'),
        # a value in its place
        ("{gateway: {auth: {token: 'old'}}} // c", '{gateway: {auth: {token: "T"}}} // c'),
        ("{gateway: {auth: {token: 1, token: 2}}}", '{gateway: {auth: {token: 1, token: "T"}}}'),
        # a line of its own, as its neighbours have
        (
            "{\n  gateway: {\n    auth: {\n      mode: 'none', // c\n    },\n  },\n}\n",
            "{\n  gateway: {\n    auth: {\n      mode: 'none', // c\n      token: \"T\",\n    },\n  },\n}\n",
        ),
        (
            '{"gateway": {\n\t"auth": {\n\t\t"mode": "none" // c\n\t}\n}}\n',
            '{"gateway": {\n\t"auth": {\n\t\t"mode": "none", // c\n\t\t"token": "T"\n\t}\n}}\n',
        ),
        (
            '{\r\n  "gateway": {\r\n    "auth": {}\r\n  }\r\n}\r\n',
            '{\r\n  "gateway": {\r\n    "auth": {\r\n      "token": "T"\r\n    }\r\n  }\r\n}\r\n',
        ),
        # beside its neighbours, as they are
        (
            '{"gateway": {"auth": {"mode": "token"}}}',
            '{"gateway": {"auth": {"mode": "token", "token": "T"}}}',
        ),
        ("{gateway: {auth: {mode: 'none',}}}", "{gateway: {auth: {mode: 'none', token: \"T\",}}}"),
        ("{gateway: {auth: {/* empty */}}}", '{gateway: {auth: {/* empty */ token: "T"}}}'),
        ("{gateway: {auth: {a: 1 // c\n}}}", '{gateway: {auth: {a: 1, // c\ntoken: "T"\n}}}'),
        # parents that are not there
        ("{gateway: {port: 1}}", '{gateway: {port: 1, auth: {"token": "T"}}}'),
        (
            "{\n  ui: {},\n  // the end\n}\n",
            '{\n  ui: {},\n  gateway: {\n    "auth": {\n      "token": "T"\n    }\n  },\n  // the end\n}\n',
        ),
    ],
)
def test_a_value_is_set_in_the_style_that_is_there(before: str, after: str) -> None:
    assert set_value(before, TOKEN, "T") == after


def test_the_same_value_changes_nothing() -> None:
    text = "{gateway: {port: 0x4965}} // hexadecimal"
    assert set_value(text, ["gateway", "port"], 18789) == text


def test_items_are_set_and_added_by_their_index() -> None:
    text = "{list: [{id: 'a'}, /* b */ {id: 'b'}]}"
    assert set_value(text, ["list", "1", "id"], "c") == "{list: [{id: 'a'}, /* b */ {id: \"c\"}]}"
    assert set_value("{list: [1]}", ["list", "1"], 2) == "{list: [1, 2]}"
    with pytest.raises(EditError, match="list has no place for 5"):
        set_value("{list: [1]}", ["list", "5"], 2)


@pytest.mark.parametrize("text", ["{gateway: 5}", "{gateway: null}", "{gateway: 'x'}"])
def test_a_parent_that_is_no_object_is_not_overwritten(text: str) -> None:
    with pytest.raises(EditError, match="gateway has no place for auth"):
        set_value(text, TOKEN, "T")


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1: "x"}, {"x"}, 2**70])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(EditError):
        set_value("{}", ["a"], value)


def test_a_broken_file_is_not_edited() -> None:
    with pytest.raises(EditError, match="line 2"):
        set_value("{\n a: }", ["b"], 1)


def test_a_path_is_needed() -> None:
    with pytest.raises(EditError, match="a path is needed"):
        set_value("{}", [], 1)
    with pytest.raises(EditError, match="a path is needed"):
        unset_value("{}", [])


# --- unsetting


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("{a: 1, b: 2}", "b", "{a: 1}"),
        ("{ a: 1, b: 2 }", "a", "{ b: 2 }"),
        ("{a: 1, b: 2,}", "b", "{a: 1,}"),
        ("{a: 1}", "a", "{}"),
        ('{\n  "a": 1,\n  "b": 2\n}\n', "b", '{\n  "a": 1\n}\n'),
        ('{\n  "a": 1,\n  "b": 2\n}\n', "a", '{\n  "b": 2\n}\n'),
        ("{\n  a: 1, // one\n  b: 2, // two\n}\n", "a", "{\n  // one\n  b: 2, // two\n}\n"),
        ("{\n  a: 1, // one\n  b: 2 // two\n}\n", "b", "{\n  a: 1 // one\n  // two\n}\n"),
        ("{a: {b: {c: 1}}, d: 2}", "a.b", "{a: {}, d: 2}"),
        ("{a: 1, b: 2, a: 3}", "a", "{b: 2}"),
        ("{l: [1, 2, 3]}", "l.1", "{l: [1, 3]}"),
        ("{a: 1}", "b.c", "{a: 1}"),
        ("", "a", ""),
    ],
)
def test_a_value_is_unset_with_its_comma_and_its_line(before: str, path: str, after: str) -> None:
    assert unset_value(before, path.split(".")) == after


# --- any document

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=6)
KEYS = st.sampled_from(["a", "b", "$c", "d-e", "0", "é", "", "a b"]) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
TRIVIA = st.sampled_from(
    ["", "", " ", "\n", "\n  ", "\r\n\t", " // c1\n", "/* c2 */", " /* c3\n { , */ ", "\ufeff", "\u2028"]
)


@st.composite
def json5_texts(draw: st.DrawFn) -> str:
    """A document written down with comments, blanks, quotes and commas as people (and worse) write them."""

    def written(value: object) -> str:
        def gap() -> str:
            return draw(TRIVIA)

        def comma(last: bool) -> str:
            return "," if not last or draw(st.booleans()) else ""

        if isinstance(value, dict):
            items = list(value.items())
            last = len(items) - 1
            inside = [
                f"{gap()}{name(key)}{gap()}:{gap()}{written(item)}{gap()}{comma(index == last)}{gap()}"
                for index, (key, item) in enumerate(items)
            ]
            return "{" + gap() + "".join(inside) + "}"
        if isinstance(value, list):
            inside = [
                f"{gap()}{written(item)}{gap()}{comma(index == len(value) - 1)}{gap()}"
                for index, item in enumerate(value)
            ]
            return "[" + gap() + "".join(inside) + "]"
        return text(value) if isinstance(value, str) else orjson.dumps(value).decode()

    def text(value: str) -> str:
        quoted = orjson.dumps(value).decode()
        if draw(st.booleans()):
            return quoted
        return "'" + quoted[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"

    def name(key: str) -> str:
        plain = key.isascii() and key.isidentifier()
        return key if plain and draw(st.booleans()) else text(key)

    document = draw(st.dictionaries(KEYS, VALUES, max_size=4))
    return draw(TRIVIA) + written(document) + draw(TRIVIA)


def comments(text: str) -> list[str]:
    return [text[start:end] for start, end in scan(text).comments]


@given(json5_texts(), st.lists(KEYS, min_size=1, max_size=3), VALUES)
def test_setting_says_what_was_meant_and_loses_no_comment(text: str, path: list[str], value: object) -> None:
    before = parse(text)
    if not has_place(before, path):
        with pytest.raises(EditError, match="has no place for"):
            set_value(text, path, value)
        return
    result = set_value(text, path, value)
    assert at(parse(result), path) == value
    assert others(parse(result), path[0]) == others(before, path[0])
    if is_new(before, path):
        assert comments(result) == comments(text)


@given(json5_texts(), st.lists(KEYS, min_size=1, max_size=3))
def test_unsetting_says_what_was_meant(text: str, path: list[str]) -> None:
    before = parse(text)
    result = unset_value(text, path)
    if is_new(before, path):
        assert result == text
    else:
        assert is_new(parse(result), path) or not is_mapping_path(before, path)
    assert others(parse(result), path[0]) == others(before, path[0])


@given(json5_texts())
def test_the_scanner_sees_what_the_parser_sees(text: str) -> None:
    root = scan(text).root
    assert root is not None
    assert [child.key for child in root.children or ()] == list(parse(text))
    for child in root.children or ():
        value = text[child.value.start : child.value.end]
        assert parse("{x:" + value + "}")["x"] == parse(text)[child.key or ""]


def at(value: object, path: list[str]) -> object:
    for step in path:
        if isinstance(value, list):
            value = value[int(step)]
        elif isinstance(value, dict):
            value = value[step]
    return value


def is_new(value: object, path: list[str]) -> bool:
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return True
    return False


def has_place(value: object, path: list[str]) -> bool:
    for step in path:
        if isinstance(value, list):
            if not step.isdecimal() or int(step) > len(value):
                return False
            if int(step) == len(value):
                return True
            value = value[int(step)]
        elif not isinstance(value, dict):
            return False
        elif step not in value:
            return True
        else:
            value = value[step]
    return True


def is_mapping_path(value: object, path: list[str]) -> bool:
    return isinstance(at(value, path[:-1]), dict)


def others(document: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in document.items() if name != key}


# --- the disk


def paths_in(folder: Path) -> Paths:
    return Paths(state_dir=folder, config_file=folder / "openclaw.json")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_for_its_owner_only_and_the_old_one_kept(tmp_path: Path) -> None:
    path = tmp_path / "openclaw.json"
    path.write_text("{a: 1}")
    path.chmod(0o644)
    stock = tmp_path / "openclaw.json.bak"
    stock.write_text("stock's own")
    kept = paths_in(tmp_path).config_backup
    write_atomic(path, "{a: 2}", backup=kept)
    assert path.read_text() == "{a: 2}"
    assert kept.read_text() == "{a: 1}"
    assert (mode(path), mode(kept), mode(kept.parent)) == (0o600, 0o600, 0o700)
    assert stock.read_text() == "stock's own"
    assert {entry.name for entry in tmp_path.iterdir()} == {path.name, stock.name, "openclawd"}


def test_writing_what_is_there_already_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "openclaw.json"
    path.write_text("{}")
    before = path.stat().st_ino
    write_atomic(path, "{}", backup=tmp_path / "bak")
    assert path.stat().st_ino == before
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made_for_the_owner_only(tmp_path: Path) -> None:
    write_atomic(tmp_path / "state" / "openclaw.json", "{}", backup=tmp_path / "bak")
    assert mode(tmp_path / "state") == 0o700


def test_line_ends_and_the_byte_order_mark_reach_the_disk_as_they_are(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x.json", "\ufeff{}\r\n", backup=tmp_path / "bak")
    assert (tmp_path / "x.json").read_bytes() == b"\xef\xbb\xbf{}\r\n"


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target, link = tmp_path / "dotfiles" / "oc.json", tmp_path / "openclaw.json"
    target.write_text("{}")
    link.symlink_to(target)
    write_atomic(link, "{a: 1}", backup=tmp_path / "bak")
    assert link.is_symlink()
    assert target.read_text() == "{a: 1}"
    assert (tmp_path / "bak").read_text() == "{}"


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "openclaw.json"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(path, "{}", backup=tmp_path / "bak")
    assert list(tmp_path.iterdir()) == [path]


# --- the token


def test_a_missing_token_is_made_and_saved_beside_what_is_there(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    paths.config_file.write_text("// mine\n{\n  gateway: {\n    port: 5, // five\n  },\n}\n")
    loaded = ensure_token(load_config(paths, {}))
    token = loaded.config.gateway.auth.token
    assert token is not None
    assert len(token.reveal()) == 48
    assert int(token.reveal(), 16) > 0
    assert paths.config_file.read_text() == (
        "// mine\n{\n  gateway: {\n    port: 5, // five\n    auth: {\n"
        f'      "token": "{token.reveal()}"\n    }},\n  }},\n}}\n'
    )
    assert mode(paths.config_file) == 0o600
    assert loaded.hash == load_config(paths, {}).hash


def test_without_a_file_one_is_made(tmp_path: Path) -> None:
    loaded = ensure_token(load_config(paths_in(tmp_path / "state"), {}))
    assert loaded.exists
    assert loaded.config.gateway.auth.token


def test_a_token_that_is_there_stays(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    text = "{gateway: {auth: {token: '${T}'}}}"
    paths.config_file.write_text(text)
    loaded = ensure_token(load_config(paths, {"T": "mine"}))
    assert loaded.config.gateway.auth.token is not None
    assert loaded.config.gateway.auth.token.reveal() == "mine"
    assert paths.config_file.read_text() == text


def test_a_token_that_came_in_the_meantime_is_taken(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    stale = load_config(paths, {})
    first = ensure_token(stale).config.gateway.auth.token
    assert ensure_token(stale).config.gateway.auth.token == first


def test_a_token_that_cannot_be_saved_says_what_helps_instead(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    # Nobody, root included, can make a file there.
    paths.config_file.symlink_to("/proc/self/openclaw.json")
    with pytest.raises(ConfigError, match="OPENCLAW_GATEWAY_TOKEN"):
        ensure_token(load_config(paths, {}))


def test_what_a_writer_that_died_left_is_cleared_away_and_a_living_ones_is_not(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as living:
        dead = subprocess.Popen(["true"])
        dead.wait()
        left, under_way = (tmp_path / f".x.json.{process.pid}-00ff.tmp" for process in (dead, living))
        left.write_text("secret")
        under_way.write_text("new")
        write_atomic(tmp_path / "x.json", "{}", backup=tmp_path / "bak")
        living.kill()
    assert not left.exists()
    assert under_way.exists()
