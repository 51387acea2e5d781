"""What v4 clients hear, beside v3 clients of the same gateway: their form of the chat, and subscriptions."""

from collections.abc import Generator
from typing import Any, Final

import pytest
import trio

from tests.process.chats import MAIN, send, story, text_of
from tests.process.clients import BACKEND, READ_ONLY
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = pytest.mark.process

V4: Final = (4, 4)


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    with gateway_process(provider.config()) as running:
        yield running


def of(frames: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [frame["payload"] for frame in frames if frame["event"] == event]


# --- the chat


async def test_one_run_is_told_to_each_generation_in_its_own_form(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as older, wire_client(gateway.port) as newer:
        await older.connect(token=TOKEN)
        await newer.connect(token=TOKEN, protocol=V4)
        await send(newer, "both", "stream please SLOW=8", "both")
        heard_v3, heard_v4 = await story(older, "both"), await story(newer, "both")

    assert {chat["state"] for chat in of(heard_v3, "chat")} == {"delta", "final"}
    assert {agent["stream"] for agent in of(heard_v3, "agent")} == {"lifecycle", "assistant"}
    assert all("agentId" not in frame["payload"] for frame in heard_v3)

    chat = of(heard_v4, "chat")
    assert [each["phase"] for each in chat if each["state"] == "status"] == [
        "preparing_context",
        "starting_model",
    ]
    so_far = ""
    for delta in (each for each in chat if each["state"] == "delta"):
        so_far += delta["deltaText"]
        assert text_of(delta["message"]) == so_far
        assert "replace" not in delta
    assert so_far == text_of(chat[-1]["message"]) == text_of(of(heard_v3, "chat")[-1]["message"])
    assert chat[-1]["stopReason"] == "stop"
    assert {(each["agentId"], each["sessionKey"]) for each in chat} == {("main", "agent:main:both")}
    streams = {each["stream"] for each in of(heard_v4, "agent")}
    assert streams == {"run_status", "lifecycle", "assistant", "usage"}


async def test_seq_has_no_gap_for_either_generation(gateway: GatewayProcess) -> None:
    """Reference clients take a gap for lost events and read everything anew."""
    async with wire_client(gateway.port) as older, wire_client(gateway.port) as newer:
        await older.connect(token=TOKEN)
        await newer.connect(token=TOKEN, protocol=V4)
        await newer.call("sessions.subscribe")
        await send(older, "gapless", "stream please SLOW=4", "gapless")
        for client in (older, newer):
            numbers = [
                frame["seq"] for frame in [*await story(client, "gapless"), *client.seen] if "seq" in frame
            ]
            assert sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))


async def test_an_error_says_its_kind_to_v4_only(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as older, wire_client(gateway.port) as newer:
        await older.connect(token=TOKEN)
        await newer.connect(token=TOKEN, protocol=V4)
        await send(newer, "limited", "QUOTA", "limited")
        in_v3, in_v4 = await story(older, "limited"), await story(newer, "limited")
    assert "errorKind" not in in_v3[-1]["payload"]
    assert in_v4[-1]["payload"]["errorKind"] == "rate_limit"
    assert in_v4[-1]["payload"]["errorMessage"] == in_v3[-1]["payload"]["errorMessage"]


async def test_an_answer_that_begins_anew_after_a_restart_replaces_what_was_heard(
    provider: ProviderProcess,
) -> None:
    with gateway_process(provider.config()) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN, protocol=V4)
            await send(client, "again", "stream please SLOW=40", "again")
            await client.event("chat", runId="again", state="delta")
            await trio.to_thread.run_sync(gateway.stop)
        gateway.start()
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN, protocol=V4)
            frames = await story(client, "again")
    deltas = [each for each in of(frames, "chat") if each["state"] == "delta"]
    assert deltas[0]["replace"]
    assert deltas[0]["deltaText"] == text_of(deltas[0]["message"])
    assert not any("replace" in delta for delta in deltas[1:])


# --- subscriptions


async def test_who_follows_a_session_gets_its_messages_as_the_history_has_them(
    gateway: GatewayProcess,
) -> None:
    async with wire_client(gateway.port) as client, wire_client(gateway.port) as other:
        await client.connect(token=TOKEN, protocol=V4)
        await other.connect(token=TOKEN, protocol=V4)
        assert await client.call("sessions.messages.subscribe", {"key": "followed"}) == {
            "subscribed": True,
            "key": "agent:main:followed",
        }
        await send(client, "told", "hello", "FOLLOWED")
        frames = [await client.event("session.message", sessionKey="agent:main:followed") for _ in range(2)]
        await story(client, "told")
        found = await client.call("chat.history", {"sessionKey": "followed"})
        await story(other, "told")
        assert not [frame for frame in other.seen if frame.get("event") == "session.message"]
    question, answer = of(frames, "session.message")
    assert [question["message"], answer["message"]] == found["messages"]
    assert (question["message"]["role"], question["runId"], question["agentId"]) == ("user", "told", "main")
    assert question["messageSeq"] < answer["messageSeq"]
    assert answer["messageId"] == answer["message"]["__openclaw"]["id"]
    assert not any("seq" in frame for frame in frames), "the frames' seq counts broadcasts"


async def test_who_unsubscribes_hears_no_more_of_it(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=V4)
        await client.call("sessions.messages.subscribe", {"key": "left"})
        await client.call("sessions.subscribe")
        assert await client.call("sessions.messages.unsubscribe", {"key": "left"}) == {
            "subscribed": False,
            "key": "agent:main:left",
        }
        assert await client.call("sessions.unsubscribe") == {"subscribed": False}
        await send(client, "unheard", "hello", "left")
        await story(client, "unheard")
        await client.call("health")
        told = {frame.get("event") for frame in client.seen}
    assert told.isdisjoint({"session.message", "sessions.changed"})


async def test_changes_to_sessions_are_told_with_their_row(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client, wire_client(gateway.port) as other:
        await client.connect(token=TOKEN, protocol=V4)
        await other.connect(token=TOKEN)
        assert await client.call("sessions.subscribe") == {"subscribed": True}
        await send(other, "change", "hello", "changing")
        reasons = []
        while "run-end" not in reasons:
            payload = (await client.event("sessions.changed", sessionKey="agent:main:changing"))["payload"]
            reasons.append(payload["reason"])
            assert payload["session"]["key"] == "agent:main:changing"
            assert payload["agentId"] == "main"
        assert reasons[0] == "send"


async def test_an_approval_may_be_asked_for_and_none_waits(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=V4)
        params = {"key": "main", "includeApprovals": True}
        replay = (await client.call("sessions.messages.subscribe", params))["approvalReplay"]
    assert replay | {"updatedAtMs": 0} == {
        "sessionKey": MAIN,
        "updatedAtMs": 0,
        "approvals": [],
        "truncated": False,
    }


async def test_who_may_not_read_may_not_subscribe(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=V4, device=Device(), scopes=("operator.pairing",))
        for method in ("sessions.subscribe", "sessions.messages.subscribe"):
            with pytest.raises(Refused) as refused:
                await client.call(method, {} if method == "sessions.subscribe" else {"key": "main"})
            assert refused.value.error["code"] == "FORBIDDEN"
            assert refused.value.error["details"]["missingScope"] == "operator.read"


# --- arriving


async def test_an_arrival_is_announced_to_v4_clients_and_a_departure_to_all(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as older, wire_client(gateway.port) as newer:
        await older.connect(token=TOKEN, scopes=READ_ONLY)
        await newer.connect(token=TOKEN, protocol=V4, scopes=READ_ONLY)
        await newer.event("presence")
        async with wire_client(gateway.port) as guest:
            await guest.connect(token=TOKEN, client=BACKEND | {"displayName": "A guest"})
            await _presence_of(newer, "A guest", "connect")
        await _presence_of(newer, "A guest", "disconnect")
        told = await _presence_of(older, "A guest", "disconnect")
    assert told["seq"] >= 1


async def _presence_of(client: WireClient, host: str, reason: str) -> dict[str, Any]:
    while True:
        frame = await client.event("presence")
        listed = {entry["host"]: entry["reason"] for entry in frame["payload"]["presence"]}
        if client.protocol == 3:
            assert listed.get(host) != "connect", "v3 clients hear of departures only"
        if listed.get(host) == reason:
            return frame
