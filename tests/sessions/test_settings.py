"""What can be chosen for a session, and what is refused in words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.protocol.errors import ErrorCode, RequestError
from openclawd.sessions.settings import CHOICES, Chooser, SessionSettings, session_settings
from tests.sessions.shelf import CLEVER, PLAIN, Shelf

NOW_MS = 1_800_000_000_000


def changes(wanted: dict[str, Any], current: SessionSettings | None = None) -> dict[str, Any]:
    return Chooser(Shelf()).changes(
        wanted, current or SessionSettings(), agent_id="main", now_ms=NOW_MS, max_label_chars=64
    )


def refusal(wanted: dict[str, Any], current: SessionSettings | None = None) -> str:
    with pytest.raises(RequestError) as refused:
        changes(wanted, current)
    assert refused.value.shape.code is ErrorCode.INVALID_REQUEST
    return refused.value.shape.message


@pytest.mark.parametrize(("name", "choices"), CHOICES.items())
def test_a_choice_is_one_of_its_words_or_null(name: str, choices: tuple[str, ...]) -> None:
    assert [changes({name: choice.upper()})[name] for choice in choices] == list(choices)
    assert changes({name: None}) == {name: None}
    assert refusal({name: "bogus"}) == f"invalid {name} (use {'|'.join(choices)})"


def test_a_thinking_level_is_one_that_the_model_has() -> None:
    assert refusal({"thinkingLevel": "high"}) == "invalid thinkingLevel (use off)"
    clever = SessionSettings(model=str(CLEVER.ref))
    assert changes({"thinkingLevel": "High"}, clever) == {"thinkingLevel": "high"}


def test_the_level_is_checked_against_the_model_that_is_chosen_with_it() -> None:
    wanted = {"thinkingLevel": "high", "model": "clever"}
    assert changes(wanted) == {"thinkingLevel": "high", "model": str(CLEVER.ref)}


def test_a_level_that_the_new_model_does_not_have_is_taken_away() -> None:
    current = SessionSettings(model=str(CLEVER.ref), thinking_level="high")
    assert changes({"model": str(PLAIN.ref)}, current) == {"model": str(PLAIN.ref), "thinkingLevel": None}
    assert changes({"model": None}, current) == {"model": None, "thinkingLevel": None}


def test_an_unknown_model_is_refused_in_the_words_of_the_catalog() -> None:
    assert refusal({"model": "nosuch"}) == "There is no model nosuch."


def test_a_label_is_one_line_of_limited_length() -> None:
    assert changes({"label": "  My \n label "}) == {"label": "My label"}
    assert refusal({"label": " \t"}).startswith("invalid label: empty")
    assert refusal({"label": "x" * 65}) == "invalid label: too long (max 64)"
    assert changes({"label": None}) == {"label": None}


def test_marks_are_kept_with_their_time() -> None:
    assert changes({"archived": True, "pinned": False}) == {"archivedAt": NOW_MS, "pinnedAt": None}
    assert changes({"unread": True}) == {"markedUnreadAt": NOW_MS}
    assert changes({"unread": False}) == {"markedUnreadAt": None, "lastReadAt": NOW_MS}


@pytest.mark.parametrize(
    "name", ["execHost", "elevatedLevel", "permissionMode", "toolOverrides", "spawnedBy"]
)
def test_what_there_is_nothing_for_is_refused_unless_it_asks_for_nothing(name: str) -> None:
    assert refusal({name: "full"}).startswith(f"{name} cannot be set: ")
    assert changes({name: None}) == {}


@given(
    st.dictionaries(
        st.sampled_from([*CHOICES, "label", "thinkingLevel", "model"]),
        st.none() | st.text(max_size=80) | st.sampled_from(["off", "on", "full", "clever", "plain", "low"]),
    )
)
def test_a_patch_is_refused_or_becomes_what_a_session_can_be_read_back_from(wanted: dict[str, Any]) -> None:
    try:
        stored = changes(wanted)
    except RequestError:
        return
    assert stored.keys() >= wanted.keys()
    kept = {name: value for name, value in stored.items() if value is not None}
    assert changes({name: value for name, value in kept.items() if name in wanted}) == kept
    assert session_settings(kept).response_usage in {None, *CHOICES["responseUsage"]}
