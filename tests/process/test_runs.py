"""Runs for programs, and v4's way to chat by sessions: `agent`, `agent.wait`, `chat.inject`, `sessions.*`."""

import base64
from collections.abc import Generator
from typing import Any

import pytest
import trio

from tests.process.chats import MAIN, history, said, send, text_of
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.shapes import misfits
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = pytest.mark.process

GENERATIONS = pytest.mark.parametrize("generation", [3, 4])
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    with gateway_process(provider.config()) as running:
        yield running


async def connect(client: WireClient, generation: int) -> None:
    await client.connect(token=TOKEN, protocol=(generation, generation), device=Device())


def asked(run_id: str, message: str, **more: object) -> dict[str, object]:
    return {"message": message, "idempotencyKey": run_id, **more}


# --- agent


@GENERATIONS
async def test_agent_answers_twice(gateway: GatewayProcess, generation: int) -> None:
    run_id, key = f"agent-{generation}", f"agent:main:programs-{generation}"
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        request = await client.request(
            "agent", asked(run_id, "hello", sessionKey=key, deliver=False, timeout=60)
        )
        accepted, final = await client.response(request), await client.response(request)
    where = {"sessionKey": key, "agentId": "main"} if generation == 4 else {}
    assert accepted == {
        "runId": run_id,
        "status": "accepted",
        "acceptedAt": accepted["acceptedAt"],
        **where,
    }
    assert misfits(final, {"runId": run_id, "status": "ok", "summary": "completed"}) == []
    assert final["result"]["payloads"] == [{"text": "You said: hello", "mediaUrl": None}]
    meta = final["result"]["meta"]
    assert misfits(meta, {"durationMs": int, "aborted": False}) == []
    assert misfits(meta["agentMeta"], {"sessionId": str, "provider": "fake", "model": "fake-model"}) == []
    assert meta["agentMeta"]["usage"]["total"] > 0


async def test_agent_speaks_in_the_main_session_where_it_names_none(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 3)
        params = asked("agent-main", "to the main one", agentId="main", to="+15550001", channel="whatsapp")
        request = await client.request("agent", params)
        await client.response(request)
        await client.response(request)
        assert ("user", "to the main one") in said(await history(client, MAIN))


async def test_an_agent_run_that_fails_has_an_error_and_a_payload(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        request = await client.request("agent", asked("agent-bad", "BAD_KEY", sessionKey="bad"))
        assert (await client.response(request))["status"] == "accepted"
        while (frame := await client.next_frame()).get("id") != request:
            pass
    assert frame["ok"] is False
    assert frame["error"]["code"] == "UNAVAILABLE"
    assert frame["payload"] == {"runId": "agent-bad", "status": "error", "summary": frame["error"]["message"]}


async def test_the_same_key_again_gets_the_same_answers(
    gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    question = "only once for agents SLOW=5"
    async with wire_client(gateway.port) as client, wire_client(gateway.port) as other:
        await connect(client, 3)
        await connect(other, 3)
        params = asked("agent-once", question, sessionKey="once-agent")
        first = await client.request("agent", params)
        accepted = await client.response(first)
        again = await other.request("agent", params)
        assert await other.response(again) == accepted
        final = await client.response(first)
        assert await other.response(again) == final
        late = await client.request("agent", params)
        assert [await client.response(late), await client.response(late)] == [accepted, final]
    assert len(provider.asked(question)) == 1


async def test_who_asked_an_agent_before_a_crash_asks_again_and_gets_the_answer(
    provider: ProviderProcess,
) -> None:
    params = asked("agent-crash", "tell me SLOW=5", sessionKey="crash-agent")
    with gateway_process(provider.config()) as gateway:
        async with wire_client(gateway.port) as client:
            await connect(client, 4)
            accepted = await client.call("agent", params)
        gateway.kill()
        gateway.start()
        async with wire_client(gateway.port) as client:
            await connect(client, 4)
            request = await client.request("agent", params)
            assert await client.response(request) == accepted
            final = await client.response(request)
            messages = said(await history(client, "crash-agent"))
    assert final["status"] == "ok"
    answer = final["result"]["payloads"][0]["text"]
    assert messages == [("user", "tell me SLOW=5"), ("assistant", answer)]


async def test_an_agent_run_that_is_stopped_ends_as_one(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 3)
        request = await client.request(
            "agent", asked("agent-stop", "HANG_MIDDLE", sessionKey="stopped-agent")
        )
        await client.response(request)
        await client.event("chat", runId="agent-stop", state="delta")
        await client.call("chat.abort", {"sessionKey": "stopped-agent"})
        final = await client.response(request)
        waited = await client.call("agent.wait", {"runId": "agent-stop"})
    assert (final["status"], final["summary"]) == ("timeout", "aborted")
    assert final["result"]["meta"]["aborted"] is True
    assert final["result"]["payloads"] == [{"text": "Half of ", "mediaUrl": None}]
    assert (waited["status"], type(waited["endedAt"])) == ("timeout", int)


async def test_an_agent_knows_new_and_no_other_command(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 3)
        for run_id, message in (("agent-c1", "/help"), ("agent-c2", "stop"), ("agent-c3", "/new again")):
            request = await client.request("agent", asked(run_id, message, sessionKey="commands-agent"))
            await client.response(request)
            await client.response(request)
        assert said(await history(client, "commands-agent")) == [
            ("user", "again"),
            ("assistant", "You said: again"),
        ]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"deliver": True, "channel": "telegram"}, "deliver cannot be kept: there are no channels"),
        ({"cwd": "/tmp"}, "cwd cannot be kept: agents work in no directory here"),
        ({"label": "x"}, "label cannot be kept: sessions.patch names a session"),
        ({"provider": "fake"}, "provider needs a model beside it"),
        ({"model": "nobody/x"}, "There is no provider 'nobody'"),
        ({"promptMode": "none"}, "promptMode cannot be kept"),
        ({"agentId": "ops"}, 'unknown agent id "ops"'),
        ({"inputProvenance": {"kind": "inter_session"}}, "inputProvenance.kind inter_session cannot be kept"),
    ],
)
async def test_what_an_agent_run_cannot_keep_is_refused_in_words(
    gateway: GatewayProcess, field: dict[str, object], words: str
) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        with pytest.raises(Refused) as refused:
            await client.call("agent", asked("agent-refused", "hello", **field))
    assert refused.value.error["code"] == "INVALID_REQUEST"
    assert words in refused.value.error["message"]


async def test_an_agent_run_may_name_a_conversation(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 3)
        await send(client, "named-1", "hello", "named")
        await client.event("chat", runId="named-1", state="final")
        found = await client.call("chat.history", {"sessionKey": "named"})
        request = await client.request("agent", asked("named-2", "again", sessionId=found["sessionId"]))
        await client.response(request)
        await client.response(request)
        assert len(await history(client, "named")) == 4
        await send(client, "named-3", "/new over", "named")
        late = asked("named-4", "late", sessionKey="named", expectedExistingSessionId=found["sessionId"])
        with pytest.raises(Refused, match="has begun a new conversation"):
            await client.call("agent", late)


async def test_an_agent_run_may_begin_a_conversation_of_its_own_name(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        for number in (1, 2):
            request = await client.request("agent", asked(f"own-{number}", "hello", sessionId="errand-7"))
            accepted = await client.response(request)
            assert accepted["sessionKey"] == "agent:main:explicit:errand-7"
            final = await client.response(request)
            assert final["result"]["meta"]["agentMeta"]["sessionId"] == "errand-7"
        assert len(await history(client, "agent:main:explicit:errand-7")) == 4


async def test_a_conversation_of_one_session_is_never_begun_in_another(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        await send(client, "mine-1", "hello", "mine")
        await client.event("chat", runId="mine-1", state="final")
        found = await client.call("chat.history", {"sessionKey": "mine"})
        stolen = asked("mine-2", "hello", sessionKey="yours", sessionId=found["sessionId"])
        with pytest.raises(Refused, match="has begun a new conversation"):
            await client.call("agent", stolen)


# --- agent.wait


async def test_an_agent_run_that_began_a_conversation_is_asked_for_again(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        await send(client, "retry-1", "hello", "agent:main:retried")
        await client.event("chat", runId="retry-1", state="final")
        seen = (await client.call("chat.history", {"sessionKey": "retried"}))["sessionId"]
        params = asked("retry-2", "/new and now?", sessionId=seen)
        answers = []
        for _ in range(2):
            request = await client.request("agent", params)
            answers.append((await client.response(request), await client.response(request)))
    assert answers[0] == answers[1]
    assert answers[0][0]["sessionKey"] == "agent:main:retried"


async def test_a_run_of_a_deleted_session_ends_as_one_that_was_stopped(gateway: GatewayProcess) -> None:
    params = {"key": "agent:main:dropped", "message": "tell SLOW=100", "idempotencyKey": "dropped"}
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        await client.call("sessions.create", {"key": "dropped"})
        await client.call("sessions.send", params)
        await client.call("sessions.delete", {"key": "dropped"})
        request = await client.request("agent", asked("dropped", "tell SLOW=100", sessionKey="dropped"))
        await client.response(request)
        final = await client.response(request)
        assert (await client.call("sessions.send", params))["status"] == "ok"
        assert (await client.call("sessions.describe", {"key": "dropped"}))["session"] is None
    assert (final["runId"], final["result"]["payloads"]) == ("dropped", [])


@GENERATIONS
async def test_agent_wait_tells_how_a_run_ended(gateway: GatewayProcess, generation: int) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, generation)
        assert await client.call("agent.wait", {"runId": "nobody", "timeoutMs": 0}) == {
            "runId": "nobody",
            "status": "timeout",
        }
        good, bad = f"wait-good-{generation}", f"wait-bad-{generation}"
        await send(client, good, "SLOW=3", good)
        early = await client.call("agent.wait", {"runId": good, "timeoutMs": 0})
        assert early.get("endedAt") is None
        assert early["status"] == "timeout"
        waited = await client.call("agent.wait", {"runId": good, "timeoutMs": 10_000})
        assert misfits(waited, {"runId": good, "status": "ok", "startedAt": int, "endedAt": int}) == []
        await send(client, bad, "BAD_KEY", bad)
        failed = await client.call("agent.wait", {"runId": bad})
        assert misfits(failed, {"runId": bad, "status": "error", "error": str, "endedAt": int}) == []


# --- chat.inject


@GENERATIONS
async def test_an_injected_message_is_heard_before_its_answer_and_outlives_the_gateway(
    provider: ProviderProcess, generation: int
) -> None:
    with gateway_process(provider.config()) as gateway:
        async with wire_client(gateway.port) as client:
            await connect(client, generation)
            await send(client, "first", "hello")
            await client.event("chat", runId="first", state="final")
            injected = await client.call(
                "chat.inject", {"sessionKey": "main", "message": "note", "label": "ops"}
            )
            run_id = f"inject-{injected['messageId']}"
            heard = [frame for frame in client.seen if frame.get("payload", {}).get("runId") == run_id]
            with pytest.raises(Refused, match="session not found"):
                await client.call("chat.inject", {"sessionKey": "nobody", "message": "note"})
        gateway.kill()
        gateway.start()
        async with wire_client(gateway.port) as client:
            await connect(client, generation)
            last = (await history(client))[-1]
    (event,) = heard
    assert misfits(event["payload"], {"sessionKey": MAIN, "seq": 0, "state": "final"}) == []
    assert ("agentId" in event["payload"]) is (generation == 4)
    assert text_of(event["payload"]["message"]) == text_of(last) == "[ops]\n\nnote"
    assert last["__openclaw"]["id"] == injected["messageId"]


async def test_only_administrators_inject(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, scopes=("operator.write",))
        with pytest.raises(Refused, match=r"missing scope: operator\.admin"):
            await client.call("chat.inject", {"sessionKey": "main", "message": "note"})


# --- chat.send and chat.history of v4


async def test_a_v4_client_chats_with_everything_it_sends(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        before = await client.call("chat.history", {"sessionKey": "full", "agentId": "main"})
        assert before["sessionInfo"]["activeLeafEntryId"] is None
        sent = {
            "sessionKey": "full",
            "agentId": "main",
            "message": "hello",
            "idempotencyKey": "full-1",
            "deliver": False,
            "queueMode": "steer",
            "fastMode": "auto",
            "thinking": "low",
            "timeoutMs": 60_000,
            "expectedLeafEntryId": None,
            "expectedPermissionMode": None,
            "expectedToolOverrides": None,
            "attachments": [
                {"type": "image", "mimeType": "image/png", "fileName": "dot.png", "content": PIXEL}
            ],
        }
        assert await client.call("chat.send", sent) == {"runId": "full-1", "status": "started"}
        await client.event("chat", runId="full-1", state="final")
        told = await client.call("chat.history", {"sessionKey": "full", "limit": 10})
        part = told["messages"][0]["content"][1]
        got = {"sessionKey": "full", "attachmentId": part["attachmentId"]}
        assert await client.call("chat.attachment.get", got) == {
            "mimeType": "image/png",
            "fileName": "dot.png",
            "bytes": len(base64.b64decode(PIXEL)),
            "content": PIXEL,
        }
        message = {"sessionKey": "full", "messageId": told["messages"][1]["__openclaw"]["id"]}
        whole = await client.call("chat.message.get", message)
        assert text_of(whole["message"]) == text_of(told["messages"][1])
        delta = await client.call("chat.history", {"sessionKey": "full", "cursor": told["deltaCursor"]})
        assert (delta["kind"], delta["messages"]) == ("delta", [])


async def test_a_v4_page_opens_a_conversation_with_one_request(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        await send(client, "opened-1", "hello", "opened")
        await client.event("chat", runId="opened-1", state="final")
        opened = await client.call("chat.startup", {"sessionKey": "opened", "limit": 80, "maxBytes": 262_144})
        assert said(opened["messages"]) == [("user", "hello"), ("assistant", "You said: hello")]
        assert opened["agentsList"] == await client.call("agents.list")
        assert opened["metadata"] == await client.call("chat.metadata", {"sessionKey": "opened"})
        assert opened["metadata"]["commands"] == (await client.call("commands.list"))["commands"]
        assert opened["metadata"]["models"] == (await client.call("models.list"))["models"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"toolBindings": {"x": {}}}, "toolBindings cannot be kept: agents have no tools here"),
        ({"expectedPermissionMode": "full"}, "expectedPermissionMode cannot be kept"),
        ({"expectedToolOverrides": {"webSearch": True}}, "expectedToolOverrides cannot be kept"),
        ({"replyToId": "7"}, "replyToId cannot be kept: quote what you reply to"),
        ({"originatingChannel": "telegram"}, "originatingChannel cannot be kept"),
        ({"expectedLeafEntryId": "999999"}, "has begun a new conversation"),
        ({"sessionId": "other"}, "has begun a new conversation"),
    ],
)
async def test_what_a_message_cannot_keep_is_refused_in_words(
    gateway: GatewayProcess, field: dict[str, Any], words: str
) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        with pytest.raises(Refused) as refused:
            await send(client, "refused", "hello", "refused", **field)
        assert words in refused.value.error["message"]
        assert await history(client, "refused") == []


# --- sessions.*


async def test_a_session_is_made_spoken_in_described_and_stopped(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        made = await client.call("sessions.create", {"label": "Garden", "thinkingLevel": "off"})
        key = made["key"]
        assert misfits(made, {"ok": True, "key": str, "sessionId": str, "runStarted": False}) == []
        assert made["entry"]["label"] == "Garden"
        described = await client.call("sessions.describe", {"key": key})
        assert misfits(described["session"], {"key": key, "label": "Garden", "hasActiveRun": False}) == []
        sent = await client.call(
            "sessions.send", {"key": key, "message": "HANG_MIDDLE", "idempotencyKey": "g1"}
        )
        assert misfits(sent, {"runId": "g1", "status": "started", "messageSeq": int}) == []
        await client.event("chat", runId="g1", state="delta")
        waits = await client.call("sessions.send", {"key": key, "message": "HANG_MIDDLE"})
        assert await client.call("sessions.abort", {"key": key}) == {
            "ok": True,
            "abortedRunId": "g1",
            "status": "aborted",
        }
        await client.event("chat", runId=waits["runId"], state="delta")
        assert (await client.call("sessions.abort", {"runId": waits["runId"]}))["status"] == "aborted"
        assert await client.call("sessions.abort", {"key": key, "clearQueued": True}) == {
            "ok": True,
            "abortedRunId": None,
            "status": "no-active-run",
        }


async def test_a_session_is_made_with_its_first_message_once(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        params = {"idempotencyKey": "make-once", "message": "hello garden"}
        made = await client.call("sessions.create", params)
        assert misfits(made, {"runStarted": True, "runId": str, "messageSeq": int}) == []
        await client.event("chat", runId=made["runId"], state="final")
        again = await client.call("sessions.create", params)
        assert (again["key"], again["runId"]) == (made["key"], made["runId"])
        assert said(await history(client, made["key"])) == [
            ("user", "hello garden"),
            ("assistant", "You said: hello garden"),
        ]


async def test_a_session_whose_first_message_is_refused_is_there_all_the_same(
    gateway: GatewayProcess,
) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        made = await client.call("sessions.create", {"message": "  "})
        assert made["runStarted"] is False
        assert misfits(made["runError"], {"code": "INVALID_REQUEST", "message": str}) == []
        assert (await client.call("sessions.describe", {"key": made["key"]}))["session"] is not None


async def test_what_is_not_there_is_not_described_nor_spoken_to(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        assert await client.call("sessions.describe", {"key": "nowhere"}) == {"session": None}
        with pytest.raises(Refused, match="session not found: nowhere"):
            await client.call("sessions.send", {"key": "nowhere", "message": "hello"})


@pytest.mark.parametrize("field", ["incognito", "worktree", "cwd", "fork", "permissionMode", "category"])
async def test_a_session_that_cannot_be_had_is_refused_by_name(gateway: GatewayProcess, field: str) -> None:
    wanted = {"incognito": True, "worktree": True, "fork": True, "permissionMode": "full"}
    async with wire_client(gateway.port) as client:
        await connect(client, 4)
        with pytest.raises(Refused, match=f"INVALID_REQUEST: {field} cannot be kept"):
            await client.call("sessions.create", {field: wanted.get(field, "/tmp")})


async def test_listeners_hear_of_a_session_and_what_is_said_in_it(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client, wire_client(gateway.port) as listener:
        await connect(client, 4)
        await connect(listener, 4)
        await listener.call("sessions.subscribe")
        made = await client.call("sessions.create", {"label": "Heard"})
        key = made["key"]
        changed = await listener.event("sessions.changed", sessionKey=key, reason="create")
        assert changed["payload"]["session"]["label"] == "Heard"
        await listener.call("sessions.messages.subscribe", {"key": key})
        await client.call("sessions.send", {"key": key, "message": "hello", "idempotencyKey": "heard"})
        for reason in ("send", "run-end"):
            await listener.event("sessions.changed", sessionKey=key, reason=reason)
        await listener.event("chat", runId="heard", state="final")
        roles: list[str] = []
        with trio.fail_after(10):
            while len(roles) < 2:
                roles.append(
                    (await listener.event("session.message", sessionKey=key))["payload"]["message"]["role"]
                )
    assert roles == ["user", "assistant"]
