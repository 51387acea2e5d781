"""Who asked to be told about sessions."""

import pytest

from openclawd.events.subscriptions import MAX_SESSIONS, Subscriptions, TooManySubscriptions

KEY = "agent:main:main"


def test_who_subscribes_listens_until_it_unsubscribes() -> None:
    subscriptions = Subscriptions()
    subscriptions.sessions("a", on=True)
    subscriptions.sessions("b", on=True)
    assert subscriptions.sessions_listeners == {"a", "b"}
    subscriptions.sessions("a", on=False)
    assert subscriptions.sessions_listeners == {"b"}


def test_messages_are_subscribed_to_session_by_session() -> None:
    subscriptions = Subscriptions()
    subscriptions.messages("a", KEY, on=True)
    subscriptions.messages("b", "agent:main:x", on=True)
    assert subscriptions.message_listeners(KEY) == {"a"}
    subscriptions.messages("a", KEY, on=False)
    assert subscriptions.message_listeners(KEY) == frozenset()
    assert subscriptions.message_listeners("agent:main:x") == {"b"}


def test_who_leaves_is_forgotten_everywhere() -> None:
    subscriptions = Subscriptions()
    subscriptions.sessions("a", on=True)
    for key in (KEY, "agent:main:x"):
        subscriptions.messages("a", key, on=True)
    subscriptions.messages("b", KEY, on=True)
    subscriptions.leave("a")
    assert subscriptions.sessions_listeners == frozenset()
    assert subscriptions.message_listeners(KEY) == {"b"}
    assert subscriptions.message_listeners("agent:main:x") == frozenset()


def test_ending_what_was_never_begun_is_harmless() -> None:
    subscriptions = Subscriptions()
    subscriptions.sessions("a", on=False)
    subscriptions.messages("a", KEY, on=False)
    subscriptions.leave("a")
    assert subscriptions.message_listeners(KEY) == frozenset()


def test_a_connection_follows_so_many_sessions_and_no_more() -> None:
    subscriptions = Subscriptions()
    for number in range(MAX_SESSIONS):
        subscriptions.messages("a", f"agent:main:{number}", on=True)
    with pytest.raises(TooManySubscriptions):
        subscriptions.messages("a", KEY, on=True)
    subscriptions.messages("a", "agent:main:0", on=True)
    subscriptions.messages("b", KEY, on=True)
    subscriptions.messages("a", "agent:main:0", on=False)
    subscriptions.messages("a", KEY, on=True)
    assert subscriptions.message_listeners(KEY) == {"a", "b"}
