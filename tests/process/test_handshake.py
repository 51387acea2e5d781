"""The handshake over a real socket: every refusal with its `res`, its close and its log line, and every way in.

The texts are the stock gateway's, as clients match some of them; where the house decided otherwise (time-out,
first message that is not JSON, size before admission, version mismatch) the tests say what it decided.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

import attrs
import pytest

from tests.process.clients import BACKEND, CLI, FROM_AFAR, NODE, PAGE, READ_ONLY, STOCK_PAGE, origin
from tests.support.device import Device, base64url
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.shapes import misfits
from tests.support.wire_client import ALL_SCOPES, Params, wire_client

pytestmark = pytest.mark.process

PASSWORD = "correct horse battery staple"
WRONG = "f" * 48
ORIGIN_NOT_ALLOWED = (
    "origin not allowed "
    "(open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)"
)
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def gateway() -> Generator[GatewayProcess, None, None]:
    config = {"gateway": {"controlUi": {"allowedOrigins": ["https://claw.example.com"]}}}
    with gateway_process(config) as running:
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


# --- before there is a request


async def test_the_gateway_speaks_first_with_a_nonce_of_its_own_for_every_socket(
    gateway: GatewayProcess,
) -> None:
    nonces = set()
    for _ in range(2):
        async with wire_client(gateway.port) as client:
            challenge = await client.next_frame()
            assert challenge["type"] == "event"
            assert challenge["event"] == "connect.challenge"
            assert abs(challenge["payload"]["ts"] - time.time() * 1000) < DAY_MS
            nonces.add(challenge["payload"]["nonce"])
    assert len(nonces) == 2


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("{not json", "not-json"),
        ("", "not-json"),
        (b"\xff\xfe", "not-json"),
        ('"connect"', "invalid-request-frame"),
        ('{"type":"res","id":"1","ok":true}', "invalid-request-frame"),
        ('{"type":"req","id":"","method":"connect"}', "invalid-request-frame"),
        ('{"type":"req","id":1,"method":"connect"}', "invalid-request-frame"),
        ('{"type":"req","id":"1"}', "invalid-request-frame"),
        ('{"type":"req","id":"1","method":"connect","params":{},"extra":1}', "invalid-request-frame"),
    ],
)
async def test_a_first_message_that_is_no_request_is_closed_without_a_res(
    gateway: GatewayProcess, first: str | bytes, reason: str
) -> None:
    before = len(gateway.decisions("refused", reason=reason))
    async with wire_client(gateway.port) as client:
        await client.send(first)
        assert await client.closed() == (1008, "invalid request frame")
        assert [frame["event"] for frame in client.seen] == ["connect.challenge"]
    assert len(gateway.decisions("refused", reason=reason, closeCode=1008)) == before + 1


@pytest.mark.parametrize("size", [65_537, 300_000])
async def test_a_first_message_above_64_kib_is_closed_with_1009(gateway: GatewayProcess, size: int) -> None:
    async with wire_client(gateway.port) as client:
        frame = json.dumps({"type": "req", "id": "1", "method": "connect", "params": ""})
        await client.send(frame.replace('""', f'"{"x" * (size - len(frame))}"'))
        assert await client.closed() == (1009, "")
        assert [frame["event"] for frame in client.seen] == ["connect.challenge"]


async def test_a_first_message_of_64_kib_is_read(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(token=TOKEN, userAgent=7, locale="x" * 64_000)
    assert refusal.error["message"] == "invalid connect params: at /userAgent: must be string"


# --- every refusal that has a res


def forged_id(params: Params) -> None:
    params["device"]["id"] = "0" * 64


def short_key(params: Params) -> None:
    key = b"thirty-one bytes are not enough"
    params["device"] |= {"publicKey": base64url(key), "id": hashlib.sha256(key).hexdigest()}


def off_by(milliseconds: int) -> Callable[[Params], None]:
    def change(params: Params) -> None:
        params["device"]["signedAt"] += milliseconds

    return change


def nonce_of(text: str) -> Callable[[Params], None]:
    def change(params: Params) -> None:
        params["device"]["nonce"] = text

    return change


def other_scopes(params: Params) -> None:
    params["scopes"] = ["operator.read"]


def without(name: str) -> Callable[[Params], None]:
    def change(params: Params) -> None:
        del params[name]

    return change


def client_with(name: str, value: object) -> Callable[[Params], None]:
    def change(params: Params) -> None:
        params["client"][name] = value

    return change


@attrs.frozen
class Row:
    """One row of the table of refusals: what is sent, and what comes back."""

    name: str
    message: str
    code: str = "INVALID_REQUEST"
    details: Mapping[str, Any] | None = None
    close: int = 1008
    device: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    handshake: Mapping[str, Any] = attrs.field(factory=dict)


def auth(code: str, reason: str) -> dict[str, Any]:
    return {"code": code, "authReason": reason}


def invalid_device(reason: str) -> dict[str, Any]:
    return {"code": "DEVICE_AUTH_INVALID", "reason": reason}


def mismatch(low: int, high: int) -> dict[str, Any]:
    return {
        "code": "PROTOCOL_MISMATCH",
        "clientMinProtocol": low,
        "clientMaxProtocol": high,
        "expectedProtocol": 4,
        "minimumProbeProtocol": 3,
    }


MISSING = "unauthorized: gateway token missing"
MISMATCH = "unauthorized: gateway token mismatch"
FOR_PROGRAMS = "(provide gateway auth token)"
FOR_THE_CLI = "(set gateway.remote.token to match gateway.auth.token)"
FOR_PAGES = "(open the dashboard URL and paste the token in Control UI settings)"
HERE = origin("http://localhost:3000")

V3_ROWS = [
    Row(
        "an unknown client id",
        "invalid connect params: at /client/id: must be equal to constant; "
        "at /client/id: must match a schema in anyOf",
        handshake={"token": TOKEN, "change": client_with("id", "nobody")},
    ),
    Row(
        "an unknown client mode",
        "invalid connect params: at /client/mode: must be equal to constant; "
        "at /client/mode: must match a schema in anyOf",
        handshake={"token": TOKEN, "change": client_with("mode", "dreaming")},
    ),
    Row(
        "an unexpected property",
        "invalid connect params: at root: unexpected property 'zzz'",
        handshake={"token": TOKEN, "zzz": 1},
    ),
    Row(
        "a missing property",
        "invalid connect params: must have required property 'client'",
        handshake={"token": TOKEN, "change": without("client")},
    ),
    Row(
        "a version range that ends before ours",
        "protocol mismatch",
        details=mismatch(1, 2),
        close=1002,
        handshake={"token": TOKEN, "protocol": (1, 2)},
    ),
    Row(
        "a version range that begins after ours",
        "protocol mismatch",
        details=mismatch(5, 6),
        close=1002,
        handshake={"token": TOKEN, "protocol": (5, 6)},
    ),
    Row("an unknown role", "invalid role", handshake={"token": TOKEN, "role": "emperor"}),
    Row(
        "a foreign page",
        ORIGIN_NOT_ALLOWED,
        headers=origin("https://evil.example"),
        device=True,
        handshake={"token": TOKEN, "client": PAGE},
    ),
    Row(
        "a page without an origin",
        ORIGIN_NOT_ALLOWED,
        device=True,
        handshake={"token": TOKEN, "client": STOCK_PAGE},
    ),
    Row(
        "a page of the origin null",
        ORIGIN_NOT_ALLOWED,
        headers=origin("null"),
        device=True,
        handshake={"token": TOKEN, "client": PAGE},
    ),
    Row(
        "a program that a foreign page runs",
        ORIGIN_NOT_ALLOWED,
        headers=origin("https://evil.example"),
        handshake={"token": TOKEN},
    ),
    Row(
        "a Control UI without a device",
        "control ui requires device identity (use HTTPS or localhost secure context)",
        details={"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"},
        headers=HERE,
        handshake={"token": TOKEN, "client": PAGE},
    ),
    Row(
        "neither device nor secret",
        "device identity required",
        code="NOT_PAIRED",
        details={"code": "DEVICE_IDENTITY_REQUIRED"},
    ),
    Row(
        "a node without a device",
        "device identity required",
        code="NOT_PAIRED",
        details={"code": "DEVICE_IDENTITY_REQUIRED"},
        handshake={"token": TOKEN, "client": NODE, "role": "node", "scopes": ()},
    ),
    Row(
        "a wrong token without a device",
        f"{MISMATCH} {FOR_PROGRAMS}",
        details=auth("AUTH_TOKEN_MISMATCH", "token_mismatch"),
        handshake={"token": WRONG},
    ),
    Row(
        "a wrong token of the command line",
        f"{MISMATCH} {FOR_THE_CLI}",
        details=auth("AUTH_TOKEN_MISMATCH", "token_mismatch"),
        handshake={"token": WRONG, "client": CLI},
    ),
    Row(
        "a wrong token of a page",
        f"{MISMATCH} {FOR_PAGES}",
        details=auth("AUTH_TOKEN_MISMATCH", "token_mismatch"),
        device=True,
        headers=HERE,
        handshake={"token": WRONG, "client": STOCK_PAGE},
    ),
    Row(
        "a wrong token with a device",
        f"{MISMATCH} {FOR_PROGRAMS}",
        details=auth("AUTH_TOKEN_MISMATCH", "token_mismatch"),
        device=True,
        handshake={"token": WRONG},
    ),
    Row(
        "a missing token with a device",
        f"{MISSING} {FOR_PROGRAMS}",
        details=auth("AUTH_TOKEN_MISSING", "token_missing"),
        device=True,
    ),
    Row(
        "a missing token of a page",
        f"{MISSING} {FOR_PAGES}",
        details=auth("AUTH_TOKEN_MISSING", "token_missing"),
        device=True,
        headers=HERE,
        handshake={"client": PAGE},
    ),
    Row(
        "a device token that nobody issued",
        "unauthorized: device token mismatch (rotate/reissue device token)",
        details=auth("AUTH_DEVICE_TOKEN_MISMATCH", "device_token_mismatch"),
        device=True,
        handshake={"auth": {"deviceToken": "made-up"}},
    ),
    Row(
        "a device id that is not the hash of its key",
        "device identity mismatch",
        details=invalid_device("device-id-mismatch"),
        device=True,
        handshake={"token": TOKEN, "change": forged_id},
    ),
    Row(
        "a signature from the past",
        "device signature expired",
        details=invalid_device("device-signature-stale"),
        device=True,
        handshake={"token": TOKEN, "change": off_by(-125_000)},
    ),
    Row(
        "a signature from the future",
        "device signature expired",
        details=invalid_device("device-signature-stale"),
        device=True,
        handshake={"token": TOKEN, "change": off_by(125_000)},
    ),
    Row(
        "a blank nonce",
        "device nonce required",
        details=invalid_device("device-nonce-missing"),
        device=True,
        handshake={"token": TOKEN, "change": nonce_of("  ")},
    ),
    Row(
        "another socket's nonce",
        "device nonce mismatch",
        details=invalid_device("device-nonce-mismatch"),
        device=True,
        handshake={"token": TOKEN, "change": nonce_of("6f2f6d36-7d8e-4a4e-9a53-0e0f5a1c9f11")},
    ),
    Row(
        "a signature over something else",
        "device signature invalid",
        details=invalid_device("device-signature"),
        device=True,
        handshake={"token": TOKEN, "change": other_scopes},
    ),
    Row(
        "a key that is none",
        "device public key invalid",
        details=invalid_device("device-public-key"),
        device=True,
        handshake={"token": TOKEN, "change": short_key},
    ),
]


@pytest.mark.parametrize("row", V3_ROWS, ids=lambda row: row.name)
async def test_a_refusal_says_why_closes_and_is_logged_once(gateway: GatewayProcess, row: Row) -> None:
    handshake = dict(row.handshake)
    async with wire_client(gateway.port, headers=row.headers) as client:
        refusal = await client.refusal(device=Device() if row.device else None, **handshake)
        connections = [frame for frame in client.seen if frame["type"] == "res"]
    assert refusal.error == {"code": row.code, "message": row.message} | (
        {"details": row.details} if row.details is not None else {}
    )
    assert refusal.close == (row.close, row.message[:123])
    assert not connections, "one request has one answer"
    last = gateway.decisions("refused")[-1]
    assert (last["closeCode"], last["closeReason"]) == refusal.close
    assert last["code"] == row.code


async def test_a_first_request_that_is_not_connect_is_refused(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.send({"type": "req", "id": "7", "method": "health"})
        assert await client.closed() == (1008, "invalid handshake: first request must be connect")
        answer = client.seen[-1]
    assert (answer["id"], answer["ok"]) == ("7", False)
    assert answer["error"] == {
        "code": "INVALID_REQUEST",
        "message": "invalid handshake: first request must be connect",
    }


async def test_a_close_reason_is_cut_between_characters_at_123_bytes(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        refusal = await client.refusal(token=TOKEN, **{"ż" * 100: 1})
    code, reason = refusal.close
    assert code == 1008
    assert refusal.error["message"].startswith(reason)
    assert 120 < len(reason.encode()) <= 123


async def test_a_skew_within_two_minutes_is_no_fault(gateway: GatewayProcess) -> None:
    class Late(Device):
        def sign(self, **parts: Any) -> dict[str, Any]:
            return super().sign(**(parts | {"signed_at_ms": parts["signed_at_ms"] - 110_000}))

    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, device=Late())


# --- the same for v4, where it differs


V4_ROWS = [
    Row(
        "a wrong token",
        f"{MISMATCH} {FOR_PROGRAMS}",
        details=auth("AUTH_TOKEN_MISMATCH", "token_mismatch")
        | {"canRetryWithDeviceToken": False, "recommendedNextStep": "update_auth_credentials"},
        handshake={"token": WRONG},
    ),
    Row(
        "a wrong token with a device",
        f"{MISMATCH} {FOR_PROGRAMS}",
        details=auth("AUTH_TOKEN_MISMATCH", "token_mismatch")
        | {"canRetryWithDeviceToken": True, "recommendedNextStep": "retry_with_device_token"},
        device=True,
        handshake={"token": WRONG},
    ),
    Row(
        "a missing token",
        f"{MISSING} {FOR_PROGRAMS}",
        details=auth("AUTH_TOKEN_MISSING", "token_missing")
        | {"canRetryWithDeviceToken": False, "recommendedNextStep": "update_auth_configuration"},
        device=True,
    ),
    Row(
        "a wrong device token",
        "unauthorized: device token mismatch (rotate/reissue device token)",
        details=auth("AUTH_DEVICE_TOKEN_MISMATCH", "device_token_mismatch")
        | {"canRetryWithDeviceToken": False, "recommendedNextStep": "update_auth_credentials"},
        device=True,
        handshake={"auth": {"deviceToken": "made-up"}},
    ),
    Row(
        "a foreign page",
        ORIGIN_NOT_ALLOWED,
        details={"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": "origin not allowed"},
        device=True,
        headers=origin("https://evil.example"),
        handshake={"token": TOKEN, "client": PAGE},
    ),
    Row(
        "a page without an origin",
        ORIGIN_NOT_ALLOWED,
        details={"code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": "origin missing or invalid"},
        device=True,
        handshake={"token": TOKEN, "client": PAGE},
    ),
    *(
        Row(
            f"the device code {code}",
            message,
            details={"code": code, "reason": reason},
            device=True,
            handshake={"token": TOKEN, "change": change},
        )
        for code, reason, message, change in (
            (
                "DEVICE_AUTH_DEVICE_ID_MISMATCH",
                "device-id-mismatch",
                "device identity mismatch",
                forged_id,
            ),
            (
                "DEVICE_AUTH_SIGNATURE_EXPIRED",
                "device-signature-stale",
                "device signature expired",
                off_by(-125_000),
            ),
            ("DEVICE_AUTH_NONCE_REQUIRED", "device-nonce-missing", "device nonce required", nonce_of(" ")),
            ("DEVICE_AUTH_NONCE_MISMATCH", "device-nonce-mismatch", "device nonce mismatch", nonce_of("x")),
            ("DEVICE_AUTH_SIGNATURE_INVALID", "device-signature", "device signature invalid", other_scopes),
            ("DEVICE_AUTH_PUBLIC_KEY_INVALID", "device-public-key", "device public key invalid", short_key),
        )
    ),
]


@pytest.mark.parametrize("row", V4_ROWS, ids=lambda row: row.name)
async def test_a_v4_refusal_has_its_own_details(gateway: GatewayProcess, row: Row) -> None:
    async with wire_client(gateway.port, headers=row.headers) as client:
        refusal = await client.refusal(
            device=Device() if row.device else None, protocol=(4, 4), **dict(row.handshake)
        )
    assert refusal.error == {"code": row.code, "message": row.message, "details": row.details}
    assert refusal.close == (1008, row.message[:123])


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
HELLO_V3 = {
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
    "auth": {"method": "token", "role": "operator", "scopes": [str]},
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
        "snapshot": HELLO_V3["snapshot"] | {"suspension": {"phase": "accepting"}},  # type: ignore[operator]
        "auth": {
            "method": "token",
            "role": "operator",
            "scopes": [str],
            "deviceToken": str,
            "issuedAtMs": int,
        },
    }
    assert misfits(hello, shape) == []
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
        hello = await client.connect(token=TOKEN, change=without("scopes"))
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
        ("192.0.2.7:{port}", "http://192.0.2.7:{port}"),
        ("anything.example", "https://claw.example.com"),
    ],
)
async def test_an_origin_that_equals_the_host_or_is_loopback_or_listed_passes(
    gateway: GatewayProcess, host: str, from_origin: str
) -> None:
    port = gateway.port
    headers = origin(from_origin.format(port=port))
    async with wire_client(port, host_header=host.format(port=port), headers=headers) as client:
        try:
            await client.connect(token=TOKEN, device=Device(), client=PAGE)
        except Exception as error:
            # Who is not local has passed this step, and waits for approval.
            assert "pairing required" in str(error)


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
    assert refusal.error["message"] == ORIGIN_NOT_ALLOWED


async def test_the_path_of_the_websocket_does_not_matter(gateway: GatewayProcess) -> None:
    for path in ("/ws", "/chat?session=main"):
        async with wire_client(gateway.port, resource=path) as client:
            await client.connect(token=TOKEN)


async def test_a_token_in_the_websocket_url_counts_for_nothing(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port, resource=f"/?token={TOKEN}") as client:
        refusal = await client.refusal(device=Device())
    assert refusal.error["details"]["code"] == "AUTH_TOKEN_MISSING"


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
    async with wire_client(open_gateway.port, headers=HERE) as client:
        refusal = await client.refusal(client=PAGE)
    assert refusal.error["details"] == {"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"}


async def test_mode_none_pairs_its_own_page_and_no_other_ports(open_gateway: GatewayProcess) -> None:
    own = origin(f"http://localhost:{open_gateway.port}")
    async with wire_client(open_gateway.port, headers=own) as client:
        await client.connect(client=PAGE, device=Device())
    async with wire_client(open_gateway.port, headers=HERE) as client:
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
    assert refusal.error["details"] == auth("AUTH_PASSWORD_MISMATCH", "password_mismatch")
    assert refusal.error["message"] == (
        "unauthorized: gateway password mismatch (provide gateway auth password)"
    )
    headers = origin(f"http://127.0.0.1:{port}")
    async with wire_client(port, headers=headers) as client:
        refusal = await client.refusal(device=Device(), client=PAGE)
    assert refusal.error["details"] == auth("AUTH_PASSWORD_MISSING", "password_missing")
    assert refusal.close[1] == (
        "unauthorized: gateway password missing (enter the password in Control UI settings)"
    )


# --- the log


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
                "closeReason": f"{MISMATCH} {FOR_PROGRAMS}",
            },
        )
        == []
    )
    assert gateway.decisions("admitted", conn=lines[0]["conn"]) == []


async def test_no_secret_reaches_the_log_or_the_terminal(
    gateway: GatewayProcess, password_gateway: GatewayProcess
) -> None:
    device = Device()
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=TOKEN, device=device)
    issued = hello["auth"]["deviceToken"]
    async with wire_client(gateway.port) as client:
        await client.connect(auth={"deviceToken": issued}, device=device)
    async with wire_client(gateway.port, resource=f"/?token={TOKEN}") as client:
        await client.refusal(auth={"deviceToken": "canary-of-a-device-token"}, device=device)
    async with wire_client(password_gateway.port) as client:
        await client.refusal(auth={"password": "canary-of-a-password"})
    secrets = (TOKEN, WRONG, issued, PASSWORD, "canary-of-a-device-token", "canary-of-a-password")
    for each in (gateway, password_gateway):
        for text in (json.dumps(each.log_lines), each.output):
            assert not [secret for secret in secrets if secret in text]
    assert TOKEN in gateway.printed, "the dashboard link on stdout is for the person who started it"
    assert PASSWORD not in password_gateway.printed
