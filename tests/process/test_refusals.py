"""Every refusal of the handshake over a real socket: its `res`, its close, its line in the log.

The texts are the stock gateway's, as clients match some of them; where the house decided otherwise (time-out,
first message that is not JSON, size before admission, version mismatch) the tests say what it decided.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from tests.process.clients import BACKEND, CLI, NODE, PAGE, STOCK_PAGE, origin
from tests.support.device import Device, base64url
from tests.support.gateway_process import TOKEN, GatewayProcess
from tests.support.raw_websocket import FIN, TEXT, client_frame, close_of, raw_websocket
from tests.support.wire_client import Params, wire_client

pytestmark = pytest.mark.process

WRONG = "f" * 48
ORIGIN_NOT_ALLOWED = (
    "origin not allowed "
    "(open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)"
)
DAY_MS = 86_400_000


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


async def test_fragments_of_a_first_message_count_together(gateway: GatewayProcess) -> None:
    async with raw_websocket(gateway.port) as socket:
        await socket.until(b"connect.challenge")
        piece = b"x" * 30_000
        await socket.send(client_frame(piece, first=TEXT) + client_frame(piece, first=0) * 2)
        await socket.until_the_end()
    assert close_of(socket.received) == 1009


@pytest.mark.parametrize(
    ("breach", "code"),
    [
        (client_frame(b"{}", masked=False), 1002),
        (client_frame(b"", first=FIN | 0x70 | TEXT), 1002),
        (client_frame(b"", first=FIN | 0x3), 1002),
        (client_frame(b"\xff\xfe"), 1007),
    ],
    ids=["unmasked", "reserved bits", "reserved opcode", "not UTF-8"],
)
@pytest.mark.parametrize("admitted", [False, True], ids=["stranger", "client"])
async def test_a_breach_of_the_websocket_protocol_is_closed_with_its_code(
    gateway: GatewayProcess, breach: bytes, code: int, admitted: bool
) -> None:
    """RFC 6455 section 7.1.7: who fails a connection says why."""
    async with raw_websocket(gateway.port) as socket:
        await socket.until(b"connect.challenge")
        if admitted:
            params = {"minProtocol": 3, "maxProtocol": 3, "client": BACKEND, "auth": {"token": TOKEN}}
            request = {"type": "req", "id": "1", "method": "connect", "params": params}
            await socket.send(client_frame(json.dumps(request).encode()))
            await socket.until(b'"hello-ok"')
        await socket.send(breach)
        await socket.until_the_end()
    assert close_of(socket.received) == code


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
    assert refusal.error == {"code": row.code, "message": row.message, "retryable": False} | (
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
        "retryable": False,
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
        details={
            "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED",
            "reason": "origin not allowed",
            "command": "openclawd config set openclawd.publicOrigin https://evil.example",
        },
        device=True,
        headers=origin("https://evil.example"),
        handshake={"token": TOKEN, "client": PAGE},
    ),
    Row(
        "a page without an origin",
        ORIGIN_NOT_ALLOWED,
        details={
            "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED",
            "reason": "origin missing or invalid",
            "command": "openclawd dashboard",
        },
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
    assert refusal.error == {
        "code": row.code,
        "message": row.message,
        "details": row.details,
        "retryable": False,
    }
    assert refusal.close == (1008, row.message[:123])
