"""The chat over the wire: the order of its events, what a key is worth, stops, commands, faults."""

from collections.abc import Generator
from itertools import pairwise
from typing import Any

import pytest
import trio

from tests.fake_provider import SPLIT_TEXT
from tests.process.chats import MAIN, TERMINAL, history, said, send, settled_history, story, text_of
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import KEY, ProviderProcess, provider_process
from tests.support.shapes import misfits
from tests.support.wire_client import Refused, wire_client

pytestmark = pytest.mark.process

# Stock pages redraw at each delta; this is how often they are used to it.
DELTA_INTERVAL_MS = 150


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    with gateway_process(provider.config()) as running:
        yield running


def chats(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The payloads of the chat events."""
    return [frame["payload"] for frame in frames if frame["event"] == "chat"]


def agents(frames: list[dict[str, Any]], stream: str | None = None) -> list[dict[str, Any]]:
    """The payloads of the agent events, of one stream if given."""
    payloads = [frame["payload"] for frame in frames if frame["event"] == "agent"]
    return [payload for payload in payloads if stream in {None, payload["stream"]}]


def words(count: int) -> str:
    return "".join(f"word{number} " for number in range(1, count + 1))


# --- an answer streams in


async def test_the_events_of_a_run_come_in_stocks_order_and_shapes(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        assert await send(client, "order", "stream please SLOW=6", "order") == {
            "runId": "order",
            "status": "started",
        }
        assert not [frame for frame in client.seen if frame.get("event") in {"chat", "agent"}], "ack first"
        frames = await story(client, "order")

    key = "agent:main:order"
    first, *between, end, final = frames
    assert (
        misfits(first["payload"], {"stream": "lifecycle", "data": {"phase": "start", "startedAt": int}}) == []
    )
    assert misfits(end["payload"], {"stream": "lifecycle", "data": {"phase": "end", "endedAt": int}}) == []
    assert (
        misfits(final["payload"], {"state": "final", "message": {"role": "assistant", "timestamp": int}})
        == []
    )
    assert text_of(final["payload"]["message"]) == words(6)
    assert {
        (frame["event"], frame["payload"].get("stream"), frame["payload"].get("state")) for frame in between
    } == {
        ("agent", "assistant", None),
        ("chat", None, "delta"),
    }
    for frame in frames:
        assert (
            misfits(frame, {"type": "event", "seq": int, "payload": {"runId": "order", "sessionKey": key}})
            == []
        )
        if frame["event"] == "agent":
            assert set(frame["payload"]) == {"runId", "stream", "data", "sessionKey", "seq", "ts"}
        else:
            usage = {"usage"} if frame["payload"]["state"] == "final" else set()
            assert set(frame["payload"]) == {"runId", "sessionKey", "seq", "state", "message"} | usage
    numbers = [frame["seq"] for frame in frames]
    assert numbers == sorted(set(numbers)), "the frames' own seq grows"


async def test_the_seq_of_a_run_counts_its_agent_events_from_1(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "counted", "count SLOW=4", "counted")
        frames = await story(client, "counted")
    assert [payload["seq"] for payload in agents(frames)] == list(range(1, len(agents(frames)) + 1))
    latest = 0
    for frame in frames:
        if frame["event"] == "agent":
            latest = frame["payload"]["seq"]
        assert frame["payload"]["seq"] == latest, (
            "a chat event has the number of the agent event it belongs to"
        )


async def test_text_is_cumulative_and_nothing_of_it_is_lost(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "tiny", "TINY=3000", "tiny")
        frames = await story(client, "tiny")
    whole = text_of(chats(frames)[-1]["message"])
    assert len(whole) == 3000
    so_far = ""
    for payload in agents(frames, "assistant"):
        so_far += payload["data"]["delta"]
        assert payload["data"]["text"] == so_far
    assert so_far == whole
    shown = [text_of(payload["message"]) for payload in chats(frames)]
    for shorter, longer in pairwise(shown):
        assert longer.startswith(shorter)


async def test_deltas_come_at_most_every_150_ms(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "paced", "SLOW=12", "paced")
        frames = await story(client, "paced")
    stamps = [payload["message"]["timestamp"] for payload in chats(frames) if payload["state"] == "delta"]
    assert len(stamps) >= 3
    # By the gateway's own clock; a millisecond is lost to its rounding.
    assert all(later - earlier >= DELTA_INTERVAL_MS - 1 for earlier, later in pairwise(stamps))


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("SPLIT", SPLIT_TEXT),
        ("BIG=100000", "x" * 100_000),
        ("please PAUSE=0.5 here", "You said: please PAUSE=0.5 here"),
        ("THINK hard", "You said: THINK hard"),
        ("LENGTH", "cut sh"),
        ("WHOLE", "You said: WHOLE"),
        ("NO_DONE", "You said: NO_DONE"),
        ("LINGER", "You said: LINGER"),
        ("RATE_LIMIT=0", "You said: RATE_LIMIT=0"),
        ("FAIL_ONCE", "You said: FAIL_ONCE"),
        ("DROP_ONCE", "You said: DROP_ONCE"),
    ],
)
async def test_a_server_that_streams_badly_is_understood(
    gateway: GatewayProcess, message: str, answer: str
) -> None:
    run_id = f"bad-{message.replace(' ', '-')}"
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, run_id, message, run_id)
        frames = await story(client, run_id)
        final = chats(frames)[-1]
        assert (final["state"], text_of(final["message"])) == ("final", answer)
        messages = await history(client, run_id)
    assert said(messages)[0] == ("user", message)
    assert said(messages)[1][0] == "assistant"


# --- every client of a conversation


async def test_every_client_hears_it_with_the_canonical_key_whatever_alias_was_sent(
    gateway: GatewayProcess,
) -> None:
    async with wire_client(gateway.port) as sender, wire_client(gateway.port) as listener:
        await sender.connect(token=TOKEN)
        await listener.connect(token=TOKEN, protocol=(4, 4), device=Device())
        for run_id, alias in (("alias-1", "main"), ("alias-2", "MAIN"), ("alias-3", "agent:main:main")):
            await send(sender, run_id, "hello", alias)
            for client in (sender, listener):
                final = await client.event("chat", runId=run_id, state="final")
                assert final["payload"]["sessionKey"] == MAIN


async def test_the_history_is_in_stocks_shape_and_tells_the_same_under_every_alias(
    gateway: GatewayProcess,
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "told", "tell me", "agent:main:told")
        await client.event("chat", runId="told", state="final")
        messages = await history(client, "told")
        assert messages == await history(client, "agent:main:told")
        assert [row["role"] for row in messages] == ["user", "assistant"]
        assert await client.call("chat.history", {"sessionKey": "told", "limit": 1}) == {
            **await client.call("chat.history", {"sessionKey": "told"}),
            "messages": messages[-1:],
            "hasMore": True,
            "nextOffset": 1,
        }
    user, assistant = messages
    assert misfits(user, {"content": [{"type": "text", "text": "tell me"}], "timestamp": int}) == []
    answer = {"provider": "fake", "model": "fake-model", "api": "openai-completions", "stopReason": "stop"}
    assert misfits(assistant, answer | {"timestamp": int}) == []
    assert not {"usage", "cost", "details"} & set(assistant)


async def test_the_conversation_so_far_goes_to_the_model(
    gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        for number in (1, 2):
            await send(client, f"context-{number}", f"question {number}", "context")
            await client.event("chat", runId=f"context-{number}", state="final")
    (asked,) = provider.asked("question 2")
    told = [(row["role"], row["content"]) for row in asked["body"]["messages"] if row["role"] != "system"]
    assert told == [("user", "question 1"), ("assistant", "You said: question 1"), ("user", "question 2")]
    assert asked["body"]["stream"] is True


async def test_a_run_goes_on_when_who_started_it_has_left(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as stays:
        await stays.connect(token=TOKEN)
        async with wire_client(gateway.port) as leaves:
            await leaves.connect(token=TOKEN)
            await send(leaves, "left", "I cannot wait SLOW=5", "left")
        final = await stays.event("chat", runId="left", state="final")
    assert text_of(final["payload"]["message"]) == words(5)


async def test_who_comes_back_in_the_middle_finds_what_was_said_so_far(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "middle", "HANG_MIDDLE", "middle")
        await client.event("chat", runId="middle", state="delta")
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        found = await client.call("chat.history", {"sessionKey": "middle"})
        assert (
            misfits(found["activeRuns"], [{"runId": "middle", "state": "running", "text": "Half of "}]) == []
        )
        await client.call("chat.abort", {"sessionKey": "middle"})


# --- once


async def test_an_idempotency_key_runs_once(gateway: GatewayProcess, provider: ProviderProcess) -> None:
    question = "only once SLOW=5"
    async with wire_client(gateway.port) as client, wire_client(gateway.port) as other:
        await client.connect(token=TOKEN)
        await other.connect(token=TOKEN)
        assert (await send(client, "once", question, "once"))["status"] == "started"
        assert await send(other, "once", question, "once") == {"runId": "once", "status": "in_flight"}
        await client.event("chat", runId="once", state="final")
        assert await send(other, "once", question, "once") == {"runId": "once", "status": "ok"}
        with pytest.raises(Refused, match="idempotencyKey was used for another session"):
            await send(client, "once", "other words", "elsewhere")
        assert said(await settled_history(client, "once")) == [("user", question), ("assistant", words(5))]
    assert len(provider.asked(question)) == 1
    assert provider.asked("other words") == []


async def test_many_clients_that_send_one_key_at_once_start_one_run(
    gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    answers = []

    async def hurry() -> None:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            answers.append(await send(client, "race", "who is first", "race"))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(hurry)
    assert [answer["status"] for answer in answers].count("started") == 1
    assert {answer["status"] for answer in answers} <= {"started", "in_flight", "ok"}
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        assert len(await settled_history(client, "race")) == 2
    assert len(provider.asked("who is first")) == 1


async def test_a_failed_key_is_not_tried_again(gateway: GatewayProcess, provider: ProviderProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "failed", "please FORBIDDEN", "failed")
        await client.event("chat", runId="failed", state="error")
        asked = len(provider.asked("please FORBIDDEN"))
        with pytest.raises(Refused) as refused:
            await send(client, "failed", "please FORBIDDEN", "failed")
    assert refused.value.error["code"] == "UNAVAILABLE"
    assert len(provider.asked("please FORBIDDEN")) == asked


# --- one after the other, and side by side


async def test_a_session_takes_one_turn_at_a_time_and_queues_the_rest_in_order(
    gateway: GatewayProcess,
) -> None:
    runs = [f"turn-{number}" for number in range(4)]
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        for run_id in runs:
            assert (await send(client, run_id, f"{run_id} SLOW=2", "turns"))["status"] == "started"
        active = (await client.call("chat.history", {"sessionKey": "turns"}))["activeRuns"]
        assert [row["runId"] for row in active][-1] == runs[-1]
        frames = [frame for run_id in runs for frame in await story(client, run_id)]
        messages = await history(client, "turns")
    in_order = sorted(frames, key=lambda frame: int(frame["seq"]))
    assert [frame["payload"]["runId"] for frame in in_order] == [
        frame["payload"]["runId"] for frame in frames
    ]
    assert said(messages) == [
        pair for run_id in runs for pair in (("user", f"{run_id} SLOW=2"), ("assistant", words(2)))
    ]


async def test_sessions_do_not_wait_for_each_other(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "endless", "HANG", "endless")
        await send(client, "brief", "quick one", "brief")
        await client.event("chat", runId="brief", state="final")
        assert (await client.call("chat.abort", {"sessionKey": "endless"}))["runIds"] == ["endless"]


# --- stops


async def test_abort_ends_the_model_call_at_once_and_keeps_what_was_said(
    gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "cut", "go on SLOW=600", "cut")
        await client.event("chat", runId="cut", state="delta")
        answer = await client.call("chat.abort", {"sessionKey": "cut", "runId": "cut"})
        assert answer == {"ok": True, "aborted": True, "runIds": ["cut"]}
        aborted = await client.event("chat", runId="cut", state="aborted")
        messages = await history(client, "cut")
    payload = aborted["payload"]
    assert payload["stopReason"] == "rpc"
    partial = text_of(payload["message"])
    assert partial.startswith("word1 ")
    assert said(messages) == [("user", "go on SLOW=600"), ("assistant", partial)]
    assert (
        misfits(
            messages[-1],
            {
                "idempotencyKey": "cut:assistant",
                "openclawAbort": {"aborted": True, "origin": "rpc", "runId": "cut"},
            },
        )
        == []
    )
    (asked,) = provider.asked("go on SLOW=600")
    assert asked["hung_up"], "the provider was told at once"


async def test_abort_of_a_session_stops_what_runs_and_what_waits(
    gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        for run_id in ("runs", "waits"):
            await send(client, run_id, f"{run_id} HANG_MIDDLE", "both")
        await client.event("chat", runId="runs", state="delta")
        answer = await client.call("chat.abort", {"sessionKey": "both"})
        assert (answer["aborted"], sorted(answer["runIds"])) == (True, ["runs", "waits"])
        for run_id in ("runs", "waits"):
            await client.event("chat", runId=run_id, state="aborted")
        assert await send(client, "waits", "waits HANG_MIDDLE", "both") == {"runId": "waits", "status": "ok"}
    assert provider.asked("waits HANG_MIDDLE") == []


async def test_abort_with_another_sessions_run_is_refused(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "mine", "HANG", "mine")
        with pytest.raises(Refused, match="runId does not match sessionKey"):
            await client.call("chat.abort", {"sessionKey": "yours", "runId": "mine"})
        await client.call("chat.abort", {"sessionKey": "agent:main:MINE", "runId": "mine"})
        await client.event("chat", runId="mine", state="aborted")


@pytest.mark.parametrize("words_of_a_person", ["/stop", "stop", "STOP!", "please stop", "Abort."])
async def test_a_stop_word_stops_and_is_no_message(gateway: GatewayProcess, words_of_a_person: str) -> None:
    run_id = f"stop-{words_of_a_person}"
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, run_id, "HANG_MIDDLE", "stops")
        await client.event("chat", runId=run_id, state="delta")
        answer = await send(client, f"{run_id}-itself", words_of_a_person, "stops")
        assert answer == {"ok": True, "aborted": True, "runIds": [run_id]}
        aborted = await client.event("chat", runId=run_id, state="aborted")
        assert aborted["payload"]["stopReason"] == "stop"
        assert words_of_a_person not in [text for _, text in said(await history(client, "stops"))]


async def test_a_stop_with_nothing_to_stop_says_so(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        assert await send(client, "nothing", "/stop", "quiet") == {"ok": True, "aborted": False, "runIds": []}


async def test_a_run_ends_at_its_own_time_limit(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "limited", "HANG_MIDDLE", "limited", timeoutMs=300)
        aborted = await client.event("chat", runId="limited", state="aborted")
    assert aborted["payload"]["stopReason"] == "timeout"
    assert text_of(aborted["payload"]["message"]) == "Half of "


# --- commands


@pytest.mark.parametrize(("command", "mentions"), [("/help", "/status"), ("/status", "fake-model")])
async def test_a_command_is_answered_by_the_gateway_in_one_final_event(
    gateway: GatewayProcess, command: str, mentions: str
) -> None:
    run_id = f"command-{command}"
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        assert (await send(client, run_id, command, run_id))["status"] == "started"
        (frame,) = await story(client, run_id)
        messages = await history(client, run_id)
    payload = frame["payload"]
    assert (payload["state"], payload["seq"]) == ("final", 1)
    assert mentions in text_of(payload["message"])
    shape = {
        "role": "assistant",
        "stopReason": "stop",
        "api": "openai-responses",
        "provider": "openclaw",
        "model": "gateway-injected",
        "usage": {
            "input": int,
            "output": int,
            "cacheRead": int,
            "cacheWrite": int,
            "totalTokens": int,
            "cost": dict,
        },
        "timestamp": int,
    }
    assert misfits(payload["message"], shape) == []
    assert said(messages) == [("assistant", text_of(payload["message"]))], "the command itself is not stored"


@pytest.mark.parametrize("command", ["/new", "/reset"])
async def test_a_new_conversation_begins_and_the_model_greets(
    gateway: GatewayProcess, provider: ProviderProcess, command: str
) -> None:
    session = f"fresh-{command[1:]}"
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, f"before{command}", "remember the lobster", session)
        await client.event("chat", runId=f"before{command}", state="final")
        before = await client.call("chat.history", {"sessionKey": session})
        await send(client, f"greet{command}", command, session)
        greeting = chats(await story(client, f"greet{command}"))[-1]
        assert greeting["state"] == "final"
        after = await client.call("chat.history", {"sessionKey": session})
    assert after["sessionId"] != before["sessionId"]
    assert [row["role"] for row in after["messages"]][-1] == "assistant"
    assert "remember the lobster" not in [text for _, text in said(after["messages"])]
    asked = provider.chats[-1]["body"]["messages"]
    assert not [row for row in asked if "lobster" in row["content"]]


async def test_words_behind_new_are_its_first_message(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "first-words", "/new good morning", "words")
        final = chats(await story(client, "first-words"))[-1]
        assert text_of(final["message"]) == "You said: good morning"
        assert said(await history(client, "words"))[0] == ("user", "good morning")


async def test_another_slash_word_goes_to_the_model(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        for run_id, message in (("slash-1", "/dance with me"), ("slash-2", "/etc/passwd is a file")):
            await send(client, run_id, message, "slash")
            final = chats(await story(client, run_id))[-1]
            assert text_of(final["message"]) == f"You said: {message}"


# --- what cannot be sent


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("", "message or attachment required"),
        ("  \n ", "message or attachment required"),
        ("nul\x00byte", "message must not contain null bytes"),
    ],
)
async def test_a_message_that_says_nothing_is_refused(
    gateway: GatewayProcess, message: str, problem: str
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        with pytest.raises(Refused) as refused:
            await send(client, "useless", message)
    assert refused.value.error == {"code": "INVALID_REQUEST", "message": problem}


async def test_words_are_normalised_on_their_way_in(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "normal", "cafe\u0301\x07\tau lait", "normal")
        await client.event("chat", runId="normal", state="final")
        assert said(await history(client, "normal"))[0] == ("user", "caf\u00e9\tau lait")


# --- faults of the provider, in words


@pytest.mark.parametrize(
    ("message", "mentions", "kept"),
    [
        ("BAD_KEY", ("key", "fake"), ""),
        ("UNKNOWN_MODEL", ("fake-model",), ""),
        ("CONTEXT", ("/new",), ""),
        ("QUOTA", ("quota",), ""),
        ("FAIL", ("fake",), ""),
        ("WEB_PAGE", ("fake",), ""),
        ("EMPTY", ("fake", "empty"), ""),
        ("BREAK_OFF", ("closed the connection", "fake"), "This is where "),
        ("ERROR_INSIDE", ("The engine burnt down",), "So far "),
    ],
)
async def test_a_fault_of_the_provider_reaches_the_user_in_words(
    gateway: GatewayProcess, message: str, mentions: tuple[str, ...], kept: str
) -> None:
    run_id = f"fault-{message}"
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, run_id, message, run_id)
        *_, end, error = await story(client, run_id)
        messages = await history(client, run_id)
    assert (error["payload"]["state"], end["payload"]["data"]["phase"]) == ("error", "error")
    words_for_people = error["payload"]["errorMessage"]
    assert end["payload"]["data"]["error"] == words_for_people
    assert [word for word in mentions if word.lower() not in words_for_people.lower()] == [], words_for_people
    assert KEY not in words_for_people
    assert "Traceback" not in words_for_people
    last = messages[-1]
    assert (last["role"], last["stopReason"], last["errorMessage"]) == (
        "assistant",
        "error",
        words_for_people,
    )
    assert text_of(last) == kept


async def test_a_provider_that_is_not_there_is_named_with_its_address(provider: ProviderProcess) -> None:
    config = provider.config()
    config["models"]["providers"]["fake"]["baseUrl"] = "http://127.0.0.1:9/v1"
    with gateway_process(config) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            await send(client, "gone", "anybody there?")
            error = chats(await story(client, "gone"))[-1]
    assert error["state"] in TERMINAL
    assert "127.0.0.1:9" in error["errorMessage"]


async def test_a_fault_ends_its_own_turn_only(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await send(client, "bad-turn", "RESET", "mixed")
        await send(client, "good-turn", "and now?", "mixed")
        await client.event("chat", runId="bad-turn", state="error")
        final = await client.event("chat", runId="good-turn", state="final")
    assert text_of(final["payload"]["message"]) == "You said: and now?"


# --- nothing configured


async def test_without_a_model_the_built_in_one_answers_and_says_what_it_is() -> None:
    answers = {}
    with gateway_process() as gateway:
        async with wire_client(gateway.port) as client:
            hello = await client.connect(token=TOKEN)
            for number, message in enumerate(("hello", "connect", "/help", "/status")):
                await send(client, f"offline-{number}", message)
                final = chats(await story(client, f"offline-{number}"))[-1]
                assert final["state"] == "final"
                answers[message] = text_of(final["message"])
            assert (await client.call("models.list"))["models"]
    assert "not a language model" in answers["hello"]
    assert "OPENAI_API_KEY" in answers["connect"], "the lines that connect a real model"
    assert "/new" in answers["/help"]
    assert hello["server"]["version"] in answers["/status"]


async def test_openai_api_key_alone_is_enough_to_find_a_model(provider: ProviderProcess) -> None:
    """The key names the provider; here its address is the fake one's, as OPENAI_BASE_URL is read too."""
    environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{provider.url}/v1"}
    with gateway_process(environment=environment) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            providers = {row["provider"] for row in (await client.call("models.list"))["models"]}
    assert "openai" in providers


async def test_an_ollama_on_this_machine_is_found_without_a_config(provider: ProviderProcess) -> None:
    environment = {"OLLAMA_HOST": provider.url.removeprefix("http://")}
    with gateway_process(environment=environment) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            models = {(row["provider"], row["id"]) for row in (await client.call("models.list"))["models"]}
    assert ("ollama", "llama3.2:latest") in models
