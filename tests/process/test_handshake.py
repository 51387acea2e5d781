"""The ways in: versions, both forms of the signature, every auth mode, Origins, and the hello that comes."""

import base64
import json
from collections.abc import Generator
from typing import Any

import pytest

from tests.process.clients import BACKEND, CLI, PAGE, READ_ONLY, STOCK_PAGE, origin
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.raw_websocket import ACCEPT, client_frame, raw_websocket
from tests.support.shapes import misfits
from tests.support.wire_client import ALL_SCOPES, Params, wire_client

pytestmark = pytest.mark.process

PASSWORD = "correct horse battery staple"
LISTED = "https://claw.example.com"
ELSEWHERE = origin("http://localhost:3000")


@pytest.fixture(scope="module")
def gateway() -> Generator[GatewayProcess, None, None]:
    with gateway_process({"gateway": {"controlUi": {"allowedOrigins": [LISTED]}}}) as running:
        yield running


@pytest.fixture(scope="module")
def open_gateway() -> Generator[GatewayProcess, None, None]:
    with gateway_process({"gateway": {"auth": {"mode": "none"}}}) as running:
        yield running


@pytest.fixture(scope="module")
def password_gateway() -> Generator[GatewayProcess, None, None]:
    config = {"gateway": {"auth": {"mode": "password"}}}
    with gateway_process(config, environment={"OPENCLAW_GATEWAY_PASSWORD": PASSWORD}) as running:
        yield running


# --- versions


@pytest.mark.parametrize(("low", "high", "spoken"), [(3, 3, 3), (3, 4, 4), (4, 4, 4), (1, 3, 3), (4, 9, 4)])
async def test_the_highest_version_in_both_ranges_is_spoken(
    gateway: GatewayProcess, low: int, high: int, spoken: int
) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN, protocol=(low, high))
    assert hello["protocol"] == spoken


PRESENCE_ENTRY = {
    "ts": int,
    "host?": str,
    "mode?": str,
    "reason?": str,
    "text?": str,
    "version?": str,
    "platform?": str,
}
HELLO_V3: dict[str, Any] = {
    "type": "hello-ok",
    "protocol": 3,
    "server": {"version": str, "connId": str},
    "features": {"methods": [str], "events": [str]},
    "snapshot": {
        "presence": [PRESENCE_ENTRY],
        "health": {"ok": True},
        "stateVersion": {"presence": int, "health": int},
        "uptimeMs": int,
        "configPath": str,
        "stateDir": str,
        "sessionDefaults": {
            "defaultAgentId": "main",
            "mainKey": "main",
            "mainSessionKey": "agent:main:main",
            "scope": "per-sender",
        },
        "authMode": "token",
    },
    "policy": {"maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000},
}
HELLO_V4 = HELLO_V3 | {
    "protocol": 4,
    "server": {"version": str, "bootId": str, "controlUiBuildSource": "bundled", "connId": str},
    "features": {"methods": [str], "events": [str], "capabilities": [str]},
    "auth": {"role": "operator", "scopes": [str]},
    "policy": HELLO_V3["policy"] | {"attachments": {"maxBytes": 5_000_000, "maxImageBytes": 5_000_000}},
}


async def test_a_v3_hello_has_the_shape_that_stock_pages_read(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN)
    assert misfits(hello, HELLO_V3) == []
    assert "auth" not in hello, "v3 has it for clients with a device only"
    assert hello["snapshot"]["presence"], "the gateway itself is there"


async def test_a_v4_hello_has_the_shape_of_v4(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN, protocol=(4, 4), device=Device(), client=CLI)
    shape = HELLO_V4 | {
        "snapshot": HELLO_V3["snapshot"] | {"suspension": {"phase": "accepting"}},
        "auth": {
            "role": "operator",
            "scopes": [str],
            "deviceToken": str,
            "issuedAtMs": int,
        },
    }
    assert misfits(hello, shape) == []
    assert "method" not in hello["auth"], "the published contract closes this object"
    assert set(hello["auth"]["scopes"]) == set(ALL_SCOPES)


@pytest.mark.parametrize("version", [3, 4])
async def test_paths_in_the_hello_are_for_admins_only(gateway: GatewayProcess, version: int) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(
            token=TOKEN, device=Device(), scopes=READ_ONLY, protocol=(version, version)
        )
    assert str(gateway.state) not in json.dumps(hello)
    assert not {"configPath", "stateDir", "authMode"} & set(hello["snapshot"])


# --- ways in


@pytest.mark.parametrize("signature", ["v2", "v3"])
@pytest.mark.parametrize("version", [3, 4])
async def test_both_forms_of_the_device_signature_are_accepted(
    gateway: GatewayProcess, signature: str, version: int
) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(
            token=TOKEN, device=Device(), signature=signature, protocol=(version, version), client=CLI
        )
    assert hello["auth"]["deviceToken"]


async def test_a_key_in_pem_and_a_signature_in_standard_base64_are_accepted(gateway: GatewayProcess) -> None:
    def change(params: Params) -> None:
        device = params["device"]
        raw = base64.urlsafe_b64decode(device["publicKey"] + "=")
        # RFC 8410 section 4: an Ed25519 key in a SubjectPublicKeyInfo.
        body = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + raw).decode()
        device["publicKey"] = f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"
        signature = base64.urlsafe_b64decode(device["signature"] + "==")
        device["signature"] = base64.b64encode(signature).decode()

    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=Device(), change=change)


async def test_a_program_with_the_token_needs_no_device(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN)
        assert await client.call("health")
    assert "auth" not in hello


async def test_absent_scopes_are_no_scopes(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN, change=lambda params: params.pop("scopes"))
    assert "stateDir" not in hello["snapshot"]


async def test_a_page_of_ours_and_a_stock_page_get_in_with_token_and_device(gateway: GatewayProcess) -> None:
    for page in (PAGE, STOCK_PAGE):
        headers = origin(f"http://127.0.0.1:{gateway.port}")
        async with wire_client(gateway.port, headers=headers) as client:
            hello = await client.connect(token=TOKEN, client=page, device=Device(), signature="v2")
        assert hello["auth"]["role"] == "operator"


@pytest.mark.parametrize(
    ("host", "from_origin"),
    [
        ("127.0.0.1:{port}", "http://localhost:{port}"),
        ("localhost:{port}", "http://127.0.0.1:9"),
        ("[::1]:{port}", "http://localhost:{port}"),
        ("127.0.0.1:{port}", LISTED),
    ],
)
async def test_a_page_of_this_machine_or_of_a_listed_origin_gets_in(
    gateway: GatewayProcess, host: str, from_origin: str
) -> None:
    port = gateway.port
    headers = origin(from_origin.format(port=port))
    async with wire_client(port, host_header=host.format(port=port), headers=headers) as client:
        await client.connect(token=TOKEN, device=Device(), client=PAGE)


@pytest.mark.parametrize(
    ("host", "from_origin"),
    [
        ("192.0.2.7:{port}", "http://192.0.2.7:{port}"),
        ("[2001:db8::7]:{port}", "http://[2001:db8::7]:{port}"),
        ("anything.example", LISTED),
    ],
)
async def test_a_page_from_the_address_it_asks_for_passes_and_waits_for_approval(
    gateway: GatewayProcess, host: str, from_origin: str
) -> None:
    port = gateway.port
    headers = origin(from_origin.format(port=port))
    async with wire_client(port, host_header=host.format(port=port), headers=headers) as client:
        refusal = await client.refusal(token=TOKEN, device=Device(), client=PAGE)
    assert refusal.error["details"]["reason"] == "not-paired"


@pytest.mark.parametrize(
    ("host", "from_origin"),
    [
        ("rebound.example:{port}", "http://rebound.example:{port}"),
        ("192.0.2.7:{port}", "http://192.0.2.8:{port}"),
        ("192.0.2.7:{port}", "http://192.0.2.7:1"),
        ("127.0.0.1:{port}", "https://claw.example.com.evil.example"),
        ("127.0.0.1:{port}", "file:///etc/passwd"),
        ("192.0.2.7:{port}", "http://localhost:{port}"),
    ],
)
async def test_an_origin_that_somebody_else_could_own_is_refused(
    gateway: GatewayProcess, host: str, from_origin: str
) -> None:
    port = gateway.port
    headers = origin(from_origin.format(port=port))
    async with wire_client(port, host_header=host.format(port=port), headers=headers) as client:
        refusal = await client.refusal(token=TOKEN, device=Device(), client=PAGE)
    assert refusal.error["message"].startswith("origin not allowed ")


async def test_the_path_of_the_websocket_does_not_matter(gateway: GatewayProcess) -> None:
    for path in ("/ws", "/chat?session=main"):
        async with wire_client(gateway.port, resource=path) as client:
            await client.connect(token=TOKEN)


async def test_a_token_in_the_websocket_url_counts_for_nothing(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port, resource=f"/?token={TOKEN}") as client:
        refusal = await client.refusal(device=Device())
    assert refusal.error["details"]["code"] == "AUTH_TOKEN_MISSING"


async def test_a_connect_in_the_same_packet_as_the_upgrade_is_read(gateway: GatewayProcess) -> None:
    """A client that does not wait for the challenge has no nonce to sign, but it may hold the token."""
    request = {
        "type": "req",
        "id": "early",
        "method": "connect",
        "params": {"minProtocol": 3, "maxProtocol": 3, "client": BACKEND, "auth": {"token": TOKEN}},
    }
    async with raw_websocket(gateway.port, client_frame(json.dumps(request).encode())) as socket:
        await socket.until(b'"hello-ok"')
        received = socket.received
    assert received.startswith(b"HTTP/1.1 101 ")
    assert ACCEPT.encode() in received
    assert b"connect.challenge" in received
    assert b'"hello-ok"' in received


async def test_a_request_may_come_in_a_binary_message(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        await client.send(b'{"type":"req","id":"binary","method":"health"}')
        assert (await client.response("binary"))["ok"]


async def test_a_gateway_on_loopback_listens_on_ipv6_too(gateway: GatewayProcess) -> None:
    try:
        async with wire_client(gateway.port, host="::1", host_header=f"[::1]:{gateway.port}") as client:
            await client.connect(token=TOKEN, device=Device())
    except OSError:
        pytest.skip("this machine has no IPv6")


async def test_compression_is_not_negotiated(gateway: GatewayProcess) -> None:
    offer = (("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),)
    async with wire_client(gateway.port, headers=offer) as client:
        await client.connect(token=TOKEN)


# --- the other modes


async def test_mode_none_lets_a_local_device_in_without_a_secret(open_gateway: GatewayProcess) -> None:
    async with wire_client(open_gateway.port) as client:
        hello = await client.connect(device=Device())
    assert hello["snapshot"]["authMode"] == "none"


async def test_mode_none_still_wants_a_device(open_gateway: GatewayProcess) -> None:
    async with wire_client(open_gateway.port) as client:
        refusal = await client.refusal()
    assert refusal.error["details"] == {"code": "DEVICE_IDENTITY_REQUIRED"}
    async with wire_client(open_gateway.port, headers=ELSEWHERE) as client:
        refusal = await client.refusal(client=PAGE)
    assert refusal.error["details"] == {"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"}


async def test_mode_none_pairs_its_own_page_and_no_other_ports(open_gateway: GatewayProcess) -> None:
    own = origin(f"http://localhost:{open_gateway.port}")
    async with wire_client(open_gateway.port, headers=own) as client:
        await client.connect(client=PAGE, device=Device())
    async with wire_client(open_gateway.port, headers=ELSEWHERE) as client:
        refusal = await client.refusal(client=PAGE, device=Device())
    assert refusal.error["details"]["reason"] == "not-paired"


async def test_mode_password_takes_the_password_and_says_so_when_it_is_wrong_or_missing(
    password_gateway: GatewayProcess,
) -> None:
    port = password_gateway.port
    async with wire_client(port) as client:
        hello = await client.connect(auth={"password": PASSWORD})
    assert hello["snapshot"]["authMode"] == "password"
    async with wire_client(port) as client:
        refusal = await client.refusal(auth={"password": "wrong"})
    assert refusal.error["details"]["code"] == "AUTH_PASSWORD_MISMATCH"
    assert refusal.error["message"] == (
        "unauthorized: gateway password mismatch (provide gateway auth password)"
    )
    headers = origin(f"http://127.0.0.1:{port}")
    async with wire_client(port, headers=headers) as client:
        refusal = await client.refusal(device=Device(), client=PAGE)
    assert refusal.error["details"]["code"] == "AUTH_PASSWORD_MISSING"
    assert refusal.close[1] == (
        "unauthorized: gateway password missing (enter the password in Control UI settings)"
    )
