"""Events wait for the next turn, which tells them to the model once."""

from openclawd.agents.model import ModelMessage
from openclawd.sessions.system_events import MAX_EVENT_CHARS, MAX_WAITING, SystemEvents, told

KEY = "agent:main:main"


def events() -> SystemEvents:
    return SystemEvents(lambda: 1_700_000_000_000)


def test_an_event_is_told_once_and_marked_line_by_line() -> None:
    waiting = events()
    waiting.add(KEY, "  the backup is done\n3 files were left out ")
    assert waiting.texts(KEY) == ["the backup is done\n3 files were left out"]
    lines = "System: [2023-11-14 22:13:20 UTC] the backup is done\nSystem: 3 files were left out"
    assert waiting.lines(KEY) == lines
    assert waiting.take(KEY) == lines
    assert (waiting.take(KEY), waiting.texts(KEY)) == ("", [])


def test_each_session_has_its_own() -> None:
    waiting = events()
    waiting.add(KEY, "a")
    assert waiting.texts("agent:main:other") == []


def test_the_same_again_says_nothing_new() -> None:
    waiting = events()
    for text in ("a", "a", "b", "a"):
        waiting.add(KEY, text)
    assert waiting.texts(KEY) == ["a", "b", "a"]


def test_the_oldest_gives_way_and_a_document_is_cut() -> None:
    waiting = events()
    for number in range(MAX_WAITING + 2):
        waiting.add(KEY, f"event {number}")
    waiting.add(KEY, "x" * (MAX_EVENT_CHARS + 1))
    texts = waiting.texts(KEY)
    assert len(texts) == MAX_WAITING
    assert texts[0] == "event 3"
    assert len(texts[-1]) == MAX_EVENT_CHARS


def test_they_stand_above_the_users_last_words() -> None:
    messages = (
        ModelMessage("system", "s"),
        ModelMessage("user", "one"),
        ModelMessage("assistant", "two"),
        ModelMessage("user", "three"),
    )
    assert told(messages, "System: x")[-1] == ModelMessage("user", "System: x\n\nthree")
    assert told(messages, "System: x")[:-1] == messages[:-1]
    assert told(messages, "") == messages
