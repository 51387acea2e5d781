"""Administration of sessions: patch, reset, delete, compact, resolve, preview."""

from pathlib import Path

import pytest
import trio

from openclawd.agents.model import Completion, Emit, TextDelta, Usage
from openclawd.agents.roster import AgentProfile, Roster
from openclawd.protocol.errors import ErrorCode, RequestError
from openclawd.sessions.addresses import Addresses
from openclawd.sessions.admin import Compaction, Live, SessionAdmin
from openclawd.sessions.finding import Reference
from openclawd.sessions.listing import Listing
from openclawd.sessions.registry import HistoryQuery
from openclawd.sessions.settings import Chooser
from openclawd.store.administration import Expected
from openclawd.store.conversations import Conversations
from openclawd.store.runs import RunQueue
from tests.sessions.shelf import Shelf
from tests.sessions.stage import KEY, Stage, echo, stage, texts

ROOM = "agent:main:room"


async def slow(_question: str, emit: Emit) -> Completion:
    """Begins, and goes on for ever."""
    emit(TextDelta("well "))
    await trio.sleep_forever()
    raise AssertionError("never ends")


async def say(held: Stage, *messages: str, key: str = "room") -> None:
    for message in messages:
        await held.send(message, f"run {message}", key=key)
        await held.ended(f"run {message}")


async def test_a_patch_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        await held.sessions.admin.patch("room", {"label": "Room", "verboseLevel": "on"})
        session = await held.sessions.admin.patch("room", {"verboseLevel": None, "responseUsage": "full"})
    assert (session.key, session.label, dict(session.settings)) == (ROOM, "Room", {"responseUsage": "full"})
    assert held.news.changes == [(ROOM, "patch"), (ROOM, "patch")]


async def test_a_patch_makes_a_session_that_is_missing_but_for_no_unknown_agent(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.sessions.admin.patch("fresh", {"label": "Fresh"})
        assert (await held.sessions.describe("fresh") or {})["label"] == "Fresh"
        with pytest.raises(RequestError, match='unknown agent id "nobody"'):
            await held.sessions.admin.patch("agent:nobody:main", {"label": "x"})


async def test_a_label_names_one_session(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.sessions.admin.patch("a", {"label": "Mine"})
        with pytest.raises(RequestError, match="label already in use: Mine"):
            await held.sessions.admin.patch("b", {"label": "Mine", "verboseLevel": "on"})
        assert await held.sessions.describe("b") is None, "nothing of a refused patch is kept"
        await held.sessions.admin.patch("a", {"label": "Mine"})
        await held.sessions.admin.patch("a", {"label": None})
        assert (await held.sessions.admin.patch("b", {"label": "Mine"})).label == "Mine"


async def test_a_mark_leaves_a_session_in_its_place_of_the_list(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        before = await held.sessions.admin.patch("room", {"label": "Room"})
        assert (
            await held.sessions.admin.patch("room", {"pinned": True})
        ).updated_at_ms == before.updated_at_ms
        assert (await held.sessions.admin.patch("room", {"label": "R"})).updated_at_ms > before.updated_at_ms


async def test_a_patch_for_another_conversation_is_refused(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        session = await held.sessions.admin.patch("room", {"label": "Room"})
        await held.sessions.admin.reset("room")
        with pytest.raises(RequestError, match="has changed since it was read"):
            await held.sessions.admin.patch(
                "room", {"label": "Late"}, expected=Expected(session_id=session.session_id)
            )


async def test_another_model_is_the_one_of_the_row_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        await say(held, "hello")
        await held.sessions.admin.patch("room", {"model": "clever"})
        chosen = await held.sessions.describe("room") or {}
        await held.sessions.admin.patch("room", {"model": None})
        back = await held.sessions.describe("room") or {}
    assert (chosen["model"], chosen["modelOverrideSource"]) == ("clever", "user")
    assert (back["model"], back["modelOverrideSource"]) == ("plain", None)


async def test_a_reset_begins_anew_and_keeps_what_was_chosen(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        await say(held, "old words")
        before = await held.sessions.admin.patch("room", {"label": "Room", "verboseLevel": "on"})
        session = await held.sessions.admin.reset("room")
        assert texts(await held.history("room")) == []
        row = await held.sessions.describe("room") or {}
    assert session.session_id != before.session_id
    assert (session.label, session.settings, session.total_tokens) == ("Room", {"verboseLevel": "on"}, None)
    assert {"status", "derivedTitle", "totalTokens"}.isdisjoint(row) or row["derivedTitle"] == "Room"
    assert held.news.changes[-1] == (ROOM, "reset")


async def test_a_reset_makes_a_session_that_is_missing(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        assert (await held.sessions.admin.reset("room")).key == ROOM
        former = await held.database.read(
            lambda connection: connection.execute("SELECT * FROM former_conversations").fetchall()
        )
    assert former == []


async def test_a_reset_stops_what_is_under_way_and_what_waits(tmp_path: Path) -> None:
    async with stage(tmp_path, slow) as held:
        await held.send("one", "run-1", key="room")
        await held.send("two", "run-2", key="room")
        await held.said("run-1", "well ")
        await held.sessions.admin.reset("room")
        ends = [(await held.ended(run_id))["state"] for run_id in ("run-1", "run-2")]
    assert ends == ["aborted", "aborted"]


async def test_a_session_that_does_not_come_to_rest_is_not_reset(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with stage(tmp_path, serving=False) as held:
        await held.send("one", "run-1", key="room")
        with pytest.raises(RequestError, match="Session agent:main:room is still active") as refused:
            await deaf_admin(held).reset("room")
    assert refused.value.shape.code is ErrorCode.UNAVAILABLE
    assert refused.value.shape.retryable


def deaf_admin(held: Stage) -> SessionAdmin:
    """The administration of sessions that do not stop."""

    async def nothing(*_: object) -> None:
        await trio.lowlevel.checkpoint()

    conversations, roster = (
        Conversations(held.database),
        Roster([AgentProfile("main", Path("/"))], "main", "x"),
    )
    return SessionAdmin(
        conversations,
        RunQueue(held.database),
        listing=Listing(conversations, Shelf(), roster=roster, now_ms=held.clock),
        chooser=Chooser(Shelf()),
        addresses=Addresses(roster),
        main_key=KEY,
        live=Live(stop=nothing, wake=lambda _key: None, wait=nothing),
        news=held.news,
        now_ms=held.clock,
        new_id=lambda: "new",
    )


async def test_a_deleted_session_is_gone_with_all_its_conversations(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await say(held, "first")
        await held.send("/new second", "run-2", key="room")
        await held.ended("run-2")
        await say(held, "kept", key="other")
        assert await held.sessions.admin.delete("ROOM") is True
        assert await held.sessions.admin.delete("room") is False
        left = await held.database.read(
            lambda connection: [
                connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
                for table in ("sessions", "messages", "runs", "former_conversations")
            ]
        )
        assert texts(await held.history("room")) == []
    assert left == [1, 2, 3, 0], "of its runs is kept that they were accepted"
    assert held.news.changes[-1] == (ROOM, "delete")


async def test_a_session_that_works_is_stopped_and_deleted(tmp_path: Path) -> None:
    async with stage(tmp_path, slow) as held:
        await held.send("one", "run-1", key="room")
        await held.said("run-1", "well ")
        assert await held.sessions.admin.delete("room")
        assert (await held.ended("run-1"))["state"] == "aborted"


async def test_the_main_session_stays(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        with pytest.raises(RequestError, match=r"Cannot delete the main session \(agent:main:main\)\."):
            await held.sessions.admin.delete("main")


async def test_only_the_session_that_was_seen_is_deleted(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        session = await held.sessions.admin.patch("room", {"label": "Room"})
        for expected in (
            Expected(session_id="another"),
            Expected(updated_at_ms=session.updated_at_ms - 1),
            Expected(archived=True),
        ):
            with pytest.raises(RequestError, match="has changed since it was read"):
                await held.sessions.admin.delete("room", expected=expected)
        seen = Expected(session_id=session.session_id, updated_at_ms=session.updated_at_ms)
        assert await held.sessions.admin.delete("room", expected=seen)


async def test_compacting_to_a_number_keeps_the_last_messages_for_people_and_model(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await say(held, "one", "two", "three")
        assert await held.sessions.admin.compact("room", 2) == Compaction(compacted=True, kept=2)
        assert texts(await held.history("room"))[0] == ("user", "three")
        await say(held, "four")
        told = [message.text for message in held.model.requests[-1].messages[1:]]
    assert told == ["three", "you said three ", "four"]


async def test_compacting_what_is_short_already_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        assert await held.sessions.admin.compact("room", 2) == Compaction(
            compacted=False, reason="no sessionId"
        )
        await say(held, "one")
        assert await held.sessions.admin.compact("room", 2) == Compaction(compacted=False, kept=2)


async def test_a_conversation_that_works_is_not_cut(tmp_path: Path) -> None:
    async with stage(tmp_path, slow) as held:
        await held.send("one", "run-1", key="room")
        await held.send("two", "run-2", key="room")
        with pytest.raises(RequestError, match="is still active"):
            await held.sessions.admin.compact("room", 1)


async def test_the_model_sums_a_conversation_up_and_goes_on_from_there(tmp_path: Path) -> None:
    async def script(question: str, emit: Emit) -> Completion:
        if question in {"one", "two"}:
            return await echo(question, emit)
        emit(TextDelta("SUMMARY"))
        return Completion("stop", Usage(input=5, output=1))

    async with stage(tmp_path, script) as held:
        await say(held, "one")
        assert await held.sessions.admin.compact("room", None) == Compaction(compacted=True)
        shown = texts(await held.history("room"))
        summed_up = await held.sessions.record("room")
        await say(held, "two")
        told = [message.text for message in held.model.requests[-1].messages[1:]]
    assert shown[-1] == ("assistant", "SUMMARY")
    assert summed_up is not None
    assert summed_up.total_tokens is None, "nobody has counted yet what is left"
    assert "SUMMARY" in " ".join(told)
    assert not any("you said one" in text for text in told)
    assert (ROOM, "compact") in held.news.changes


async def test_a_summary_that_fails_says_why_and_changes_nothing(tmp_path: Path) -> None:
    async def script(question: str, emit: Emit) -> Completion:
        if question == "one":
            return await echo(question, emit)
        raise RuntimeError("no")

    async with stage(tmp_path, script) as held:
        await say(held, "one")
        done = await held.sessions.admin.compact("room", None)
        query = HistoryQuery("room", limit=10)
        assert "one" in str(await held.sessions.reading.history(query, 3))
    assert (done.compacted, done.failed) == (False, True)
    assert done.reason


async def test_an_empty_session_has_nothing_to_sum_up(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        assert (await held.sessions.admin.compact("room", None)).reason == "no sessionId"
        await held.sessions.admin.patch("room", {"label": "x"})
        assert (await held.sessions.admin.compact("room", None)).reason == "no transcript"


async def found(held: Stage, **reference: object) -> list[str]:
    return [session.key for session in await held.sessions.finder.find(Reference(**reference))]  # type: ignore[arg-type]


async def test_a_session_is_resolved_by_key_label_and_id(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        session = await held.sessions.admin.patch("room", {"label": "My Room"})
        assert await found(held, key="main") == []
        assert await found(held, key="ROOM") == [ROOM]
        assert await found(held, label="My Room") == [ROOM]
        assert await found(held, label="My Room", agent_id="ops") == []
        assert await found(held, session_id=session.session_id) == [ROOM]
        assert await found(held, session_id=session.session_id[:8]) == []
        assert await found(held, short_id=session.session_id[:8]) == [ROOM]


async def test_several_that_may_be_meant_are_told_apart_by_their_names(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.sessions.admin.patch("a", {"label": "The Garden!"})
        await held.sessions.admin.patch("b", {"label": "The House"})
        assert sorted(await found(held, short_id="")) == ["agent:main:a", "agent:main:b"]
        assert await found(held, short_id="", slug_hint="the-garden") == ["agent:main:a"]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (Reference(), "Either key, sessionId, or label is required"),
        (Reference(key="a", label="b"), "Provide either key, sessionId, or label (not multiple)"),
    ],
)
async def test_one_thing_names_a_session(tmp_path: Path, reference: Reference, words: str) -> None:
    async with stage(tmp_path) as held:
        with pytest.raises(RequestError) as refused:
            await held.sessions.finder.find(reference)
    assert refused.value.shape.message == words


async def test_a_preview_shows_the_last_words_of_each_session(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await say(held, "a long question about everything")
        await held.sessions.admin.patch("silent", {"label": "x"})
        previews = await held.sessions.finder.preview(["room", "silent", "main", "agent::x"], 12, 20)
    assert previews == [
        {
            "key": "room",
            "status": "ok",
            "items": [
                {"role": "user", "text": "a long question a..."},
                {"role": "assistant", "text": "you said a long q..."},
            ],
        },
        {"key": "silent", "status": "empty", "items": []},
        {"key": "main", "status": "missing", "items": []},
        {"key": "agent::x", "status": "missing", "items": []},
    ]


async def test_the_main_key_is_the_same_session_however_it_is_written(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        assert (await held.sessions.admin.patch("MAIN", {"label": "M"})).key == KEY
