"""What may come with a message, what it may depend on, and who is told of it."""

import base64
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from openclawd.agents.model import Completion, Emit, TextDelta, Usage
from openclawd.protocol.errors import RequestError
from openclawd.protocol.versions import V4
from openclawd.sessions.registry import Commands, NewSession
from openclawd.sessions.text import MAX_MESSAGE_CHARS
from tests.sessions.stage import KEY, stage, texts

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
NEW_CONVERSATION = "INVALID_REQUEST: this session has begun a new conversation"


async def forever(_: str, emit: Emit) -> Completion:
    emit(TextDelta("so far"))
    await trio.sleep_forever()
    raise AssertionError


def png(name: str = "dot.png") -> dict[str, object]:
    return {
        "type": "image",
        "mimeType": "image/png",
        "fileName": name,
        "content": base64.b64encode(PIXEL).decode(),
    }


# --- what comes with it


async def test_a_picture_is_stored_and_only_named_in_the_history(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("look", "run-1", attachments=[png()])
        await held.ended("run-1")
        message = (await held.history())["messages"][0]
        text, picture = message["content"]
        assert text == {"type": "text", "text": "look"}
        assert picture == {
            "type": "image",
            "mimeType": "image/png",
            "fileName": "dot.png",
            "bytes": len(PIXEL),
            "omitted": True,
            "attachmentId": picture["attachmentId"],
        }
        file = await held.sessions.reading.attachment("main", picture["attachmentId"])
        assert (file.media_type, file.data) == ("image/png", PIXEL)
        with pytest.raises(RequestError, match="attachment not found"):
            await held.sessions.reading.attachment("garden", picture["attachmentId"])


async def test_a_message_that_fits_no_model_is_refused(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("x" * MAX_MESSAGE_CHARS, "run-1")
        with pytest.raises(RequestError, match="message is too long: 1000001 characters, at most 1000000"):
            await held.send("x" * (MAX_MESSAGE_CHARS + 1), "run-2")


async def test_a_picture_needs_no_words(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("", "run-1", attachments=[png()])
        await held.ended("run-1")
        (part,) = (await held.history())["messages"][0]["content"]
        assert part["type"] == "image"
        with pytest.raises(RequestError, match="message or attachment required"):
            await held.send("", "run-2")


async def test_a_file_that_cannot_be_read_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        with pytest.raises(RequestError, match=r"attachments\[0\]"):
            await held.send("look", "run-1", attachments=[{"content": "%%%"}])
        assert texts(await held.history()) == []


async def test_a_stop_word_with_a_picture_is_for_the_model(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        assert await held.send("stop", "run-1", attachments=[png()]) == {
            "runId": "run-1",
            "status": "started",
        }
        await held.ended("run-1")


async def test_options_of_a_run_are_kept_with_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send(
            "hello", "run-1", thinking=" High ", model="scripted/model-1", extra_system_prompt="be kind"
        )
        run = await held.sessions.run("run-1")
        assert run is not None
        assert (run.options.thinking, run.options.model) == ("high", "scripted/model-1")
        assert run.options.extra_system_prompt == "be kind"
        await held.ended("run-1")


async def test_a_thinking_level_that_there_is_not_is_refused(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        with pytest.raises(RequestError, match=r'invalid thinking level "hard" \(use off\|minimal\|low'):
            await held.send("hello", "run-1", thinking="hard")


# --- what it may depend on


async def test_a_session_may_be_closed_to_messages(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.sessions.admin.patch("main", {"sendPolicy": "deny"})
        with pytest.raises(RequestError, match="INVALID_REQUEST: send blocked by session policy"):
            await held.send("hello", "run-1")
        assert texts(await held.history()) == []


async def test_an_agent_that_there_is_not_answers_nobody(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        with pytest.raises(RequestError, match='unknown agent id "nobody"'):
            await held.send("hello", "run-1", key="agent:nobody:main")
        with pytest.raises(RequestError, match='unknown agent id "nobody"'):
            await held.send("hello", "run-1", agent_id="nobody")
        with pytest.raises(RequestError, match='agentId "nobody" does not match sessionKey agent:main:main'):
            await held.send("hello", "run-1", key=KEY, agent_id="nobody")
        assert await held.send("hello", "run-1", agent_id="MAIN") == {"runId": "run-1", "status": "started"}
        await held.ended("run-1")
        assert len(texts(await held.history(KEY))) == 2


async def test_an_agent_may_be_named_beside_a_bare_key(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        for number, (key, agent_id, meant) in enumerate(
            (
                ("main", "ops", "agent:ops:main"),
                ("garden", "OPS", "agent:ops:garden"),
                ("agent:ops:garden", None, "agent:ops:garden"),
                ("garden", None, "agent:main:garden"),
            )
        ):
            await held.send("hello", f"run-{number}", key=key, agent_id=agent_id)
            assert (await held.ended(f"run-{number}"))["sessionKey"] == meant
        with pytest.raises(RequestError, match='agentId "ops" does not match sessionKey global'):
            await held.send("hello", "run-9", key="global", agent_id="ops")


async def test_a_message_for_a_conversation_that_is_over_is_refused(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
        seen = await held.history(generation=V4)
        session_id, last = seen["sessionId"], seen["sessionInfo"]["activeLeafEntryId"]
        await held.send("again", "run-2", expected_session_id=session_id, expected_last=last)
        await held.ended("run-2")
        await held.send("older", "run-3", expected_last=last)
        await held.ended("run-3")
        await held.send("/new hello", "run-new")
        await held.ended("run-new")
        for stale in ({"expected_session_id": session_id}, {"expected_last": last}, {"expected_last": None}):
            with pytest.raises(RequestError, match=NEW_CONVERSATION):
                await held.send("late", "run-4", **stale)
        assert texts(await held.history())[0] == ("user", "hello")
        assert len(texts(await held.history())) == 2


async def test_a_retry_is_answered_though_the_conversation_is_over(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
        seen: dict[str, Any] = {"expected_session_id": (await held.history())["sessionId"]}
        await held.send("again", "run-2", **seen)
        await held.ended("run-2")
        await held.send("/new hello", "run-new")
        await held.ended("run-new")
        assert await held.send("again", "run-2", **seen) == {"runId": "run-2", "status": "ok"}


async def test_a_first_message_may_insist_on_being_the_first(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1", expected_last=None)
        await held.ended("run-1")
        with pytest.raises(RequestError, match=NEW_CONVERSATION):
            await held.send("hello too", "run-2", expected_last=None)


async def test_an_interrupting_message_stops_what_is_under_way_and_what_waits(tmp_path: Path) -> None:
    async def first_forever(question: str, emit: Emit) -> Completion:
        return await forever(question, emit) if question == "go on" else Completion("stop", Usage())

    async with stage(tmp_path, first_forever) as held:
        await held.send("go on", "run-1")
        await held.said("run-1", "so far")
        await held.send("and then", "run-2")
        await held.send("no, this", "run-3", interrupts=True)
        assert (await held.ended("run-3"))["state"] == "final"
        assert [(await held.ended(run))["state"] for run in ("run-1", "run-2")] == ["aborted", "aborted"]
        assert await held.send("no, this", "run-3", interrupts=True) == {"runId": "run-3", "status": "ok"}


@pytest.mark.parametrize(
    ("commands", "text", "kept"),
    [
        (Commands.NONE, "/help", [("user", "/help"), ("assistant", "you said /help ")]),
        (Commands.NONE, "stop", [("user", "stop"), ("assistant", "you said stop ")]),
        (Commands.RESETS, "/help", [("user", "/help"), ("assistant", "you said /help ")]),
        (Commands.RESETS, "stop", [("user", "stop"), ("assistant", "you said stop ")]),
        (Commands.RESETS, "/new hello", [("user", "hello"), ("assistant", "you said hello ")]),
    ],
)
async def test_who_sends_says_what_is_a_command(
    tmp_path: Path, commands: Commands, text: str, kept: list[tuple[str, str]]
) -> None:
    async with stage(tmp_path) as held:
        await held.send(text, "run-1", commands=commands)
        await held.ended("run-1")
        assert texts(await held.history()) == kept


# --- who is told


async def test_news_of_a_message_its_run_and_its_answer_come_in_order(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
        await held.sessions.wait("run-1", 10)
        await trio.testing.wait_all_tasks_blocked()
    assert [reason for key, reason in held.news.changes if key == KEY] == ["send", "run-start", "run-end"]
    assert [(key, run, stored.body["role"]) for key, run, stored in held.news.messages] == [
        (KEY, "run-1", "user"),
        (KEY, "run-1", "assistant"),
    ]


# --- waiting


async def test_a_wait_ends_with_the_run(tmp_path: Path) -> None:
    gate = trio.Event()

    async def gated(_: str, emit: Emit) -> Completion:
        await gate.wait()
        return Completion("stop", Usage())

    async with stage(tmp_path, gated) as held:
        outcomes: list[str] = []

        async def wait() -> None:
            run = await held.sessions.wait("run-1", 60)
            assert run is not None
            outcomes.append(run.state.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await held.send("hello", "run-1")
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert outcomes == []
            gate.set()
        assert outcomes == ["done", "done"]
        run = await held.sessions.wait("run-1", 0)
        assert run is not None
        assert run.finished
        assert held.sessions._news._bells == {}


async def test_many_who_wait_for_many_runs_all_hear_of_them(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        ended: list[str] = []

        async def wait(run_id: str) -> None:
            run = await held.sessions.wait(run_id, 60)
            assert run is not None
            assert run.finished
            ended.append(run_id)

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(wait, f"run-{number % 20}")
                nursery.start_soon(held.send, "hello", f"run-{number % 20}", f"room-{number % 20 % 3}")
        assert sorted(set(ended)) == sorted(f"run-{number}" for number in range(20))
        assert len(ended) == 40
        assert held.sessions._news._bells == {}


async def test_a_wait_that_is_over_tells_how_the_run_stands(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("hello", "run-1")
        await held.said("run-1", "so far")
        run = await held.sessions.wait("run-1", 0.01)
        assert run is not None
        assert not run.finished
        assert await held.sessions.wait("nobody", 0.01) is None
        assert held.sessions._news._bells == {}


async def test_a_wait_ends_when_a_queued_run_is_stopped(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("go on", "run-1")
        await held.said("run-1", "so far")
        await held.send("and then", "run-2")
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                run = await held.sessions.wait("run-2", 60)
                assert run is not None
                assert run.state.value == "aborted"

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await held.sessions.abort("main", "run-2")


async def test_a_wait_ends_when_the_session_is_deleted(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        await held.send("go on", "run-1", key="garden")
        await held.said("run-1", "so far")
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                run = await held.sessions.wait("run-1", 60)
                assert run is None or run.finished

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert await held.sessions.admin.delete("garden")


async def test_only_what_a_session_does_now_can_be_stopped(tmp_path: Path) -> None:
    async with stage(tmp_path, forever) as held:
        assert await held.sessions.abort_current("main") == []
        await held.send("go on", "run-1")
        await held.said("run-1", "so far")
        await held.send("and then", "run-2")
        assert await held.sessions.abort_current("main") == ["run-1"]
        await held.said("run-2", "so far")


# --- inject


async def test_what_is_injected_is_told_stored_and_read_by_no_model(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
        message_id = await held.sessions.writing.inject("main", None, "the disk is full", "ops")
        v3, v4 = held.of(f"inject-{message_id}")[0], held.of(f"inject-{message_id}", generation=V4)[0]
        assert (v3["sessionKey"], v3["seq"], v3["state"]) == (KEY, 0, "final")
        assert v3["message"]["content"] == [{"type": "text", "text": "[ops]\n\nthe disk is full"}]
        assert (v3["message"]["provider"], v3["message"]["model"]) == ("openclaw", "gateway-injected")
        assert v4 == v3 | {"agentId": "main"}
        assert held.news.changes[-1] == (KEY, "inject")
        assert held.news.messages[-1][1] is None
        last = (await held.history())["messages"][-1]
        assert last["__openclaw"]["id"] == message_id
        await held.send("and now?", "run-2")
        await held.ended("run-2")
    assert "disk" not in str(held.model.requests[-1])


async def test_nothing_is_injected_into_a_session_that_is_not_there(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        with pytest.raises(RequestError, match="INVALID_REQUEST: session not found"):
            await held.sessions.writing.inject("garden", None, "hello", None)
        await held.send("hello", "run-1")
        with pytest.raises(RequestError, match="message must not contain null bytes"):
            await held.sessions.writing.inject("main", None, "a\x00b", None)


# --- create


async def test_a_session_can_be_made_before_anything_is_said(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        made = await held.sessions.writing.create(NewSession(settings={"label": "Garden"}))
        assert made.key.startswith("agent:main:dashboard:")
        assert (made.label, held.news.changes[-1]) == ("Garden", (made.key, "create"))
        row = await held.sessions.describe(made.key)
        assert row is not None
        assert (row["label"], row["sessionId"]) == ("Garden", made.session_id)
        assert (await held.history(made.key))["sessionId"] == made.session_id


async def test_the_same_idempotency_key_makes_one_session(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        first = await held.sessions.writing.create(NewSession(idempotency_key="once"))
    async with stage(tmp_path) as held:
        again = await held.sessions.writing.create(NewSession(idempotency_key="once"))
        other = await held.sessions.writing.create(NewSession(idempotency_key="twice"))
    assert (again.key, again.session_id) == (first.key, first.session_id)
    assert other.key != first.key


async def test_making_a_session_that_is_there_changes_its_settings_only(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
        made = await held.sessions.writing.create(NewSession(key="main", settings={"label": "Home"}))
        assert (made.key, made.label) == (KEY, "Home")
        assert len(texts(await held.history())) == 2
        assert (KEY, "create") not in held.news.changes


async def test_a_session_of_nobody_is_not_made(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        with pytest.raises(RequestError, match='unknown agent id "nobody"'):
            await held.sessions.writing.create(NewSession(agent_id="nobody"))
        with pytest.raises(RequestError, match="unknown parent session: garden"):
            await held.sessions.writing.create(NewSession(parent_key="garden"))
