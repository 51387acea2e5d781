"""What several clients do to one session at once, and what a client sends again: nothing is done twice."""

import base64
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from openclawd.agents.model import Completion, Emit, TextDelta
from openclawd.protocol.errors import RequestError
from openclawd.sessions.writing import NewSession
from openclawd.store.administration import Expected
from tests.sessions.shelf import Shelf
from tests.sessions.stage import KEY, Stage, echo, stage

ROOM = "agent:main:room"


async def slow(_question: str, emit: Emit) -> Completion:
    """Begins, and goes on for ever."""
    emit(TextDelta("well "))
    await trio.sleep_forever()
    raise AssertionError("never ends")


async def say(held: Stage, message: str, key: str) -> None:
    await held.send(message, f"{message} in {key}", key)
    await held.ended(f"{message} in {key}")


# --- what is refused, and what is under way


@pytest.mark.parametrize("expected", [Expected(session_id="another"), Expected(archived=True)])
async def test_a_delete_that_is_refused_stops_nothing(tmp_path: Path, expected: Expected) -> None:
    async with stage(tmp_path, slow) as held:
        await held.send("one", "run-1", key="room")
        await held.send("two", "run-2", key="room")
        await held.said("run-1", "well ")
        with pytest.raises(RequestError, match="has changed since it was read"):
            await held.sessions.admin.delete("room", expected=expected)
        unfinished = (await held.history("room"))["activeRuns"]
    assert [(run["runId"], run["state"]) for run in unfinished] == [("run-1", "running"), ("run-2", "queued")]


async def test_a_session_that_works_is_deleted_as_it_was_seen(tmp_path: Path) -> None:
    async with stage(tmp_path, slow) as held:
        await held.send("one", "run-1", key="room")
        await held.said("run-1", "well ")
        row = await held.sessions.describe("room")
        assert row is not None
        assert await held.sessions.admin.delete("room", expected=Expected(updated_at_ms=row["updatedAt"]))
        assert (await held.ended("run-1"))["state"] == "aborted"


# --- a session that is deleted stays deleted


@pytest.mark.parametrize("attempt", range(4))
async def test_words_put_into_a_session_that_is_being_deleted_do_not_bring_it_back(
    tmp_path: Path, attempt: int
) -> None:
    async with stage(tmp_path) as held:
        await say(held, "hello", "room")

        async def inject() -> None:
            # Refused, or in time to be deleted with the rest.
            with suppress(RequestError):
                await held.sessions.writing.inject("room", None, "the disk is full", None)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(inject)
            # As deep in the queue of the store as the other is when it has read the session.
            for _ in range(attempt):
                await trio.lowlevel.checkpoint()
            assert await held.sessions.admin.delete("room")
        assert await held.sessions.describe("room") is None


@pytest.mark.parametrize("attempt", range(4))
async def test_a_summary_of_a_session_that_is_being_deleted_does_not_bring_it_back(
    tmp_path: Path, attempt: int
) -> None:
    async with stage(tmp_path) as held:
        await say(held, "hello", "room")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held.sessions.admin.compact, "room", None)
            for _ in range(attempt):
                await trio.lowlevel.checkpoint()
            assert await held.sessions.admin.delete("room")
        assert await held.sessions.describe("room") is None


async def test_of_two_deletes_one_deletes(tmp_path: Path) -> None:
    deleted: list[bool] = []
    async with stage(tmp_path, slow) as held:
        await held.send("one", "run-1", key="room")
        await held.said("run-1", "well ")

        async def delete() -> None:
            deleted.append(await held.sessions.admin.delete("room"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(delete)
            nursery.start_soon(delete)
        ends = [event for event in held.of("run-1", "chat") if event["state"] == "aborted"]
    assert sorted(deleted) == [False, True]
    assert len(ends) == 1


# --- what is sent again


async def test_a_message_of_a_deleted_session_that_is_sent_again_is_not_answered_again(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1", "room", extra_system_prompt="whisper")
        await held.ended("run-1")
        await held.sessions.admin.delete("room")
        assert await held.send("hello", "run-1", "room") == {"runId": "run-1", "status": "ok"}
        assert await held.sessions.describe("room") is None
        kept = await held.database.read(
            lambda connection: connection.execute("SELECT * FROM runs").fetchall()
        )
    assert len(held.model.requests) == 1
    assert "whisper" not in str(kept), "that it was accepted is kept, and nothing that was said"


async def test_what_was_accepted_is_acknowledged_again_whatever_was_chosen_since(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
        await held.sessions.admin.patch("main", {"sendPolicy": "deny"})
        assert await held.send("hello", "run-1") == {"runId": "run-1", "status": "ok"}
        with pytest.raises(RequestError, match="send blocked by session policy"):
            await held.send("hello", "run-2")


async def test_making_a_session_again_undoes_nothing_that_was_chosen_since(tmp_path: Path) -> None:
    wanted = NewSession(idempotency_key="once", settings={"model": "clever"})
    async with stage(tmp_path, models=Shelf()) as held:
        made = await held.sessions.writing.create(wanted)
        await held.sessions.admin.patch(made.key, {"model": "plain"})
        again = await held.sessions.writing.create(wanted)
    assert (again.session_id, again.settings["model"]) == (made.session_id, "scripted/plain")


# --- what waits, and a new conversation


async def test_a_file_that_waits_is_read_though_a_new_conversation_was_begun(tmp_path: Path) -> None:
    go = trio.Event()

    async def script(question: str, emit: Emit) -> Completion:
        await go.wait()
        return await echo(question, emit)

    file = {"fileName": "list.txt", "mimeType": "text/plain", "content": base64.b64encode(b"milk").decode()}
    async with stage(tmp_path, script) as held:
        await held.send("one", "run-1")
        await held.send("what shall I buy?", "run-2", attachments=[file])
        await held.send("/new and now?", "run-3")
        go.set()
        await held.ended("run-3")
        asked = [request.messages[-1].text for request in held.model.requests]
    assert "milk" in asked[1]
    assert "milk" not in asked[2]
    assert held.of("run-2", "chat")[-1]["sessionKey"] == KEY
