"""TLS on the port: real clients, another certificate while they stay, and whoever speaks something else."""

import json
import shutil
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import trio

from openclawd.daemon.certificate_files import fingerprint_in
from tests.process.clients import PAGE, STOCK_PAGE_SCOPES, origin
from tests.support.certificate import server_certificate
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.wire_client import wire_client

pytestmark = pytest.mark.process

TLS: dict[str, Any] = {"gateway": {"tls": {"enabled": True}}}
HELLO_TIMEOUT_S = 20


@pytest.fixture(scope="module")
def gateway() -> Generator[GatewayProcess, None, None]:
    with gateway_process(TLS) as running:
        yield running


def trusting(gateway: GatewayProcess) -> ssl.SSLContext:
    """A client that trusts the gateway's certificate, for the names in it."""
    return ssl.create_default_context(cafile=gateway.certificate)


def shown(port: int) -> str:
    """The fingerprint of the certificate that newcomers are shown."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=HELLO_TIMEOUT_S)
    return fingerprint_in(pem.encode()) or ""


def own_fingerprint(gateway: GatewayProcess) -> str:
    return fingerprint_in(gateway.certificate.read_bytes()) or ""


def plain(port: int, said: bytes) -> bytes:
    """What comes back for bytes as they are."""
    with socket.create_connection(("127.0.0.1", port), timeout=HELLO_TIMEOUT_S) as peer:
        peer.sendall(said)
        answer = b""
        try:
            while data := peer.recv(65536):
                answer += data
        except ConnectionResetError:
            pass
        return answer


def descriptors(gateway: GatewayProcess) -> int:
    assert gateway.process is not None
    return len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))


# --- clients


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", socket.gethostname().lower()])
def test_the_page_is_served_to_who_trusts_the_certificate(gateway: GatewayProcess, name: str) -> None:
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=HELLO_TIMEOUT_S) as transport,
        trusting(gateway).wrap_socket(transport, server_hostname=name) as peer,
    ):
        peer.sendall(f"GET / HTTP/1.1\r\nHost: {name}:{gateway.port}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := peer.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"</html>" in answer


async def test_a_page_over_https_is_admitted_with_its_device(gateway: GatewayProcess) -> None:
    headers = origin(f"https://localhost:{gateway.port}")
    device = Device()
    async with wire_client(gateway.port, host="localhost", headers=headers, tls=trusting(gateway)) as client:
        hello = await client.connect(token=TOKEN, device=device, client=PAGE, scopes=STOCK_PAGE_SCOPES)
        assert (await client.call("health"))["ok"]
    async with wire_client(gateway.port, host="localhost", headers=headers, tls=trusting(gateway)) as client:
        auth = {"deviceToken": hello["auth"]["deviceToken"]}
        await client.connect(auth=auth, device=device, client=PAGE, scopes=STOCK_PAGE_SCOPES)
        await client.call("chat.send", {"sessionKey": "main", "message": "/help", "idempotencyKey": "1"})
        await client.event("chat", state="final")


async def test_large_messages_go_both_ways(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port, tls=trusting(gateway)) as client:
        await client.connect(token=TOKEN)
        text = "words and words " * 60_000
        await client.call("chat.inject", {"sessionKey": "main", "message": text})
        history = await client.call("chat.history", {"sessionKey": "main"})
    assert "words and words" in json.dumps(history)


async def test_a_client_that_answers_slowly_misses_nothing(gateway: GatewayProcess) -> None:
    """More than the network holds: what was kept below the WebSocket goes out before what comes later."""
    async with wire_client(gateway.port, tls=trusting(gateway)) as client:
        await client.connect(token=TOKEN)
        ids = [await client.request("config.schema") for _ in range(40)]
        await trio.sleep(0.5)
        for request_id in ids:
            assert "schema" in await client.response(request_id)


# --- another certificate


async def test_another_certificate_counts_from_a_reload_on_and_clients_stay(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    server_certificate(tmp_path)
    config = {"gateway": {"tls": {"enabled": True, "certPath": str(certificate), "keyPath": str(key)}}}
    with gateway_process(config) as gateway:
        first = shown(gateway.port)
        old = ssl.create_default_context(cafile=certificate)
        async with wire_client(gateway.port, tls=old) as client:
            await client.connect(token=TOKEN)
            assert first == fingerprint_in(certificate.read_bytes())
            server_certificate(tmp_path)
            assert shown(gateway.port) == first
            reloaded = gateway.command("gateway", "reload", "--json")
            assert json.loads(reloaded.stdout)["applied"] == ["gateway.tls"], reloaded
            second = shown(gateway.port)
            assert second == fingerprint_in(certificate.read_bytes())
            assert second != first
            # Over the connection that was there before.
            assert (await client.call("status"))["openclawd"]["tlsFingerprint"] == second
            key.write_text("broken")
            broken = gateway.command("gateway", "reload")
            assert broken.returncode == 1
            assert f"{key} is not the key of {certificate}" in broken.stderr
            assert shown(gateway.port) == second
            assert (await client.call("health"))["ok"]
        assert gateway.decisions("certificate kept", sha256=second)


def test_a_broken_certificate_is_78_at_the_start_and_says_what_helps(tmp_path: Path) -> None:
    config = {
        "gateway": {"tls": {"enabled": True, "certPath": str(tmp_path / "no.pem"), "autoGenerate": False}}
    }
    with gateway_process(config, start=False) as gateway:
        ended = gateway.command("gateway", "--port", str(gateway.port))
    assert ended.returncode == 78
    assert ended.stderr.strip().endswith("openclawd config set gateway.tls.autoGenerate true")
    assert not (tmp_path / "no.pem").exists()


# --- links and commands


def test_every_link_is_https_and_has_the_fingerprint_beside_it(gateway: GatewayProcess) -> None:
    link = f"https://127.0.0.1:{gateway.port}/#token={TOKEN}"
    line = f"Certificate (SHA-256): {own_fingerprint(gateway)}"
    assert link in gateway.printed
    assert line in gateway.printed
    assert gateway.command("dashboard").stdout.splitlines() == [link, line]
    status = json.loads(gateway.command("gateway", "status", "--json").stdout)
    assert status["tlsFingerprint"] == own_fingerprint(gateway)


def test_our_commands_know_the_gateway_of_this_machine_by_its_certificate(gateway: GatewayProcess) -> None:
    ran = gateway.command("health", "--port", str(gateway.port))
    assert ran.returncode == 0, ran.stderr
    kept = gateway.certificate.read_bytes()
    try:
        server_certificate(gateway.state)
        gateway.certificate.write_bytes((gateway.state / "certificate.pem").read_bytes())
        ran = gateway.command("health", "--port", str(gateway.port), "--json")
    finally:
        gateway.certificate.write_bytes(kept)
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["error"]["code"] == "TLS_FINGERPRINT_MISMATCH"
    assert own_fingerprint(gateway) in ran.stdout


def test_one_elsewhere_is_known_by_authorities_or_by_a_fingerprint(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    where = ("--url", f"wss://localhost:{gateway.port}", "--token-file", str(tmp_path / "token"))
    unknown = gateway.command("health", *where)
    assert unknown.returncode == 1
    assert "does not trust the certificate" in unknown.stderr
    for given in (own_fingerprint(gateway), own_fingerprint(gateway).replace(":", "").lower()):
        assert gateway.command("health", *where, "--tls-fingerprint", given).returncode == 0
    wrong = gateway.command("health", *where, "--tls-fingerprint", "ab" * 32)
    assert wrong.returncode == 1
    assert "Nothing was sent to it." in wrong.stderr
    remote = {"url": f"wss://localhost:{gateway.port}/", "tlsFingerprint": own_fingerprint(gateway)}
    with gateway_process({"gateway": {"remote": remote}}, start=False) as elsewhere:
        assert elsewhere.command("health", *where).returncode == 0
    authorities = {"SSL_CERT_FILE": str(gateway.certificate)}
    with gateway_process(environment=authorities, start=False) as elsewhere:
        assert elsewhere.command("health", *where).returncode == 0


def test_a_command_that_speaks_without_tls_is_told_of_it(gateway: GatewayProcess) -> None:
    ran = gateway.command("health", "--url", f"ws://127.0.0.1:{gateway.port}")
    assert ran.returncode == 1
    assert ran.stderr.strip().endswith(f"--url wss://127.0.0.1:{gateway.port}")


# --- whoever speaks something else


def test_plain_http_is_answered_with_the_url_that_works(gateway: GatewayProcess) -> None:
    answer = plain(gateway.port, f"GET / HTTP/1.1\r\nHost: localhost:{gateway.port}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert f"https://localhost:{gateway.port}/".encode() in answer


def test_a_hundred_strangers_leave_nothing_behind_and_say_nothing_in_the_log(gateway: GatewayProcess) -> None:
    """Garbage, half a hello, a reset in the middle, a goodbye without one: nothing of it is news."""
    before, said = descriptors(gateway), len(gateway.log_lines)
    hello = _client_hello()
    for number in range(100):
        peer = socket.create_connection(("127.0.0.1", gateway.port), timeout=HELLO_TIMEOUT_S)
        peer.sendall([b"\x00" * 200, hello[:40], hello, b"SSH-2.0-x\r\n", b""][number % 5])
        if number % 2:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    deadline = time.monotonic() + HELLO_TIMEOUT_S
    while descriptors(gateway) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert descriptors(gateway) <= before
    assert [line["message"] for line in gateway.log_lines[said:]] == []


async def test_those_who_stall_in_the_handshake_keep_nobody_out(gateway: GatewayProcess) -> None:
    stalled = [await trio.open_tcp_stream("127.0.0.1", gateway.port) for _ in range(200)]
    hello = _client_hello()
    for number, peer in enumerate(stalled):
        await peer.send_all(hello[: number % 3 * 20] or b"\x16")
    async with wire_client(gateway.port, tls=trusting(gateway)) as client:
        await client.connect(token=TOKEN)
        for peer in stalled:
            await trio.aclose_forcefully(peer)
        assert (await client.call("health"))["ok"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_openssl_finds_no_old_version_and_no_renegotiation(gateway: GatewayProcess) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-CAfile", gateway.certificate]

    def ran(*options: str, said: str = "Q\n") -> str:
        words = [*map(str, command), *options]
        done = subprocess.run(words, input=said, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout + done.stderr

    assert "Verify return code: 0 (ok)" in ran("-tls1_3")
    assert "Verify return code: 0 (ok)" in ran("-tls1_2")
    assert "Cipher is (NONE)" in ran("-tls1_1")
    assert "no renegotiation" in ran("-tls1_2", said="R\n")


def _client_hello() -> bytes:
    """The first bytes of a handshake."""
    said = ssl.MemoryBIO()
    context = ssl.create_default_context()
    try:
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        return said.read()
    raise AssertionError
