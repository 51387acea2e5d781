"""A turn from chat.send to its final event, and how it may end instead."""

from pathlib import Path

import pytest
import trio

from openclawd.agents.model import (
    Completion,
    Emit,
    ModelError,
    ModelErrorKind,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from openclawd.methods.chat import ChatSendParams
from openclawd.methods.params import finished
from openclawd.protocol.codec import InvalidValue, structure
from openclawd.protocol.errors import RequestError
from tests.sessions.stage import KEY, stage, texts


async def forever(_: str, emit: Emit) -> Completion:
    emit(TextDelta("so far"))
    await trio.sleep_forever()
    raise AssertionError


async def test_a_turn_is_told_in_stock_order_and_shapes(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        assert await held.send("hello", "run-1") == {"runId": "run-1", "status": "started"}
        assert held.of("run-1") == [], "the acknowledgement comes first"
        final = await held.ended("run-1")
    agent = held.of("run-1", "agent")
    chat = held.of("run-1", "chat")
    assert agent[0] | {"ts": 0} == {
        "runId": "run-1",
        "stream": "lifecycle",
        "data": {"phase": "start", "startedAt": agent[0]["data"]["startedAt"]},
        "sessionKey": KEY,
        "seq": 1,
        "ts": 0,
    }
    assert [event["seq"] for event in agent] == list(range(1, len(agent) + 1))
    pieces = [event["data"] for event in agent if event["stream"] == "assistant"]
    assert "".join(piece["delta"] for piece in pieces) == pieces[-1]["text"] == "you said hello "
    assert chat[0]["state"] == "delta"
    assert chat[0]["seq"] == 2
    assert agent[-1]["data"].keys() == {"phase", "endedAt"}
    assert held.of("run-1")[-2] == agent[-1], "lifecycle end stands before the final"
    assert final == {
        "runId": "run-1",
        "sessionKey": KEY,
        "seq": agent[-1]["seq"],
        "state": "final",
        "message": {
            "role": "assistant",
            "content": [{"type": "text", "text": "you said hello "}],
            "timestamp": final["message"]["timestamp"],
        },
        "usage": final["usage"],
    }
    assert final["usage"]["totalTokens"] > 0
    assert {event.scope for event in held.events} == {"operator.read"}
    assert {event.drop_if_slow for event in held.events if event.payload.get("state") == "delta"} == {True}


async def test_history_has_both_sides_without_what_clients_do_not_need(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
        told = await held.history()
    user, assistant = told["messages"]
    assert user.keys() == {"role", "content", "timestamp", "idempotencyKey", "__openclaw"}
    assert {"api", "provider", "model", "stopReason", "timestamp"} <= assistant.keys()
    assert "usage" not in assistant
    assert (assistant["provider"], assistant["stopReason"]) == ("scripted", "stop")
    assert told["sessionKey"] == "main"
    assert told["activeRuns"] == []


async def test_an_unknown_session_has_an_empty_history(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        assert await held.history("nobody") == {
            "sessionKey": "nobody",
            "messages": [],
            "thinkingLevel": "off",
            "hasMore": False,
            "totalMessages": 0,
            "activeRuns": [],
        }


async def test_the_model_reads_the_system_prompt_and_the_conversation(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        for number, text in enumerate(("first", "second")):
            await held.send(text, f"run-{number}")
            await held.ended(f"run-{number}")
    system, *conversation = held.model.requests[-1].messages
    assert system.role == "system"
    assert "Molly" in system.text
    assert [(message.role, message.text) for message in conversation] == [
        ("user", "first"),
        ("assistant", "you said first "),
        ("user", "second"),
    ]


async def test_thinking_is_kept_and_not_streamed(tmp_path: Path) -> None:
    async def thinks(_: str, emit: Emit) -> Completion:
        emit(ThinkingDelta("hm, "))
        emit(ThinkingDelta("well"))
        emit(TextDelta("yes"))
        return Completion("stop", Usage())

    async with stage(tmp_path, thinks) as held:
        await held.send("really?", "run-1")
        await held.ended("run-1")
        told = await held.history()
    assert told["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm, well"},
        {"type": "text", "text": "yes"},
    ]
    assert all("hm" not in str(event.payload) for event in held.events)


async def test_an_empty_answer_ends_in_a_final_without_message(tmp_path: Path) -> None:
    async def silent(_: str, emit: Emit) -> Completion:
        return Completion("stop", Usage())

    async with stage(tmp_path, silent) as held:
        await held.send("say nothing", "run-1")
        assert "message" not in await held.ended("run-1")


async def test_a_model_error_reaches_the_user_in_words_and_keeps_what_was_said(tmp_path: Path) -> None:
    async def breaks(_: str, emit: Emit) -> Completion:
        emit(TextDelta("Once upon"))
        raise ModelError(ModelErrorKind.BROKEN_OFF, "the stream broke off; send it again")

    async with stage(tmp_path, breaks) as held:
        await held.send("a story", "run-1")
        error = await held.ended("run-1")
        told = await held.history()
        assert (await held.sessions.status()).recent[0]["abortedLastRun"] is False
        with pytest.raises(RequestError, match="UNAVAILABLE: the stream broke off"):
            await held.send("a story", "run-1")
    lifecycle = held.of("run-1", "agent")[-1]
    assert lifecycle["data"]["phase"] == "error"
    assert lifecycle["data"]["error"] == error["errorMessage"] == "the stream broke off; send it again"
    assert error["state"] == "error"
    assert error["seq"] == lifecycle["seq"]
    assert texts(told)[1] == ("assistant", "Once upon")
    assert told["messages"][1]["stopReason"] == "error"
    assert told["messages"][1]["errorMessage"] == "the stream broke off; send it again"


async def test_a_model_that_cannot_be_used_is_an_error_of_the_run(tmp_path: Path) -> None:
    unknown = ModelError(
        ModelErrorKind.UNKNOWN_MODEL, "no model called x; `openclawd config get models` lists them"
    )
    async with stage(tmp_path, broken=unknown) as held:
        await held.send("hello", "run-1")
        assert (await held.ended("run-1"))["errorMessage"] == str(unknown)


async def test_the_log_says_why_an_answer_failed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "openclawd.sessions")
    down = ModelError(ModelErrorKind.UNREACHABLE, "loc cannot be reached: connection refused")
    async with stage(tmp_path, broken=down) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
    (told,) = [record for record in caplog.records if record.message == "run ended"]
    assert told.levelname == "WARNING"
    assert told.fields["error"] == str(down)  # type: ignore[attr-defined]


async def test_a_fault_of_ours_ends_its_run_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def faulty(question: str, emit: Emit) -> Completion:
        if question == "trip":
            raise ZeroDivisionError
        emit(TextDelta("fine"))
        return Completion("stop", Usage())

    async with stage(tmp_path, faulty) as held:
        await held.send("trip", "run-1")
        await held.send("walk", "run-2")
        assert "openclawd itself failed" in (await held.ended("run-1"))["errorMessage"]
        assert (await held.ended("run-2"))["state"] == "final"
    assert "ZeroDivisionError" in caplog.text


async def test_a_run_that_takes_too_long_is_aborted_as_a_timeout(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("hurry", "run-1", timeout_ms=50)
        ended = await held.ended("run-1")
        told = await held.history()
    assert (ended["state"], ended["stopReason"]) == ("aborted", "timeout")
    assert told["messages"][1]["openclawAbort"] == {"aborted": True, "origin": "timeout", "runId": "run-1"}


async def test_abort_stops_at_once_and_keeps_the_partial_text(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("go on", "run-1")
        await held.said("run-1", "so far")
        assert await held.sessions.abort("main", "run-1") == ["run-1"]
        ended = held.of("run-1", "chat")[-1]
        told = await held.history()
        assert await held.send("go on", "run-1") == {"runId": "run-1", "status": "ok"}
        assert (await held.sessions.status()).recent[0]["abortedLastRun"] is True
    assert (ended["state"], ended["stopReason"]) == ("aborted", "rpc")
    assert ended["message"]["content"] == [{"type": "text", "text": "so far"}]
    assert held.of("run-1", "agent")[-1]["data"]["aborted"] is True
    kept = told["messages"][1]
    assert kept["idempotencyKey"] == "run-1:assistant"
    assert kept["openclawAbort"] == {"aborted": True, "origin": "rpc", "runId": "run-1"}


async def test_abort_by_another_spelling_of_the_key_finds_the_run(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("go on", "run-1", key="agent:main:main")
        await held.said("run-1", "so far")
        assert await held.sessions.abort("MAIN", None) == ["run-1"]


async def test_abort_of_a_run_of_another_session_is_refused(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("go on", "run-1")
        with pytest.raises(RequestError, match="runId does not match sessionKey"):
            await held.sessions.abort("other", "run-1")


async def test_aborting_what_is_unknown_or_finished_aborts_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
        assert await held.sessions.abort("main", "run-1") == []
        assert await held.sessions.abort("main", "never heard of") == []
        assert await held.sessions.abort("main", None) == []


async def test_stop_ends_the_running_and_the_waiting_run(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("one", "run-1")
        await held.send("two", "run-2")
        await held.said("run-1", "so far")
        stopped = await held.send("  Please STOP! ", "stop-1")
        assert stopped == {"ok": True, "aborted": True, "runIds": ["run-1", "run-2"]}
        waiting = await held.ended("run-2")
        told = await held.history()
    assert waiting == {
        "runId": "run-2",
        "sessionKey": KEY,
        "seq": 1,
        "state": "aborted",
        "stopReason": "stop",
    }
    assert held.of("run-2", "agent") == []
    assert texts(told) == [("user", "one"), ("assistant", "so far"), ("user", "two")]
    assert told["messages"][1]["openclawAbort"]["origin"] == "stop-command"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("nul \x00 byte", "message must not contain null bytes"),
        ("", "message or attachment required"),
        (" \n\t ", "message or attachment required"),
        ("\x07\x1b", "message or attachment required"),
    ],
)
async def test_a_message_without_usable_text_is_refused(tmp_path: Path, message: str, error: str) -> None:
    async with stage(tmp_path) as held:
        with pytest.raises(RequestError, match=f"INVALID_REQUEST: {error}"):
            await held.send(message, "run-1")


async def test_a_malformed_key_is_refused_by_name(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        with pytest.raises(RequestError, match="session key 'agent:main' is incomplete"):
            await held.send("hello", "run-1", key="agent:main")


def test_no_time_limit_is_too_long_to_be_kept() -> None:
    wire = {"sessionKey": "main", "message": "hello", "idempotencyKey": "run-1"}
    assert structure(wire | {"timeoutMs": 2**53}, finished(ChatSendParams)).timeout_ms == 2**53
    with pytest.raises(InvalidValue, match="/timeoutMs: must be <= 9007199254740992"):
        structure(wire | {"timeoutMs": 2**64 - 1}, finished(ChatSendParams))


async def test_the_longest_time_limit_that_can_be_asked_for_is_taken(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("no hurry", "run-1", timeout_ms=2**53)
        assert (await held.ended("run-1"))["state"] == "final"
