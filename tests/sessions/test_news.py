"""News of sessions: told to who listens, read once for a burst, and nothing done when nobody listens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from openclawd.events.event import Event
from openclawd.events.subscriptions import Subscriptions
from openclawd.sessions.keys import agent_of
from openclawd.sessions.news import SubscribedNews
from openclawd.store.errors import closed
from openclawd.store.records import StoredMessage

KEY = "agent:main:main"
ROW = {"key": KEY, "label": "Plans", "updatedAt": 5}


class Newsroom:
    """News with a table of rows, and everything that was published."""

    def __init__(self) -> None:
        self.subscriptions = Subscriptions()
        self.rows: dict[str, Mapping[str, object]] = {KEY: ROW}
        self.read: list[str] = []
        self.broken = False
        self.events: list[Event] = []
        self.news = SubscribedNews(
            self.subscriptions,
            publish=self.events.append,
            row=self._row,
            agent_of=lambda key: agent_of(key, "main"),
            now_ms=lambda: 7,
        )

    async def _row(self, key: str) -> Mapping[str, object] | None:
        self.read.append(key)
        await trio.sleep(1)
        if self.broken:
            raise closed(Path("state.sqlite3"))
        return self.rows.get(key)


async def test_a_change_is_told_with_the_row_to_those_who_listen(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    room = Newsroom()
    room.subscriptions.sessions("c1", on=True)
    nursery.start_soon(room.news.serve)
    room.news.changed(KEY, "patch")
    await trio.sleep(5)
    (event,) = room.events
    assert (event.name, event.connections, event.scope) == (
        "sessions.changed",
        frozenset({"c1"}),
        "operator.read",
    )
    assert event.payload == {
        "sessionKey": KEY,
        "agentId": "main",
        "reason": "patch",
        "ts": 7,
        "session": ROW,
        "label": "Plans",
        "updatedAt": 5,
    }


async def test_a_session_that_is_gone_is_told_of_without_a_row(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    room = Newsroom()
    room.subscriptions.sessions("c1", on=True)
    nursery.start_soon(room.news.serve)
    room.news.changed("agent:main:gone", "delete")
    await trio.sleep(5)
    assert room.events[0].payload == {
        "sessionKey": "agent:main:gone",
        "agentId": "main",
        "reason": "delete",
        "ts": 7,
    }


async def test_a_burst_of_changes_costs_one_reading_and_tells_every_reason_once(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    room = Newsroom()
    room.subscriptions.sessions("c1", on=True)
    for _ in range(10):
        room.news.changed(KEY, "send")
        room.news.changed(KEY, "patch")
    nursery.start_soon(room.news.serve)
    await trio.sleep(5)
    assert room.read == [KEY]
    assert [event.payload["reason"] for event in room.events] == ["send", "patch"]


async def test_a_change_in_the_middle_of_a_reading_is_read_again(
    autojump_clock: Any, nursery: trio.Nursery
) -> None:
    room = Newsroom()
    room.subscriptions.sessions("c1", on=True)
    nursery.start_soon(room.news.serve)
    room.news.changed(KEY, "send")
    await trio.sleep(0.5)
    room.news.changed(KEY, "send")
    await trio.sleep(5)
    assert room.read == [KEY, KEY]


async def test_nobody_listening_costs_nothing(autojump_clock: Any, nursery: trio.Nursery) -> None:
    room = Newsroom()
    nursery.start_soon(room.news.serve)
    room.news.changed(KEY, "send")
    room.news.message(KEY, "run-1", StoredMessage(1, 2, {"role": "user", "content": []}))
    await trio.sleep(5)
    assert not room.read
    assert not room.events


async def test_a_store_that_fails_costs_that_news_only(autojump_clock: Any, nursery: trio.Nursery) -> None:
    room = Newsroom()
    room.subscriptions.sessions("c1", on=True)
    nursery.start_soon(room.news.serve)
    room.broken = True
    room.news.changed(KEY, "send")
    await trio.sleep(5)
    room.broken = False
    room.news.changed(KEY, "patch")
    await trio.sleep(5)
    assert [event.payload["reason"] for event in room.events] == ["patch"]


async def test_a_message_goes_to_those_who_follow_its_session_as_the_history_has_it() -> None:
    room = Newsroom()
    room.subscriptions.messages("c1", KEY, on=True)
    room.subscriptions.messages("c2", "agent:main:other", on=True)
    body = {"role": "user", "content": [{"type": "text", "text": "hi"}], "timestamp": 3}
    room.news.message(KEY, "run-1", StoredMessage(41, 8, body | {"usage": {"input": 1}}))
    (event,) = room.events
    assert (event.name, event.connections) == ("session.message", frozenset({"c1"}))
    assert event.payload == {
        "sessionKey": KEY,
        "agentId": "main",
        "runId": "run-1",
        "message": body | {"__openclaw": {"id": "41", "seq": 8}},
        "messageId": "41",
        "messageSeq": 8,
    }
    form_v4: Any = event.payload_for(4)["message"]
    assert form_v4["usage"] == {"input": 1}, "as v4's history has it"
