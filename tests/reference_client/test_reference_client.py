"""`@openclaw/gateway-client` as it was published, and a real gateway: it connects, pairs, keeps its device
token, chats, follows sessions and comes back.
"""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.reference_client.client import Answered, ReferenceClient
from tests.reference_client.conftest import Connecting
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.process

MAIN = "agent:main:main"


async def chat(client: ReferenceClient, text: str, run_id: str) -> dict[str, Any]:
    """Ask, and wait for the final event of the answer."""
    ack = await client.call("chat.send", {"sessionKey": MAIN, "message": text, "idempotencyKey": run_id})
    assert ack == {"runId": run_id, "status": "started"}
    return await client.event("chat", runId=run_id, state="final")


def words(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["content"] if part["type"] == "text")


async def test_it_connects_with_a_new_device_and_is_given_a_token_for_it(
    connected: Connecting, tmp_path: Path
) -> None:
    async with connected() as client:
        hello = await client.hello()
        assert hello["protocol"] == 4
        assert hello["auth"]["role"] == "operator"
        stored = json.loads((tmp_path / "host" / "tokens.json").read_text())
        assert stored["operator"]["token"] == hello["auth"]["deviceToken"]
        assert "operator.admin" in stored["operator"]["scopes"]


async def test_the_device_token_alone_lets_it_in_next_time(connected: Connecting) -> None:
    async with connected() as client:
        await client.hello()
    async with connected(token=None) as client:
        await client.hello()
        assert (await client.call("health"))["ok"] is True


async def test_without_a_device_a_backend_keeps_its_scopes(connected: Connecting) -> None:
    async with connected(withoutDevice=True, clientName="gateway-client", mode="backend") as client:
        hello = await client.hello()
        assert "deviceToken" not in hello["auth"]
        assert (await client.call("sessions.list"))["sessions"] == []


async def test_a_wrong_token_stops_it_after_one_try(connected: Connecting, gateway: GatewayProcess) -> None:
    async with connected(token="f" * 48) as client:
        refused = await client.report("refused")
        assert refused["error"]["details"]["code"] == "AUTH_TOKEN_MISMATCH"
        paused = await client.report("paused")
        assert paused["detailCode"] == "AUTH_TOKEN_MISMATCH"
        assert len(gateway.decisions("refused")) == 1


async def test_a_device_that_asks_for_another_role_is_let_in_after_the_approval(
    connected: Connecting,
) -> None:
    node = {"role": "node", "mode": "node", "clientName": "node-host", "scopes": []}
    async with connected() as owner:
        await owner.hello()
        async with connected(**node) as client:
            refused = await client.report("refused")
            assert refused["error"]["details"]["code"] == "PAIRING_REQUIRED"
        asked = await owner.event("device.pair.requested")
        assert asked["role"] == "node"
        await owner.call("device.pair.approve", {"requestId": asked["requestId"]})
        async with connected(**node) as client:
            assert (await client.hello())["auth"]["role"] == "node"


async def test_it_chats_and_the_pieces_add_up_to_the_answer(connected: Connecting) -> None:
    async with connected() as client:
        await client.hello()
        final = await chat(client, "SLOW=3 tell me a story", "run-1")
        pieces = [
            report["event"]["payload"]
            for report in client.reports
            if report.get("event", {}).get("event") == "chat"
            and report["event"]["payload"]["state"] == "delta"
        ]
        assert len(pieces) > 1
        assert {piece["agentId"] for piece in pieces} == {"main"}
        said = "".join(piece["deltaText"] for piece in pieces)
        assert words(pieces[-1]["message"]) == said
        assert words(final["message"]).startswith(said)
        assert final["stopReason"] == "stop"


async def test_a_session_that_it_follows_tells_it_of_every_message(connected: Connecting) -> None:
    async with connected() as client:
        await client.hello()
        lease = await client.subscribe("main")
        assert lease["key"] == MAIN
        await chat(client, "hello", "run-1")
        asked = await client.event("session.message", sessionKey=MAIN)
        answered = await client.event("session.message", sessionKey=MAIN)
        assert [asked["message"]["role"], answered["message"]["role"]] == ["user", "assistant"]
        assert asked["messageSeq"] < answered["messageSeq"]


async def test_the_list_of_sessions_tells_it_of_changes(connected: Connecting) -> None:
    async with connected() as client:
        await client.hello()
        await client.call("sessions.subscribe")
        await client.call("sessions.create", {"key": "agent:main:work", "label": "Work"})
        changed = await client.event("sessions.changed", sessionKey="agent:main:work")
        assert changed["session"]["label"] == "Work"
        await client.call("sessions.delete", {"key": "agent:main:work"})
        await client.event("sessions.changed", sessionKey="agent:main:work", reason="delete")


async def test_its_own_view_of_the_conversation_is_the_history_and_nothing_twice(
    connected: Connecting,
) -> None:
    async with connected() as client:
        await client.hello()
        await chat(client, "before it looks", "run-1")
        await client.subscribe(MAIN)
        await client.follow(MAIN)
        await chat(client, "while it looks", "run-2")
        await client.event("session.message", sessionKey=MAIN)
        await client.event("session.message", sessionKey=MAIN)
        shown = (await client.projection())["messages"]
        history = (await client.call("chat.history", {"sessionKey": MAIN}))["messages"]
        assert [words(message) for message in shown] == [words(message) for message in history]
        await client.follow(MAIN)
        again = (await client.projection())["messages"]
        assert [words(message) for message in again] == [words(message) for message in history]


async def test_after_a_crash_it_comes_back_by_itself_and_sees_no_gap(
    connected: Connecting, gateway: GatewayProcess
) -> None:
    async with connected() as client:
        await client.hello()
        await chat(client, "before the crash", "run-1")
        gateway.kill()
        await client.report("closed")
        gateway.start()
        await client.hello()
        await chat(client, "after the crash", "run-2")
        kinds = {report["on"] for report in client.reports}
        assert not kinds & {"gap", "paused", "token cleared"}
        assert gateway.decisions("refused") == []


async def test_over_planned_restarts_it_comes_back_by_itself_and_notices_nothing(
    connected: Connecting, gateway: GatewayProcess
) -> None:
    async with connected() as client:
        await client.hello()
        assert gateway.process is not None
        for number in range(4):
            await chat(client, f"life {number}", f"life-{number}")
            # In the middle of an answer, too.
            late = {"sessionKey": MAIN, "message": "late", "idempotencyKey": f"late-{number}"}
            await client.call("chat.send", late)
            gateway.process.send_signal(signal.SIGUSR1)
            goodbye = await client.event("shutdown")
            assert (goodbye["reason"], goodbye["reauthenticate"]) == ("gateway restarting", True)
            closed = await client.report("closed")
            assert (closed["code"], closed["reason"]) == (1012, "service restart")
            await client.hello()
            waited = await client.call("agent.wait", {"runId": f"late-{number}", "timeoutMs": 10_000})
            assert waited["status"] == "ok"
        kinds = {report["on"] for report in client.reports}
        assert not kinds & {"gap", "paused", "refused", "token cleared"}
        assert gateway.decisions("refused") == []
        history = (await client.call("chat.history", {"sessionKey": MAIN}))["messages"]
        asked = [message for message in history if message["role"] == "user"]
        assert [words(message) for message in asked] == [
            text for number in range(4) for text in (f"life {number}", "late")
        ]


async def test_a_goodbye_names_its_reason(connected: Connecting, gateway: GatewayProcess) -> None:
    async with connected() as client:
        await client.hello()
        gateway.stop()
        assert await client.event("shutdown") == {"reason": "gateway stopping"}
        closed = await client.report("closed")
        assert (closed["code"], closed["reason"]) == (1012, "service restart")


async def test_an_agent_call_that_expects_the_final_answer_gets_it(connected: Connecting) -> None:
    async with connected() as client:
        await client.hello()
        params = {"message": "hello", "sessionKey": MAIN, "idempotencyKey": "run-1"}
        answer = await client.call("agent", params, final=True)
        assert answer["status"] == "ok"
        assert answer["result"]["payloads"][0]["text"]
        waited = await client.call("agent.wait", {"runId": "run-1"})
        assert waited["status"] == "ok"


async def test_it_stops_an_answer_and_keeps_what_was_said(connected: Connecting) -> None:
    async with connected() as client:
        await client.hello()
        await client.call(
            "chat.send", {"sessionKey": MAIN, "message": "SLOW=200 a long story", "idempotencyKey": "run-1"}
        )
        await client.event("chat", runId="run-1", state="delta")
        stopped = await client.call("chat.abort", {"sessionKey": MAIN, "runId": "run-1"})
        assert stopped == {"ok": True, "aborted": True, "runIds": ["run-1"]}
        aborted = await client.event("chat", runId="run-1", state="aborted")
        history = (await client.call("chat.history", {"sessionKey": MAIN}))["messages"]
        assert words(history[-1]) == words(aborted["message"])


async def test_it_makes_a_session_with_its_first_message_and_goes_on_in_it(connected: Connecting) -> None:
    async with connected() as client:
        await client.hello()
        made = await client.call("sessions.create", {"label": "Errands", "message": "hello"})
        assert made["runStarted"] is True
        await client.event("chat", runId=made["runId"], state="final")
        sent = await client.call("sessions.send", {"key": made["key"], "message": "and more"})
        await client.event("chat", runId=sent["runId"], state="final")
        row = (await client.call("sessions.describe", {"key": made["key"]}))["session"]
        assert (row["label"], row["status"]) == ("Errands", "done")
        history = await client.call("chat.history", {"sessionKey": made["key"]})
        assert [message["role"] for message in history["messages"]] == ["user", "assistant"] * 2


async def test_a_hundred_requests_at_once_are_all_answered(connected: Connecting) -> None:
    async with connected() as client:
        await client.hello()
        answers: list[object] = []

        async def ask(method: str) -> None:
            answers.append(await client.call(method))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask, "health")
                nursery.start_soon(ask, "sessions.list")
        assert len(answers) == 100


async def test_a_missing_scope_is_named(connected: Connecting) -> None:
    async with connected(scopes=["operator.read"]) as client:
        await client.hello()
        with pytest.raises(Answered) as answered:
            await client.call("chat.send", {"sessionKey": MAIN, "message": "x", "idempotencyKey": "1"})
        assert answered.value.error["code"] == "FORBIDDEN"
        assert answered.value.error["details"]["missingScope"] == "operator.write"
