"""Every spelling of a session key becomes one canonical key (protocol.md 7.6)."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.sessions.keys import MalformedKey, Scope, agent_of, canonical, kind_of

scopes = st.sampled_from(("per-sender", "global"))
agent_ids = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True)


def key(text: str, *, agent: str = "main", main_key: str = "main", scope: Scope = "per-sender") -> str:
    return canonical(text, default_agent=agent, main_key=main_key, scope=scope)


@pytest.mark.parametrize(
    ("given_key", "expected"),
    [
        ("main", "agent:main:main"),
        (" Main ", "agent:main:main"),
        ("agent:main:main", "agent:main:main"),
        ("AGENT:Main:MAIN", "agent:main:main"),
        ("notes", "agent:main:notes"),
        ("a:b:c", "agent:main:a:b:c"),
        ("agent:ops:telegram:group:-100", "agent:ops:telegram:group:-100"),
        ("agent:ops:main", "agent:ops:main"),
        ("global", "global"),
        ("unknown", "unknown"),
        ("grüße", "agent:main:grüße"),
        ("GRU\u0308ßE", "agent:main:grüße"),
    ],
)
def test_a_spelling_has_one_canonical_key(given_key: str, expected: str) -> None:
    assert key(given_key) == expected


def test_the_main_key_may_have_another_name_and_main_still_means_it() -> None:
    assert key("main", main_key="home") == "agent:main:home"
    assert key("agent:main:main", main_key="home") == "agent:main:home"
    assert key("home", main_key="home") == "agent:main:home"
    assert key("agent:ops:main", main_key="home") == "agent:ops:home"


def test_with_global_scope_the_main_session_is_global_and_others_are_not() -> None:
    assert key("main", scope="global") == "global"
    assert key("agent:main:main", scope="global") == "global"
    assert key("notes", scope="global") == "agent:main:notes"


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "   ",
        "agent",
        "agent:",
        "agent:main",
        "agent:main:",
        "agent::x",
        "agent:bad id:x",
        "a\nb",
        "a\x00b",
        "agent:ü:x",
        "x" * 513,
        # With the agent in front it would be too long to be sent back.
        "x" * (513 - len("agent:main:")),
    ],
)
def test_a_malformed_key_is_refused(malformed: str) -> None:
    with pytest.raises(MalformedKey):
        key(malformed)


@given(st.text(max_size=60), agent_ids, agent_ids, scopes)
def test_a_canonical_key_is_its_own_canonical_key(text: str, agent: str, main_key: str, scope: Scope) -> None:
    try:
        once = key(text, agent=agent, main_key=main_key, scope=scope)
    except MalformedKey:
        return
    assert key(once, agent=agent, main_key=main_key, scope=scope) == once
    assert kind_of(once) in {"direct", "group", "global", "unknown"}
    assert agent_of(once, agent)


@pytest.mark.parametrize(
    ("canonical_key", "kind"),
    [
        ("agent:main:main", "direct"),
        ("agent:main:telegram:group:-100", "group"),
        ("agent:main:discord:channel:7", "group"),
        ("agent:group:main", "direct"),
        ("global", "global"),
        ("unknown", "unknown"),
    ],
)
def test_a_key_tells_its_kind(
    canonical_key: str, kind: Literal["direct", "group", "global", "unknown"]
) -> None:
    assert kind_of(canonical_key) == kind
