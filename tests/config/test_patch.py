"""A merge patch in the text of the file: what it changes, and what it leaves as it was."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.config.patch import changed_paths, patched, small_change
from openclawd.config.problems import PatchRefused
from openclawd.config.reading import parse

TEXT = """{
  // where it listens
  gateway: { port: 1234, auth: { token: "T" } }, // since June
  agents: {
    list: [
      { id: "main", name: "Ann", skills: ["a", "b"] }, // first
      { id: "two" },
    ],
  },
  tags: ["x", "y"],
}
"""


def made(text: str, patch: Any, replaced: Any = ()) -> tuple[str, tuple[str, ...]]:
    """The text after a patch, and what has changed by it."""
    after = patched(text, patch, replaced)
    return after, changed_paths(parse(text), parse(after))


def result(patch: str, *, text: str = TEXT, replaced: tuple[str, ...] | None = ()) -> dict[str, object]:
    return parse(patched(text, parse(patch), replaced))


def refusal(patch: str, *, text: str = TEXT) -> str:
    with pytest.raises(PatchRefused) as refused:
        patched(text, parse(patch), ())
    return str(refused.value)


def test_only_what_the_patch_names_changes_and_the_comments_stay() -> None:
    text, changed = made(TEXT, parse("{gateway: {port: 99}}"), ())
    assert text == TEXT.replace("1234", "99")
    assert changed == ("gateway.port",)


def test_null_removes() -> None:
    text, changed = made(TEXT, parse("{gateway: {auth: null}, nothing: null}"), ())
    assert text == TEXT.replace(', auth: { token: "T" }', "")
    assert changed == ("gateway.auth.token",)


@pytest.mark.parametrize("item", ["{id: ['main']}", "{name: 'no id'}", "{id: {}}"])
def test_an_item_whose_id_is_none_makes_the_list_one_that_is_replaced(item: str) -> None:
    assert "agents.list" in refusal(f"{{agents: {{list: [{{id: 'main'}}, {{id: 'two'}}, {item}]}}}}")


def test_what_is_there_already_is_no_change() -> None:
    assert made(TEXT, parse("{gateway: {port: 1234}, tags: ['x', 'y']}"), ()) == (TEXT, ())


def test_items_of_a_list_are_known_by_their_ids() -> None:
    text, changed = made(TEXT, parse("{agents: {list: [{id: 'two', name: 'Bob'}, {id: 'new'}]}}"), ())
    assert parse(text)["agents"] == {
        "list": [
            {"id": "main", "name": "Ann", "skills": ["a", "b"]},
            {"id": "two", "name": "Bob"},
            {"id": "new"},
        ]
    }
    assert "// first" in text
    assert changed == ("agents.list.1.name", "agents.list.2.id")


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ("{tags: ['x']}", "tags"),
        ("{tags: null}", "tags"),
        ("{agents: null}", "agents.list"),
        ("{agents: {list: [{id: 'main', skills: ['b']}]}}", "agents.list[].skills"),
        ("{agents: {list: [{id: ['main']}]}}", "agents.list"),
    ],
)
def test_a_list_does_not_lose_items_unless_it_is_named(patch: str, path: str) -> None:
    assert f"remove entries from array path(s): {path}." in refusal(patch)
    result(patch, replaced=(path,))
    result(patch, replaced=None)


def test_a_named_list_is_replaced_whole() -> None:
    assert result("{agents: {list: [{id: 'x'}]}}", replaced=("agents.list",))["agents"] == {
        "list": [{"id": "x"}]
    }


def test_an_item_that_is_in_the_list_twice_cannot_be_told_apart() -> None:
    twice = "{list: [{id: 'a'}, {id: 'a'}]}"
    assert "two items of one id" in refusal("{list: [{id: 'a', x: 1}]}", text=twice)
    assert "two items of one id" in refusal("{agents: {list: [{id: 'two'}, {id: 'two'}]}}")


def test_an_empty_file_becomes_what_the_patch_says() -> None:
    assert result("{gateway: {port: 1, bind: null}}", text="// mine\n") == {"gateway": {"port": 1}}


def test_only_the_looks_of_the_page_need_no_base() -> None:
    assert small_change(("ui.prefs.theme", "ui.prefs.sidebar.0"))
    assert not small_change(("ui.prefs.theme", "ui.assistant"))


# --- any document, any patch

KEYS = st.sampled_from(["a", "b", "id", "c d", "é"])
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


def rfc_7396(base: Any, patch: Any) -> Any:
    """The standard's own words, as code."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = rfc_7396(merged.get(name), value)
    return merged


@given(OBJECTS, OBJECTS)
def test_without_ids_it_is_the_standards_merge(base: dict[str, Any], patch: dict[str, Any]) -> None:
    every = {*_paths(patch), *_paths(base)}
    text, changed = made(orjson.dumps(base).decode(), patch, every)
    assert parse(text) == rfc_7396(base, patch)
    assert bool(changed) == (rfc_7396(base, patch) != base or _retyped(base, patch))


@given(OBJECTS, OBJECTS)
def test_what_a_patch_has_made_it_does_not_make_again(base: dict[str, Any], patch: dict[str, Any]) -> None:
    every = {*_paths(patch), *_paths(base)}
    once, _ = made(orjson.dumps(base).decode(), patch, every)
    assert made(once, patch, every) == (once, ())


def _paths(value: Any, path: str = "") -> set[str]:
    """Every place in it, as `replacePaths` names them."""
    found = {path}
    for key, item in value.items() if isinstance(value, dict) else ():
        found |= _paths(item, f"{path}.{key}" if path else key)
    for item in value if isinstance(value, list) else ():
        found |= _paths(item, f"{path}[]")
    return found


def _retyped(base: Any, patch: Any) -> bool:
    """Python takes True for 1."""
    return orjson.dumps(base, option=orjson.OPT_SORT_KEYS) != orjson.dumps(
        rfc_7396(base, patch), option=orjson.OPT_SORT_KEYS
    )
