"""kill -9 in the middle of chats: what was acknowledged is there, ends once, and never runs twice."""

from collections import Counter
from collections.abc import Generator
from functools import partial
from typing import Any, Final

import attrs
import pytest
from trio_websocket import ConnectionClosed

from tests.process.chats import TERMINAL, said, send, settled_history, until
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

SESSIONS: Final = ("main", "one", "two", "three")
# The kill falls after this many frames of the gateway: before an answer, in the middle of some, near the end.
KILL_AFTER_FRAMES: Final = (3, 10, 20, 35, 50)
MESSAGES_A_ROUND: Final = 8
# A run that took the process down this often is given up, in words.
INTERRUPTED: Final = "interrupted"


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@attrs.define
class Witness:
    """What clients saw of the runs, over all lives of the gateway."""

    sent: dict[str, tuple[str, str]] = attrs.Factory(dict)
    acknowledged: set[str] = attrs.Factory(set)
    outcomes: Counter[str] = attrs.Factory(Counter)

    def hear(self, frame: dict[str, Any]) -> None:
        """Take one frame into account."""
        payload = frame.get("payload") or {}
        if frame.get("type") == "res" and frame.get("ok") and payload.get("status") == "started":
            self.acknowledged.add(payload["runId"])
        if frame.get("event") == "chat" and payload["state"] in TERMINAL:
            self.outcomes[payload["runId"]] += 1


async def chat_until_killed(gateway: GatewayProcess, witness: Witness, number: int, after: int) -> None:
    """Send messages to several sessions in one go, and kill the gateway at the given frame."""
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        for index in range(MESSAGES_A_ROUND):
            run_id = f"round-{number}-{index}"
            # Every other answer takes a while, so that something is always under way.
            message = f"{run_id} SLOW={3 if index % 2 else 1}"
            session = SESSIONS[index % len(SESSIONS)]
            witness.sent[run_id] = (session, message)
            await client.request(
                "chat.send", {"sessionKey": session, "message": message, "idempotencyKey": run_id}
            )
        for _ in range(after):
            witness.hear(await client.next_frame())
        gateway.kill()
        # What the gateway wrote before it died counts: it was acknowledged.
        try:
            while True:
                witness.hear(await client.next_frame())
        except ConnectionClosed:
            pass


async def settle(client: WireClient, witness: Witness) -> dict[str, list[dict[str, Any]]]:
    """The histories of all sessions once nothing is under way; the witness hears what happened until then."""
    histories = {session: await settled_history(client, session) for session in SESSIONS}
    for frame in client.seen:
        witness.hear(frame)
    client.seen.clear()
    return histories


async def test_what_was_acknowledged_survives_five_kills_and_runs_once(provider: ProviderProcess) -> None:
    witness = Witness()
    with gateway_process(provider.config()) as gateway:
        asked_of_ended: dict[str, int] = {}
        for number, after in enumerate(KILL_AFTER_FRAMES):
            await chat_until_killed(gateway, witness, number, after)
            questions = provider.questions
            for run_id in witness.outcomes:
                asked_of_ended.setdefault(run_id, questions[witness.sent[run_id][1]])
            gateway.start()
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            histories = await settle(client, witness)

            assert len(witness.acknowledged) >= len(KILL_AFTER_FRAMES), "there was something to lose"
            keys = Counter(row["idempotencyKey"] for rows in histories.values() for row in rows)
            assert {key for key, count in keys.items() if count > 1} == set()
            for run_id in witness.acknowledged:
                session, message = witness.sent[run_id]
                own = [row for row in histories[session] if row["idempotencyKey"].startswith(f"{run_id}:")]
                assert said(own)[:1] == [("user", message)], f"{run_id} was lost"
                answers = own[1:]
                assert len(answers) == 1, f"{run_id} has no outcome"
                if answers[0]["stopReason"] == "error":
                    assert INTERRUPTED in answers[0]["errorMessage"]
                else:
                    assert said(answers)[0][1].startswith("word1 ")
            assert {run_id: seen for run_id, seen in witness.outcomes.items() if seen > 1} == {}

            await send_everything_again(client, provider, witness, histories)
        questions = provider.questions
        for run_id, asked in asked_of_ended.items():
            assert questions[witness.sent[run_id][1]] == asked, f"{run_id} ran after its end"


async def send_everything_again(
    client: WireClient,
    provider: ProviderProcess,
    witness: Witness,
    histories: dict[str, list[dict[str, Any]]],
) -> None:
    """The same keys again change nothing: no run, no message, no question to the model."""
    asked = provider.questions.total()
    for run_id in witness.acknowledged:
        session, message = witness.sent[run_id]
        try:
            answer = await send(client, run_id, message, session)
        except Refused as refused:
            answer = refused.error["message"]
        assert answer == {"runId": run_id, "status": "ok"} or INTERRUPTED in answer
    assert {session: await settled_history(client, session) for session in SESSIONS} == histories
    assert provider.questions.total() == asked


async def test_a_run_that_was_killed_goes_on_under_its_own_id_and_tells_its_end_once(
    provider: ProviderProcess,
) -> None:
    with gateway_process(provider.config()) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            await send(client, "cut-short", "tell it all SLOW=15")
            await client.event("chat", runId="cut-short", state="delta")
            gateway.kill()
        gateway.start()
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            assert (await send(client, "cut-short", "tell it all SLOW=15"))["status"] == "in_flight"
            final = await client.event("chat", runId="cut-short", state="final")
            assert final["payload"]["sessionKey"] == "agent:main:main"
            assert len(await settled_history(client)) == 2


async def test_a_message_that_kills_the_gateway_again_and_again_is_given_up_in_words(
    provider: ProviderProcess,
) -> None:
    def asked_again(times: int) -> bool:
        return provider.questions["HANG_MIDDLE"] > times

    with gateway_process(provider.config()) as gateway:
        for life in range(2):
            async with wire_client(gateway.port) as client:
                await client.connect(token=TOKEN)
                if life == 0:
                    await send(client, "deadly", "HANG_MIDDLE")
                    await send(client, "behind", "I wait")
                await until(partial(asked_again, life))
                gateway.kill()
            gateway.start()
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            messages = await settled_history(client)
            with pytest.raises(Refused) as refused:
                await send(client, "deadly", "HANG_MIDDLE")
    assert refused.value.error["code"] == "UNAVAILABLE"
    assert INTERRUPTED in refused.value.error["message"]
    given_up = next(row for row in messages if row["idempotencyKey"] == "deadly:assistant")
    assert INTERRUPTED in given_up["errorMessage"]
    assert said(messages)[-1] == ("assistant", "You said: I wait"), "what waited behind it gets its turn"


async def test_a_conversation_and_a_device_token_survive_a_kill(provider: ProviderProcess) -> None:
    device = Device()
    with gateway_process(provider.config()) as gateway:
        async with wire_client(gateway.port) as client:
            hello = await client.connect(token=TOKEN, device=device)
            await send(client, "kept", "do not forget this")
            await client.event("chat", runId="kept", state="final")
            before = await client.call("chat.history", {"sessionKey": "main"})
            gateway.kill()
        gateway.start()
        async with wire_client(gateway.port) as client:
            await client.connect(auth={"deviceToken": hello["auth"]["deviceToken"]}, device=device)
            assert await client.call("chat.history", {"sessionKey": "main"}) == before
            listed = (await client.call("sessions.list"))["sessions"]
            assert [row["sessionId"] for row in listed] == [before["sessionId"]]
            await send(client, "next", "what was it?")
            await client.event("chat", runId="next", state="final")
    told = [row["content"] for row in provider.asked("what was it?")[0]["body"]["messages"]]
    assert "do not forget this" in told
