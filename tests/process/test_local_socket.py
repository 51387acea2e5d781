"""The owner's way in on this machine, when everything else is broken, and nobody else's (R11)."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionRejected, wrap_client_stream

from openclawd.daemon.local_socket import short_path
from tests.process.clients import CLI, FROM_AFAR, PAGE, origin
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.raw_websocket import UPGRADE
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = pytest.mark.process

NOBODY = 65534
# Every wrong try counts, and the second is the last.
STRICT = {"auth": {"password": "correct horse", "rateLimit": {"maxAttempts": 2, "exemptLoopback": False}}}
WRONG_TOKEN = {"OPENCLAW_GATEWAY_TOKEN": "not-the-gateways"}
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
# Becomes another user, sends what stdin holds to a Unix socket, prints what comes back, or the error.
PROBE = textwrap.dedent("""
    import os, socket, sys
    path, uid = sys.argv[1], int(sys.argv[2])
    said = sys.stdin.buffer.read()
    os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(10)
    try:
        peer.connect(path)
        peer.sendall(said)
        sys.stdout.buffer.write(peer.recv(65536) or b"closed")
    except OSError as error:
        print(type(error).__name__)
    """)


def socket_of(gateway: GatewayProcess) -> Path:
    return gateway.state / "openclawd" / "gateway.sock"


def say(path: Path, head: bytes) -> bytes:
    """What the local socket answers to a request that it closes after."""
    with socket.socket(socket.AF_UNIX) as peer, short_path(path) as name:
        peer.settimeout(10)
        peer.connect(name)
        peer.sendall(head)
        answer = b""
        while data := peer.recv(65536):
            answer += data
    return answer


def say_as(uid: int, path: Path, said: bytes) -> str:
    """The same as another user."""
    command = [sys.executable, "-c", PROBE, str(path), str(uid)]
    return subprocess.run(command, input=said, capture_output=True, check=True, timeout=20).stdout.decode(
        "latin-1"
    )


@asynccontextmanager
async def local_client(
    gateway: GatewayProcess, headers: Sequence[tuple[str, str]] = ()
) -> AsyncGenerator[WireClient, None]:
    """A WebSocket over the local socket."""
    raw = [(name.encode(), value.encode()) for name, value in headers]
    with trio.fail_after(20), short_path(socket_of(gateway)) as name:
        stream = await trio.open_unix_socket(name)
    try:
        async with stream, trio.open_nursery() as nursery:
            yield WireClient(await wrap_client_stream(nursery, stream, "localhost", "/", extra_headers=raw))
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


def listed(gateway: GatewayProcess, **environment: str) -> dict[str, Any]:
    """`openclawd devices list`, which must work."""
    ran = command(gateway, "devices", "list", "--json", **environment)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def command(
    gateway: GatewayProcess, *words: str, program: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    environ = {**gateway._env(), **environment}
    return subprocess.run(
        [*program, *GatewayProcess.program, *words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def decided_by(gateway: GatewayProcess) -> str:
    return str(gateway.decisions("admitted")[-1]["credential"])


async def ask_for_pairing(gateway: GatewayProcess, device: Device, **more: Any) -> Mapping[str, Any]:
    """A device from elsewhere asks to come in: the details of the refusal."""
    async with wire_client(gateway.port, headers=FROM_AFAR) as client:
        refusal = await client.refusal(token=TOKEN, device=device, client=CLI, **more)
    details: Mapping[str, Any] = refusal.error["details"]
    return details


# --- what works, whatever is broken


async def test_a_lost_token_keeps_the_owner_out_of_nothing() -> None:
    with gateway_process() as gateway:
        await ask_for_pairing(gateway, Device())
        assert len(listed(gateway, **WRONG_TOKEN)["pending"]) == 1
        ran = command(gateway, "devices", "approve", **WRONG_TOKEN)
        assert ran.returncode == 0, ran.stderr
        assert len(listed(gateway, **WRONG_TOKEN)["paired"]) == 1
        assert decided_by(gateway) == "local-socket"
        # Over the port the wrong one is worth nothing.
        refused = command(gateway, "devices", "list", "--port", str(gateway.port), **WRONG_TOKEN)
        assert refused.returncode == 1
        assert "token mismatch" in refused.stderr


async def test_a_scope_that_a_device_wants_more_is_approved_over_it() -> None:
    device = Device()
    with gateway_process() as gateway:
        await ask_for_pairing(gateway, device, scopes=["operator.read"])
        assert command(gateway, "devices", "approve").returncode == 0
        more = await ask_for_pairing(gateway, device, scopes=["operator.read", "operator.write"])
        assert more["reason"] == "scope-upgrade"
        assert command(gateway, "devices", "approve").returncode == 0
        async with wire_client(gateway.port, headers=FROM_AFAR) as client:
            await client.connect(token=TOKEN, device=device, client=CLI, scopes=["operator.write"])


async def test_a_limiter_that_refuses_everybody_does_not_know_the_owner() -> None:
    with gateway_process({"gateway": STRICT}) as gateway:
        code = ""
        for number in range(9):
            async with wire_client(gateway.port) as client:
                refusal = await client.refusal(auth={"password": f"guess {number}"}, client=CLI)
            code = refusal.error["details"]["code"]
            if code == "AUTH_RATE_LIMITED":
                break
        assert code == "AUTH_RATE_LIMITED"
        assert listed(gateway) == {"pending": [], "paired": []}
        assert decided_by(gateway) == "local-socket"


async def test_devices_that_cannot_be_read_any_more_keep_the_owner_out_of_nothing() -> None:
    with gateway_process() as gateway:
        await ask_for_pairing(gateway, Device())
        assert command(gateway, "devices", "approve").returncode == 0
        await ask_for_pairing(gateway, Device())
        gateway.stop()
        with sqlite3.connect(gateway.state / "openclawd" / "openclawd.sqlite3") as database:
            database.execute("UPDATE devices SET document = ?", ('{"half a',))
            database.execute("INSERT INTO devices VALUES ('x', '[]')")
            database.execute("INSERT INTO device_requests VALUES ('y', x'ff00')")
        database.close()
        gateway.start()
        assert len(listed(gateway)["pending"]) == 1
        assert command(gateway, "devices", "approve").returncode == 0
        assert len(listed(gateway)["paired"]) == 1


def test_a_folder_that_is_too_deep_for_a_socket_has_it_all_the_same(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path / ("deep" * 40) / "state", "", {})
    gateway.start()
    try:
        assert socket_of(gateway).is_socket()
        assert listed(gateway, **WRONG_TOKEN) == {"pending": [], "paired": []}
        assert decided_by(gateway) == "local-socket"
        gateway.kill()
        gateway.start()
        assert listed(gateway, **WRONG_TOKEN) == {"pending": [], "paired": []}
        gateway.stop()
        assert not socket_of(gateway).exists()
    finally:
        gateway.kill()


# --- who gets in


async def test_http_over_it_is_trusted_and_over_the_port_it_is_not(gateway: GatewayProcess) -> None:
    for path in ("/metrics", "/control-ui-config.json"):
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        assert say(socket_of(gateway), head).startswith(b"HTTP/1.1 200 ")
        with socket.create_connection(("127.0.0.1", gateway.port)) as peer:
            peer.sendall(head)
            assert peer.recv(65536).startswith(b"HTTP/1.1 401 ")


async def test_a_page_never_comes_in_over_it(gateway: GatewayProcess) -> None:
    """A browser opens no such socket: an Origin came through something that forwards to it."""
    for page in ("http://localhost", "https://evil.example", "null"):
        with pytest.raises(ConnectionRejected) as caught:
            async with local_client(gateway, origin(page)):
                pass
        assert caught.value.status_code == 403
        head = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: {page}\r\nConnection: close\r\n\r\n"
        assert say(socket_of(gateway), head.encode()).startswith(b"HTTP/1.1 403 ")


async def test_what_a_proxy_brings_over_it_needs_a_credential(gateway: GatewayProcess) -> None:
    async with local_client(gateway, FROM_AFAR) as client:
        with pytest.raises(Refused):
            await client.connect(client=CLI)
    head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nVia: 1.1 proxy\r\nConnection: close\r\n\r\n"
    assert say(socket_of(gateway), head.encode()).startswith(b"HTTP/1.1 401 ")


async def test_a_program_of_the_owner_is_an_administrator_without_a_secret(gateway: GatewayProcess) -> None:
    async with local_client(gateway) as client:
        hello = await client.connect(client=CLI)
        assert hello["snapshot"]["authMode"] == "token"
        assert "pending" in await client.call("device.pair.list")
    async with local_client(gateway) as client:
        # Even one that says that it is a page: without an Origin it is none.
        with pytest.raises(Refused):
            await client.connect(client=PAGE | {"mode": "webchat"}, role="node")


@pytest.fixture
def opened(gateway: GatewayProcess) -> Generator[Path, None, None]:
    """The socket with all permissions that others could need; only the kernel's word is left."""
    path = socket_of(gateway)
    folders = (path.parent, gateway.state, gateway.state.parent)
    before = [folder.stat().st_mode & 0o7777 for folder in folders]
    path.chmod(0o777)
    for folder in folders:
        folder.chmod(0o755)
    yield path
    for folder, mode in zip(folders, before, strict=True):
        folder.chmod(mode)
    path.chmod(0o600)


@needs_root
def test_another_user_cannot_even_open_it(gateway: GatewayProcess) -> None:
    assert say_as(NOBODY, socket_of(gateway), UPGRADE).strip() == "PermissionError"


@needs_root
@pytest.mark.parametrize("said", [UPGRADE, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_another_user_who_can_open_it_is_sent_away_without_a_word(
    gateway: GatewayProcess, opened: Path, said: bytes
) -> None:
    assert say_as(NOBODY, opened, said) in {"closed", "ConnectionResetError\n"}
    assert gateway.decisions("refused", reason="other-user", address=f"unix, uid {NOBODY}")
    assert say_as(0, opened, said).startswith("HTTP/1.1 ")


@needs_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
def test_root_helps_the_user_whose_gateway_it_is_and_no_other_user_does(tmp_path: Path) -> None:
    """Python may be where only root can read, so here the others may read everything (and write nothing)."""

    def as_user(uid: int) -> tuple[str, ...]:
        caps = "+dac_read_search"
        ids = (f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
        return ("setpriv", *ids, f"--inh-caps={caps}", f"--ambient-caps={caps}")

    tmp_path.chmod(0o777)
    state = tmp_path / "theirs" / "state"
    gateway = GatewayProcess(state, "", {"HOME": str(tmp_path / "theirs")})
    os.chown(state.parent, NOBODY, NOBODY)
    os.chown(state, NOBODY, NOBODY)
    gateway.program = (*as_user(NOBODY), *GatewayProcess.program)
    gateway.start()
    try:
        assert socket_of(gateway).stat().st_uid == NOBODY
        assert listed(gateway, **WRONG_TOKEN) == {"pending": [], "paired": []}
        assert decided_by(gateway) == "local-socket"
        ran = command(gateway, "devices", "list", program=as_user(NOBODY), **WRONG_TOKEN)
        assert ran.returncode == 0, ran.stderr
        admitted = len(gateway.decisions("admitted"))
        ran = command(gateway, "devices", "list", program=as_user(4242), **WRONG_TOKEN)
        assert ran.returncode == 1
        assert len(gateway.decisions("admitted")) == admitted
    finally:
        gateway.kill()
