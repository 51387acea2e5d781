"""chat.history: what it weighs, how one pages through it, and what came since a client last looked."""

from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from openclawd.agents.model import Completion, Emit, TextDelta, Usage
from openclawd.protocol.errors import RequestError
from openclawd.protocol.limits import MAX_EXACT_INT
from openclawd.protocol.versions import V4
from openclawd.sessions.history import (
    MAX_HISTORY_BYTES,
    Cursor,
    HistoryQuery,
    Page,
    clipped,
    history_v3,
)
from openclawd.sessions.transcript import assistant_message, user_message
from openclawd.store.conversations import Conversations
from openclawd.store.records import Message, StoredMessage, Transcript
from tests.sessions.stage import KEY, Stage, stage, texts

EVERYTHING = 6


async def forever(_: str, emit: Emit) -> Completion:
    emit(TextDelta("so far"))
    await trio.sleep_forever()
    raise AssertionError


def answer(text: str, thinking: str = "") -> Message:
    return assistant_message(
        "run", None, text=text, thinking=thinking, usage=Usage(), stop_reason="stop", now_ms=1
    )


def shown(messages: list[Message], **query: Any) -> dict[str, Any]:
    """The history of a conversation of these messages."""
    stored = tuple(StoredMessage(number, number, body) for number, body in enumerate(messages, 1))
    return history_v3(
        Page(
            query=HistoryQuery("main", **query),
            offset=0,
            transcript=Transcript("session-1", stored, len(stored), (), len(stored)),
            session=None,
            row={},
            running={},
            inputs={},
            now_ms=1,
        )
    )


async def talk(held: Stage, count: int = 3) -> None:
    """`count` questions, each with its answer."""
    for number in range(count):
        await held.send(f"question {number}", f"run-{number}")
        await held.ended(f"run-{number}")


def ids(history: dict[str, Any]) -> list[str]:
    return [message["__openclaw"]["id"] for message in history["messages"]]


# --- what it weighs


def test_a_long_text_is_cut_and_says_so() -> None:
    (message,) = shown([answer("x" * 12_001, "y" * 13_000)])["messages"]
    thinking, text = message["content"]
    assert text["text"] == "x" * 12_000 + "\n...(truncated)..."
    assert thinking["thinking"] == "y" * 12_000 + "\n...(truncated)..."


def test_a_text_at_the_limit_is_whole() -> None:
    (message,) = shown([answer("x" * 12_000)])["messages"]
    assert message["content"][0]["text"] == "x" * 12_000


def test_a_client_says_how_long_a_text_may_be() -> None:
    (message,) = shown([answer("x" * 200_000)], max_chars=100)["messages"]
    assert message["content"][0]["text"] == "x" * 100 + "\n...(truncated)..."
    (message,) = shown([answer("x" * 200_000)], max_chars=200_000)["messages"]
    assert message["content"][0]["text"] == "x" * 200_000, "larger than what is a placeholder by default"


def test_a_message_that_is_still_too_large_is_replaced_by_a_placeholder() -> None:
    large = user_message("run", "", 5) | {"content": [{"type": "text", "text": "x" * 12_000}] * 12}
    (message,) = shown([large])["messages"]
    assert message["content"] == [{"type": "text", "text": "[chat.history omitted: message too large]"}]
    assert message["__openclaw"] == {"id": "1", "seq": 1, "truncated": True, "reason": "oversized"}
    assert (message["role"], message["timestamp"]) == ("user", 5)


def test_a_history_that_is_too_large_loses_its_oldest_messages_and_says_where_they_are() -> None:
    messages = [user_message(f"run-{number}", "ü" * 11_000, number) for number in range(400)]
    told = shown(messages)
    kept = told["messages"]
    assert 0 < len(kept) < 400
    assert kept[-1]["timestamp"] == 399
    assert len(kept) * 22_000 <= MAX_HISTORY_BYTES
    assert (told["hasMore"], told["nextOffset"], told["totalMessages"]) == (True, len(kept), 400)


def test_a_client_says_how_much_a_history_may_weigh() -> None:
    messages = [user_message(f"run-{number}", "x" * 1000, number) for number in range(10)]
    told = shown(messages, max_bytes=5000)
    assert 3 <= len(told["messages"]) <= 4
    assert told["hasMore"] is True
    assert len(shown(messages, max_bytes=1)["messages"]) == 1


# --- both generations


async def test_messages_are_numbered_along_the_transcript(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held)
        told = await held.history()
    numbers = [message["__openclaw"] for message in told["messages"]]
    assert [number["seq"] for number in numbers] == sorted({number["seq"] for number in numbers})
    assert len({number["id"] for number in numbers}) == EVERYTHING


async def test_the_pages_of_a_history_make_the_whole(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held)
        whole = ids(await held.history())
        page = await held.history(limit=4)
        older = await held.history(limit=4, offset=page["nextOffset"])
    assert ids(older) + ids(page) == whole
    assert (page["hasMore"], older["hasMore"]) == (True, False)
    assert "nextOffset" not in older
    assert "offset" not in page
    assert older["offset"] == 4


async def test_a_history_can_be_read_around_a_message(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held)
        whole = await held.history()
        wanted = ids(whole)[1]
        around = await held.history(limit=3, message_id=wanted)
        assert ids(around) == ids(whole)[:3]
        with pytest.raises(RequestError, match="INVALID_REQUEST: message not found"):
            await held.history(message_id="12345")


async def test_a_conversation_that_is_over_is_not_taken_for_the_present_one(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, 1)
        first = (await held.history())["sessionId"]
        assert ids(await held.history(session_id=first)) == ids(await held.history())
        await held.send("/new hello", "run-new")
        await held.ended("run-new")
        with pytest.raises(RequestError, match="is not the present conversation of this session"):
            await held.history(session_id=first)


async def test_v3_is_not_told_what_an_answer_cost_and_v4_is(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, 1)
        v3, v4 = await held.history(), await held.history(generation=V4)
    assert "usage" not in v3["messages"][1]
    assert v4["messages"][1]["usage"]["totalTokens"] > 0


# --- v4


async def test_a_v4_history_says_what_its_session_is_and_does(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("go on", "run-1")
        await held.said("run-1", "so far")
        await held.send("and then", "run-2")
        told = await held.history(generation=V4)
    assert told["inFlightRun"] | {"startedAt": 0} == {"runId": "run-1", "text": "so far", "startedAt": 0}
    info = told["sessionInfo"]
    assert (info["key"], info["hasActiveRun"]) == (KEY, True)
    assert info["activeRunIds"] == ["run-1", "run-2"]
    assert info["activeLeafEntryId"] == ids(told)[-1]
    assert told["defaults"]["model"] == "model-1"
    assert told["pendingInputs"] == {"items": [], "total": 0}, "both questions are in the transcript"
    assert texts(told) == [("user", "go on"), ("user", "and then")]


async def test_a_v4_history_of_an_unknown_session_has_its_row_all_the_same(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        told = await held.history("nobody", generation=V4)
    assert "sessionId" not in told
    assert "deltaCursor" not in told
    info = told["sessionInfo"]
    assert (info["key"], info["updatedAt"]) == ("agent:main:nobody", None)
    assert (info["hasActiveRun"], info["activeLeafEntryId"]) == (False, None)


async def test_a_cursor_gives_what_came_since(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, 1)
        seen = await held.history(generation=V4)
        await held.send("more", "run-more")
        await held.ended("run-more")
        delta = await held.history(generation=V4, cursor=seen["deltaCursor"])
        assert delta["kind"] == "delta"
        assert texts(delta) == [("user", "more"), ("assistant", "you said more ")]
        nothing = await held.history(generation=V4, cursor=delta["deltaCursor"])
        assert (nothing["kind"], nothing["messages"]) == ("delta", [])
        assert nothing["deltaCursor"] == delta["deltaCursor"]


async def test_what_a_cursor_missed_comes_also_when_it_belongs_before_what_was_seen(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("go on", "run-1")
        await held.said("run-1", "so far")
        await held.send("and then", "run-2")
        seen = await held.history(generation=V4)
        await held.sessions.abort("main", "run-1")
        delta = await held.history(generation=V4, cursor=seen["deltaCursor"])
    (late,) = delta["messages"]
    before, after = seen["messages"]
    assert before["__openclaw"]["seq"] < late["__openclaw"]["seq"] < after["__openclaw"]["seq"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "bnVsbA==", "WyJ4IiwxXQ=="])
async def test_a_cursor_that_is_none_starts_over(tmp_path: Path, cursor: str) -> None:
    async with stage(tmp_path) as held:
        await talk(held, 1)
        assert await held.history(generation=V4, cursor=cursor) == {"kind": "reset"}


async def test_a_new_conversation_starts_every_cursor_over(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held, 1)
        seen = await held.history(generation=V4)
        await held.send("/new hello", "run-new")
        await held.ended("run-new")
        assert await held.history(generation=V4, cursor=seen["deltaCursor"]) == {"kind": "reset"}


async def test_messages_that_were_taken_away_start_every_cursor_over(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await talk(held)
        seen = await held.history(generation=V4)
        await held.sessions.admin.compact("main", 2)
        assert await held.history(generation=V4, cursor=seen["deltaCursor"]) == {"kind": "reset"}


@given(st.text(), st.integers(0, MAX_EXACT_INT), st.integers(0, MAX_EXACT_INT))
def test_a_cursor_is_read_as_it_was_written(session_id: str, last_id: int, total: int) -> None:
    cursor = Cursor(session_id, last_id, total)
    assert Cursor.read(cursor.text()) == cursor


@given(st.text())
def test_whatever_a_client_takes_for_a_cursor_is_read_or_refused(text: str) -> None:
    assert Cursor.read(text) is None or isinstance(Cursor.read(text), Cursor)


@pytest.mark.parametrize("last_id", [-1, 2**63, 2**64 - 1])
def test_a_cursor_behind_more_messages_than_there_can_be_is_none(last_id: int) -> None:
    assert Cursor.read(Cursor("id", last_id, 1).text()) is None


async def test_receipts_tell_what_became_of_inputs(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("go on", "run-1")
        await held.said("run-1", "so far")
        await held.send("and then", "run-2")
        told = await held.history(generation=V4, input_run_ids=("run-1", "run-2", "run-9"))
    assert told["inputReceipts"] == [
        {"runId": "run-1", "state": "consumed", "consumedByEventId": ids(told)[0]},
        {"runId": "run-2", "state": "pending"},
    ]


async def test_no_more_is_held_of_long_messages_than_a_history_shows(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("x" * 50_000, "run-1")
        await held.ended("run-1")
        transcript = await Conversations(held.database).transcript(
            KEY, 10, clip=lambda message: clipped(message, 100)
        )
        told = await held.history(max_chars=100)
    assert [len(part["text"]) for stored in transcript.messages for part in stored.body["content"]] == [
        101,
        101,
    ]
    assert [text for _, text in texts(told)] == [
        "x" * 100 + "\n...(truncated)...",
        ("you said " + "x" * 91) + "\n...(truncated)...",
    ]


# --- one message


async def test_a_message_can_be_had_whole(tmp_path: Path) -> None:
    long = "x" * 20_000
    async with stage(tmp_path) as held:
        await held.send(long, "run-1")
        await held.ended("run-1")
        told = await held.history()
        assert len(told["messages"][0]["content"][0]["text"]) < len(long)
        read = held.sessions.reading
        whole = await read.message("main", None, ids(told)[0], 2_000_000)
        assert whole["ok"] is True
        assert whole["message"]["content"] == [{"type": "text", "text": long}]
        assert await read.message("main", None, ids(told)[0], 100) == {
            "ok": False,
            "unavailableReason": "oversized",
        }
        missing = {"ok": False, "unavailableReason": "not_found"}
        assert await read.message("main", None, "9" * 30, 100) == missing
        assert await read.message("garden", None, ids(told)[0], 100) == missing


async def test_what_is_not_shown_cannot_be_had(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("/new", "run-1")
        await held.ended("run-1")
        (greeting,) = (await held.history())["messages"]
        prompt = str(int(greeting["__openclaw"]["id"]) - 1)
        told = await held.sessions.reading.message("main", None, prompt, 1000)
        assert told == {"ok": False, "unavailableReason": "not_visible"}
