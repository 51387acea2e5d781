"""What the log says of a handshake: one line for each decision, and never a secret."""

import json

import pytest

from tests.process.clients import BACKEND, FROM_AFAR
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.shapes import misfits
from tests.support.wire_client import wire_client

pytestmark = pytest.mark.process

WRONG = "f" * 48
PASSWORD = "correct horse battery staple"


async def test_an_admission_is_one_log_line_that_says_by_what(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN, device=device)
    lines = gateway.decisions("admitted", conn=hello["server"]["connId"])
    assert len(lines) == 1
    assert (
        misfits(
            lines[0],
            {
                "level": "info",
                "client": BACKEND["id"],
                "mode": BACKEND["mode"],
                "address": "127.0.0.1",
                "local": True,
                "credential": "token",
                "role": "operator",
                "scopes": [str],
                "device": device.id,
                "protocol": 3,
            },
        )
        == []
    )


async def test_a_refusal_is_one_log_line_that_says_why(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        await client.refusal(token=WRONG, device=device)
    lines = gateway.decisions("refused", device=device.id)
    assert len(lines) == 1
    assert (
        misfits(
            lines[0],
            {
                "conn": str,
                "client": BACKEND["id"],
                "address": "127.0.0.1",
                "local": False,
                "presented": "token",
                "reason": "token_mismatch",
                "code": "INVALID_REQUEST",
                "closeCode": 1008,
                "closeReason": "unauthorized: gateway token mismatch (provide gateway auth token)",
            },
        )
        == []
    )
    assert gateway.decisions("admitted", conn=lines[0]["conn"]) == []


async def test_who_leaves_without_a_word_is_neither_admitted_nor_refused(gateway: GatewayProcess) -> None:
    decided = len(gateway.decisions("admitted")) + len(gateway.decisions("refused"))
    async with wire_client(gateway.port) as client:
        await client.event("connect.challenge")
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
    assert gateway.decisions("left before connect", address="127.0.0.1")
    assert len(gateway.decisions("admitted")) + len(gateway.decisions("refused")) == decided + 1


async def test_no_secret_reaches_the_log_or_the_terminal(gateway: GatewayProcess) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN, device=device)
    issued = hello["auth"]["deviceToken"]
    async with wire_client(gateway.port) as client:
        await client.connect(auth={"deviceToken": issued}, device=device)
    async with wire_client(gateway.port, resource=f"/?token={TOKEN}") as client:
        await client.refusal(auth={"deviceToken": "canary-of-a-device-token"}, device=device)
    async with wire_client(gateway.port) as client:
        await client.refusal(token=WRONG)
    secrets = (TOKEN, WRONG, issued, "canary-of-a-device-token")
    for text in (json.dumps(gateway.log_lines), gateway.output):
        assert not [secret for secret in secrets if secret in text]
    assert TOKEN in gateway.printed, "the dashboard link on stdout is for the person who started it"


async def test_a_password_is_never_shown_at_all() -> None:
    config = {"gateway": {"auth": {"mode": "password"}}}
    with gateway_process(config, environment={"OPENCLAW_GATEWAY_PASSWORD": PASSWORD}) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(auth={"password": PASSWORD})
        async with wire_client(gateway.port) as client:
            await client.refusal(auth={"password": "canary-of-a-password"})
        for text in (json.dumps(gateway.log_lines), gateway.output, gateway.printed):
            assert PASSWORD not in text
            assert "canary" not in text
