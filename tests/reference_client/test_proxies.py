"""`@openclaw/gateway-client` through nginx: it pairs by the command that the log names, then works."""

import hashlib
import shlex
import ssl
from pathlib import Path

import pytest

from tests.reference_client.conftest import Connecting
from tests.support import nginx as front
from tests.support.certificate import server_certificate
from tests.support.gateway_process import GatewayProcess
from tests.support.nginx import nginx

pytestmark = pytest.mark.process

MAIN = "agent:main:main"


async def pairs_and_chats(connected: Connecting, gateway: GatewayProcess, **options: object) -> None:
    async with connected(**options) as client:
        refused = await client.report("refused")
        assert refused["error"]["details"]["code"] == "PAIRING_REQUIRED"
    (line,) = gateway.decisions("refused")
    program, *arguments = shlex.split(line["next"])
    assert (program, gateway.command(*arguments).returncode) == ("openclawd", 0)
    async with connected(**options) as client:
        await client.hello()
        ack = await client.call(
            "chat.send", {"sessionKey": MAIN, "message": "hello", "idempotencyKey": "run-1"}
        )
        assert ack == {"runId": "run-1", "status": "started"}
        assert (await client.event("chat", runId="run-1", state="final"))["stopReason"] == "stop"
    # Its device token alone, from where it was paired.
    async with connected(**(options | {"token": None})) as client:
        await client.hello()
    admitted = gateway.decisions("admitted")
    assert [admitted[-2]["credential"], admitted[-1]["credential"]] == ["token", "device-token"]


@pytest.mark.parametrize("strip", [True, False], ids=["stripped", "passed-on"])
async def test_below_a_base_path(connected: Connecting, gateway: GatewayProcess, strip: bool) -> None:
    with nginx(gateway.port, prefix="/tools/claw", strip=strip) as port:
        await pairs_and_chats(connected, gateway, url=f"ws://127.0.0.1:{port}/tools/claw/")


async def test_with_tls_before_it(connected: Connecting, gateway: GatewayProcess, tmp_path: Path) -> None:
    server_certificate(tmp_path)
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(files[0].read_text())).hexdigest()
    with nginx(gateway.port, certificate=files) as port:
        await pairs_and_chats(connected, gateway, url=f"wss://localhost:{port}", tlsFingerprint=fingerprint)


async def test_a_proxy_that_says_nothing_looks_like_a_forwarded_port(
    connected: Connecting, gateway: GatewayProcess
) -> None:
    with nginx(gateway.port, front.NOTHING) as port:
        async with connected(url=f"ws://127.0.0.1:{port}") as client:
            await client.hello()
    (line,) = gateway.decisions("admitted")
    assert line["local"] is True
