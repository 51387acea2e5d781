"""Secrets stay where they belong: a gateway is put through everything, failures too, and every byte that came
out is searched for the secrets that went in.
"""

import http.server
import json
import re
import signal
import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, unquote
from urllib.request import Request, urlopen

import pytest

from tests.process.chats import send
from tests.process.clients import PAGE
from tests.support.canary import Trap, canary, forms
from tests.support.device import Device
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = pytest.mark.process

LAST_GOOD: Final = "state/openclawd/config.last-good.json"
CONFIG: Final = frozenset(("state/openclaw.json", "state/openclawd/openclaw.json.bak", LAST_GOOD))
# Systemd keeps our output: then the link that the gateway prints has no token in it.
SUPERVISED: Final = {"JOURNAL_STREAM": "8:12345"}
# Statuses whose words are shown, and one whose words never are; what is tried again later is not among them.
STATUSES: Final = (400, 401, 403)
PIECES: Final = ("path", "unquoted path", "authorization", "x-tenant")
COMMANDS: Final = (
    ("status",),
    ("status", "--json"),
    ("doctor",),
    ("doctor", "--json"),
    ("gateway", "status"),
    ("gateway", "limits"),
    ("gateway", "call", "config.get"),
    ("gateway", "call", "gateway.admissions"),
    ("gateway", "call", "no.such.method"),
    ("gateway", "reload"),
    ("config", "get"),
    ("config", "get", "gateway.auth"),
    ("config", "validate"),
    ("devices", "list"),
    ("health",),
    ("logs",),
    ("sessions",),
)
METHODS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("health", {"probe": True}),
    ("status", {}),
    ("system-presence", {}),
    ("config.get", {}),
    ("models.list", {"view": "all", "includeDetails": True}),
    ("models.authStatus", {}),
    ("device.pair.list", {}),
    ("sessions.list", {}),
    ("chat.history", {"sessionKey": "main"}),
    ("gateway.admissions", {}),
    ("gateway.limits.list", {}),
    ("logs.tail", {"maxBytes": 1_000_000, "limit": 5000}),
)


class Echo(http.server.BaseHTTPRequestHandler):
    """A provider that answers with an error and repeats a piece of what it was sent."""

    answers: Iterator[tuple[int, str]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, piece = next(self.answers, (500, "path"))
        said = {"path": self.path, "unquoted path": unquote(self.path)}.get(piece, self.headers.get(piece))
        body = json.dumps({"error": {"message": f"not so: {said}", "type": "x"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def echoing(answers: Iterable[tuple[int, str]]) -> Generator[int, None, None]:
    """The port of a provider that answers so."""
    Echo.answers = iter(answers)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Secrets(dict[str, str]):
    """Canaries by kind, made when they are first asked for."""

    def __missing__(self, kind: str) -> str:
        self[kind] = canary(kind)
        return self[kind]


def config_with(secret: Secrets, port: int) -> str:
    """Every place of the file that can hold a secret, comments too."""
    login = f"{quote(secret['url-user'], safe='')}:{quote(secret['url-password'], safe='')}"
    provider = {
        "baseUrl": f"http://{login}@127.0.0.1:{port}/v1?api_key={quote(secret['url-key'], safe='')}",
        "apiKey": secret["api-key"],
        "api": "openai-completions",
        "headers": {"X-Tenant": secret["header"]},
        "models": [{"id": "echo", "name": "Echo"}],
    }
    other = provider | {"baseUrl": f"http://{login}@127.0.0.1:{port}/v1", "apiKey": ""}
    document = {
        "gateway": {"auth": {"mode": "token", "token": secret["token"]}},
        "models": {"providers": {"echo": provider, "login": other}},
        "agents": {"defaults": {"model": {"primary": "echo/echo"}}},
        "channels": {"telegram": {"botToken": secret["bot-token"]}},
        "env": {"vars": {"SOME_KEY": secret["variable"]}},
    }
    return f"// the old token: {secret['comment']}\n{json.dumps(document, indent=2)}"


def fetch(trap: Trap, gateway: GatewayProcess, path: str, **headers: str) -> None:
    """Ask over HTTP; the answer is searched, too."""
    request = Request(gateway.url.rstrip("/") + path, headers=headers)
    try:
        with urlopen(request, timeout=10) as answer:
            trap.add(f"HTTP {path}", f"{answer.headers}\n".encode() + answer.read())
    except HTTPError as refused:
        trap.add(f"HTTP {path}", f"{refused.headers}\n".encode() + refused.read())


async def comes_in_every_way(gateway: GatewayProcess, secret: Secrets, device: Device) -> None:
    """The right credentials and all kinds of wrong ones."""
    async with wire_client(gateway.port) as client:
        hello = await client.connect(token=secret["token"], device=device)
        secret["device-token"] = hello["auth"]["deviceToken"]
    async with wire_client(gateway.port) as client:
        await client.connect(auth={"deviceToken": secret["device-token"]}, device=device, protocol=(3, 4))
    wrong: tuple[dict[str, str], ...] = (
        {"token": secret["wrong-token"]},
        {"password": secret["wrong-password"]},
        {"deviceToken": secret["wrong-device-token"]},
        {"bootstrapToken": secret["bootstrap-token"]},
    )
    for auth in wrong:
        for protocol in ((3, 3), (4, 4)):
            async with wire_client(gateway.port) as client:
                await client.refusal(auth=auth, device=device, protocol=protocol)
    async with wire_client(gateway.port, resource=f"/?token={quote(secret['url-token'])}") as client:
        await client.refusal(client=PAGE)
    async with wire_client(gateway.port) as client:
        await client.send({"type": "req", "id": "1", "method": "connect", "params": {"auth": secret["odd"]}})
        await client.closed()
    async with wire_client(gateway.port) as client:
        await client.send(f"not JSON but {secret['not-json']}")
        await client.closed()


def asks_over_http(gateway: GatewayProcess, secret: Secrets, trap: Trap) -> None:
    for path in ("/", f"/?token={quote(secret['query-token'])}", "/readyz", "/metrics", "/no-such-thing"):
        fetch(trap, gateway, path)
    for path in ("/metrics", "/control-ui-config.json", "/readyz"):
        fetch(trap, gateway, path, Authorization=f"Bearer {secret['token']}")
        fetch(trap, gateway, path, Authorization=f"Bearer {secret['wrong-bearer']}")
        fetch(trap, gateway, path, Authorization=f"Basic {secret['basic']}", Cookie=f"s={secret['cookie']}")
    fetch(trap, gateway, "/", Host="evil.example", Authorization=f"Bearer {secret['wrong-bearer']}")


async def calls_everything(client: WireClient, secret: Secrets) -> None:
    """Every answer that might hold a secret, and params that hold one where none belongs."""
    for method, params in METHODS:
        await client.call(method, params)
    current = await client.call("config.get")
    wrong = (
        f'{{"gateway": {{"auth": {{"token": ["{secret["token-in-a-list"]}"]}}}}}}',
        f'{{"gateway": {{"auth": {{"tokn": "{secret["misspelt"]}"}}}}}}',
        f'{{"gateway": {{"auth": {{"password": {{"text": "{secret["password-in-a-table"]}"}}}}}}}}',
        f'{{"gateway": {{"auth": {{"token": "{secret["broken"]}" "again"}}}}}}',
        f'{{"models": {{"providers": {{"x": {{"apiKey": {{"k": "{secret["key-in-a-table"]}"}}}}}}}}}}',
    )
    for raw in wrong:
        with suppress(Refused):
            await client.call("config.set", {"raw": raw, "baseHash": current["hash"]})
            raise AssertionError(f"{raw} was accepted")
    for method in ("chat.send", "device.token.rotate", "gateway.limits.clear", "no.such.method"):
        with suppress(Refused):
            await client.call(method, {"token": secret["stray"]})
            raise AssertionError(f"{method} was accepted")


async def asks_providers_in_vain(client: WireClient, runs: int) -> None:
    for number in range(runs):
        provider = "login" if number % 2 else "echo"
        await client.call("sessions.patch", {"key": "main", "model": f"{provider}/echo"})
        await send(client, f"run-{number}", f"question {number}")
        await client.event("chat", runId=f"run-{number}", state="error")


def breaks_the_store(gateway: GatewayProcess) -> None:
    with sqlite3.connect(gateway.state / "openclawd" / "openclawd.sqlite3", timeout=10) as database:
        database.execute("DROP TABLE runs")


async def test_no_secret_gets_out_whatever_happens() -> None:
    secret, trap, device = Secrets(), Trap(), Device()
    # Each model in turn hears each of them.
    answers = [(status, piece) for status in STATUSES for piece in PIECES for _ in range(2)]
    heard: list[str | bytes] = []
    WireClient.heard = heard
    try:
        with (
            echoing(answers) as provider,
            gateway_process(config_with(secret, provider), environment=SUPERVISED, start=False) as gateway,
        ):
            gateway.start("--verbose", "--json")
            await comes_in_every_way(gateway, secret, device)
            asks_over_http(gateway, secret, trap)
            async with wire_client(gateway.port) as client:
                await client.connect(token=secret["token"], device=device)
                await calls_everything(client, secret)
                await asks_providers_in_vain(client, len(answers))
                await calls_everything(client, secret)
                assert gateway.process is not None
                trap.add_processes(gateway.process.pid)
                for words in COMMANDS:
                    ran = gateway.command(*words)
                    trap.add(f"openclawd {' '.join(words)}", ran.stdout + ran.stderr)
                breaks_the_store(gateway)
                with suppress(Refused):
                    await send(client, "too-late", "nobody keeps this")
            assert _core_limit(gateway) == "0"
            gateway.end(signal.SIGABRT)
            (gateway.state / "openclaw.json").write_text(
                json.dumps({"gateway": {"auth": {"token": {"x": secret["refused-start"]}}, "prot": 1}})
            )
            # With it, the gateway would start.
            kept = gateway.state.parent / LAST_GOOD
            last_good = kept.read_bytes()
            kept.unlink()
            gateway.start(wait=False)
            assert gateway.process is not None
            assert gateway.process.wait(20) == 78
            kept.write_bytes(last_good)
            trap.add_files(gateway.state.parent)
    finally:
        WireClient.heard = None
    trap.add("frames", b"\n".join(_octets(message) for message in heard))
    assert "runs" in gateway_text(trap, "state/openclawd/logs/openclawd.log"), "the failure is in the log"
    in_config = (
        "token",
        "url-user",
        "url-password",
        "url-key",
        "api-key",
        "header",
        "bot-token",
        "variable",
        "comment",
    )
    allowed = dict.fromkeys(in_config, CONFIG) | {
        # Where the device gets it, and where the person put it.
        "device-token": frozenset({"frames"}),
        "refused-start": CONFIG,
    }
    assert trap.leaks(secret, allowed) == []


async def test_no_password_gets_out() -> None:
    secret, trap = Secrets(), Trap()
    heard: list[str | bytes] = []
    WireClient.heard = heard
    environment = {**SUPERVISED, "OPENCLAW_GATEWAY_PASSWORD": secret["password"]}
    try:
        with gateway_process(
            {"gateway": {"auth": {"mode": "password"}}}, "--verbose", environment=environment
        ) as gateway:
            async with wire_client(gateway.port) as client:
                await client.connect(auth={"password": secret["password"]}, device=Device())
                await client.call("config.get")
            for auth in ({"password": secret["wrong"]}, {"token": secret["password"]}):
                async with wire_client(gateway.port) as client:
                    await client.refusal(auth=auth)
            fetch(trap, gateway, "/metrics", Authorization=f"Bearer {secret['password']}")
            for words in (("doctor",), ("status",), ("dashboard",)):
                ran = gateway.command(*words)
                trap.add(f"openclawd {' '.join(words)}", ran.stdout + ran.stderr)
            assert gateway.process is not None
            trap.add_processes(gateway.process.pid)
            gateway.stop()
            trap.add_files(gateway.state.parent)
    finally:
        WireClient.heard = None
    trap.add("frames", b"\n".join(_octets(message) for message in heard))
    assert trap.leaks(secret, {}) == []


# --- the trap itself


@pytest.mark.parametrize("form", ["raw", "JSON", "URL", "hex", "base64"])
def test_the_trap_finds_what_is_planted_in_any_form(tmp_path: Path, form: str) -> None:
    secret = canary("planted")
    for each in forms(secret):
        (tmp_path / "logs").mkdir(exist_ok=True)
        (tmp_path / "logs" / "x.log").write_bytes(b"before " + each + b" after")
        trap = Trap()
        trap.add_files(tmp_path)
        assert trap.leaks({"planted": secret}, {}) == ["planted in logs/x.log"]
        assert trap.leaks({"planted": secret}, {"planted": frozenset({"logs/x.log"})}) == []


async def test_the_trap_finds_a_token_on_the_command_line_and_in_the_terminals_link() -> None:
    """Both are the owner's own wish, and both must be seen: a trap that misses them would miss anything."""
    secret = canary("token")
    with gateway_process({}, "--token", secret) as gateway:
        assert gateway.process is not None
        trap = Trap()
        trap.add_processes(gateway.process.pid)
        trap.add_files(gateway.state.parent)
    found = trap.leaks({"token": secret}, {})
    assert sorted(re.sub(r"\d+$", "PID", each) for each in found) == [
        "token in cmdline of PID",
        "token in stdout.txt",
    ]


def _core_limit(gateway: GatewayProcess) -> str:
    assert gateway.process is not None
    limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
    found = re.search(r"Max core file size\s+(\S+)\s+(\S+)", limits)
    assert found is not None
    assert found[1] == found[2]
    return found[1]


def _octets(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def gateway_text(trap: Trap, place: str) -> str:
    return trap.found[place].decode()
