"""Starting: what is refused, with which exit code and words; the token that is made; who may read what."""

import hashlib
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess, free_port, gateway_process
from tests.support.wire_client import wire_client

pytestmark = [pytest.mark.process, pytest.mark.lifecycle]

NO_TOKEN = {"OPENCLAW_GATEWAY_TOKEN": ""}
CONFIG_COMMAND = "openclawd config validate"


def refused(gateway: GatewayProcess, *arguments: str) -> tuple[int, str]:
    """The exit code and the words of a start that fails; stdout stays empty."""
    ended = gateway.command("gateway", "--port", str(gateway.port), *arguments)
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


# --- the config


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            '{\n  gateway: {\n    port: "abc",\n  },\n}',
            ('line 3: gateway.port is "abc"', "an integer from 1 to 65535"),
        ),
        ('{ gateway: {\n bind: "moon" } }', ('line 2: gateway.bind is "moon"', "loopback", "lan", "custom")),
        ("{\n // a slip\n gatway: {},\n}", ("line 3: gatway", "gateway")),
        ("{\n  gateway: {\n    port: 1\n", ("line ",)),
        ("[]", ("line 1", "object")),
        ('{ gateway: {\n mode: "remote" } }', ("line 2: gateway.mode", "remote", "local")),
        (
            '{ gateway: { auth: { mode: "password" } } }',
            ("gateway.auth.password", "OPENCLAW_GATEWAY_PASSWORD"),
        ),
        (
            '{ gateway: { bind: "lan", auth: { mode: "none" } } }',
            ("Refusing to bind gateway to lan without auth.",),
        ),
        ('{ gateway: { bind: "custom", customBindHost: "192.0.2.1" } }', ("192.0.2.1",)),
        (
            '{ gateway: { controlUi: { root: "/no/such/folder" } } }',
            ("gateway.controlUi.root", "/no/such/folder"),
        ),
    ],
    ids=str,
)
def test_a_wrong_config_is_78_and_names_the_place_the_value_and_what_was_expected(
    config: str, words: tuple[str, ...]
) -> None:
    with gateway_process(config, start=False) as gateway:
        code, said = refused(gateway)
    assert code == 78
    assert not [word for word in words if word not in said], said


def test_all_problems_are_told_at_once_with_the_command_that_helps() -> None:
    with gateway_process("{ gateway: { port: 0, bind: 1 }, agents: 7 }", start=False) as gateway:
        code, said = refused(gateway)
    assert code == 78
    assert str(gateway.state / "openclaw.json") in said
    for path in ("gateway.port", "gateway.bind", "agents"):
        assert path in said
    assert said.rstrip().endswith(CONFIG_COMMAND)


def test_lan_without_any_secret_is_78() -> None:
    config = {"gateway": {"bind": "lan", "auth": {"mode": "token"}}}
    with gateway_process(config, start=False, environment=NO_TOKEN) as gateway:
        code, said = refused(gateway)
    assert code == 78
    assert "Refusing to bind gateway to lan without auth." in said


def test_a_secret_in_a_wrong_config_is_not_repeated() -> None:
    config = '{ gateway: { auth: { token: ["canary-of-a-token"], password: 1234567890 } } }'
    with gateway_process(config, start=False) as gateway:
        code, said = refused(gateway)
    assert code == 78
    assert "canary" not in said
    assert "1234567890" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("--bogus",),
        ("--port", "abc"),
        ("--bind", "moon"),
        ("--token", ""),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_2(arguments: tuple[str, ...]) -> None:
    with gateway_process(start=False) as gateway:
        code, said = refused(gateway, *arguments)
    assert code == 2
    assert "--help" in said, "it says where the help is"


def test_stock_keys_that_are_not_used_are_kept_and_named_once() -> None:
    reload, channels = {"mode": "hybrid"}, {"telegram": {"enabled": False}}
    config = {"gateway": {"reload": reload}, "channels": channels}
    with gateway_process(config, environment=NO_TOKEN) as gateway:
        notices = [line for line in gateway.log_lines if "channels" in json.dumps(line)]
        kept = json.loads((gateway.state / "openclaw.json").read_text())
    assert len(notices) == 1
    assert (kept["gateway"]["reload"], kept["channels"]) == (reload, channels)


# --- the port and the lock


def test_a_second_gateway_of_the_same_state_is_75_and_told_who_was_first(gateway: GatewayProcess) -> None:
    assert gateway.process is not None
    ended = gateway.command("gateway", "--port", str(free_port()))
    assert ended.returncode == 75
    assert f"pid {gateway.process.pid}" in ended.stderr
    assert str(gateway.state) in ended.stderr
    assert "openclawd gateway status" in ended.stderr


def test_a_port_in_use_is_75_and_told_by_whom() -> None:
    with gateway_process(start=False) as gateway, socket.create_server(("127.0.0.1", gateway.port)):
        code, said = refused(gateway)
    assert code == 75
    assert f"Port {gateway.port}" in said
    assert f"(pid {os.getpid()})" in said
    assert f"openclawd config set gateway.port {gateway.port + 1}" in said


# --- the state on disk


@pytest.mark.parametrize("name", ["", "gateway.lock", "logs", "logs/openclawd.log", "openclawd.sqlite3"])
def test_a_place_that_cannot_be_written_is_78_and_named(name: str) -> None:
    with gateway_process(start=False) as gateway:
        place = gateway.state / "openclawd" / name
        if name:
            (gateway.state / "openclawd").mkdir(mode=0o700)
        if name in {"", "logs"}:
            place.touch()
        else:
            place.mkdir(parents=True)
        code, said = refused(gateway)
    assert code == 78, said
    assert f"{place} cannot be written" in said or f"{place}/openclawd.log cannot be written" in said
    assert f"Something else lies in its place: ls -ld {gateway.state}" in said


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give files away")
@pytest.mark.parametrize("theirs", ["gateway.lock", "logs", "openclawd.sqlite3", ""])
def test_a_state_directory_of_somebody_else_is_78_and_says_what_helps(theirs: str) -> None:
    with gateway_process(start=False) as gateway:
        gateway.start()
        gateway.stop()
        os.chown(gateway.state / "openclawd" / theirs, 65534, 65534)
        # Without these capabilities root is like any other user, and still reaches a Python below /root.
        plain = "setpriv --bounding-set -dac_override,-dac_read_search,-fowner"
        gateway.start(shell=f'exec {plain} "$@"', wait=False)
        assert gateway.process is not None
        assert gateway.process.wait(20) == 78, gateway.output
        said = gateway.output
    assert "cannot be written: Permission denied" in said or "Operation not permitted" in said
    assert f"sudo chown -R root: {gateway.state / 'openclawd'}\n" in said
    assert "fault in openclawd" not in said


def test_a_part_that_fails_again_and_again_ends_the_process_with_a_sentence_and_its_cause() -> None:
    with gateway_process(start=False) as gateway:
        gateway.start()
        gateway.stop()
        with sqlite3.connect(gateway.state / "openclawd" / "openclawd.sqlite3") as database:
            database.execute(
                "INSERT INTO runs (run_id, session_key, session_id, kind, state, accepted_at_ms)"
                " VALUES ('1', 'agent:main:main', '1', 'of no kind', 'queued', 1)"
            )
        gateway.start(wait=False)
        assert gateway.process is not None
        code, said = gateway.process.wait(20), gateway.output
    assert code == 1
    assert "sessions failed 5 times within 60 s\n" in said
    assert "'of no kind'" in said.splitlines()[-1]
    assert "fault in openclawd" not in said


# --- precedence


async def test_the_flag_beats_the_file_and_the_file_beats_the_environment() -> None:
    config = {"gateway": {"auth": {"token": "of-the-file"}}}
    with gateway_process(config) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token="of-the-file")
        async with wire_client(gateway.port) as client:
            await client.refusal(token=gateway.token)
        gateway.stop()
        gateway.start("--token", "of-the-flag")
        async with wire_client(gateway.port) as client:
            await client.connect(token="of-the-flag")
        assert "--token" in gateway.output, "one line warns that others can read it in the process list"
        assert "of-the-flag" not in gateway.output


async def test_the_token_may_come_from_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("from-its-own-file\n")
    with gateway_process("", "--token-file", str(secret)) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token="from-its-own-file")


def test_the_port_of_the_environment_beats_the_files() -> None:
    port = free_port()
    environment = {"OPENCLAW_GATEWAY_PORT": str(port)}
    config = {"gateway": {"port": free_port()}}
    with (
        gateway_process(config, environment=environment, start=False) as gateway,
        socket.create_server(("127.0.0.1", port)),
    ):
        ended = gateway.command("gateway")
    assert f"Port {port} on 127.0.0.1 is in use" in ended.stderr


# --- the token that is made


COMMENTED = """\
// mine
{
  /* the gateway */
  gateway: { bind: 'loopback', /* as it was */ port: 18789 },
  session: { mainKey: "main" }, // keep
  agents: {},
}
"""


async def test_without_a_token_one_is_made_and_saved_and_the_file_keeps_its_face() -> None:
    with gateway_process(COMMENTED, start=False, environment=NO_TOKEN) as gateway:
        file = gateway.state / "openclaw.json"
        file.chmod(0o644)
        with file.open() as before:
            gateway.start()
            assert before.read() == COMMENTED, "the old file was not written into, another took its place"
        text = file.read_text()
        token = gateway.command("config", "get", "gateway.auth.token", "--json")
        (made,) = re.findall(r"\b[0-9a-f]{48}\b", text)
        assert made not in token.stdout, "config get covers secrets"
        for kept in (
            "// mine",
            "/* the gateway */",
            "bind: 'loopback', /* as it was */ port: 18789",
            "// keep",
        ):
            assert kept in text
        assert text.index("gateway:") < text.index("session:") < text.index("agents:")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert set(gateway.state.iterdir()) == {file, gateway.state / "openclawd"}, "nothing else is left"
        backup = gateway.state / "openclawd" / "openclaw.json.bak"
        assert (backup.read_text(), stat.S_IMODE(backup.stat().st_mode)) == (COMMENTED, 0o600)
        assert f"#token={made}" in gateway.printed
        async with wire_client(gateway.port) as client:
            await client.connect(token=made)
        gateway.stop()
        gateway.start()
        assert file.read_text() == text, "the next start uses it"


async def test_an_empty_machine_needs_nothing_and_its_token_is_saved_too() -> None:
    """Stock's flag for it is accepted, and does not change that."""
    with gateway_process("", "--allow-unconfigured", environment=NO_TOKEN) as gateway:
        file = gateway.state / "openclaw.json"
        made = json.loads(file.read_text())["gateway"]["auth"]["token"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        async with wire_client(gateway.port) as client:
            await client.connect(token=made)


def test_a_token_in_the_environment_is_never_written_down(gateway: GatewayProcess) -> None:
    assert not (gateway.state / "openclaw.json").exists()
    assert gateway.token.encode() not in b"".join(
        file.read_bytes() for file in gateway.state.rglob("*") if file.is_file()
    )


# --- who may read what


async def test_whatever_the_umask_nobody_else_may_read_the_state() -> None:
    with gateway_process(shell="umask 0") as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=gateway.token)
            await client.call("chat.send", {"sessionKey": "main", "message": "/help", "idempotencyKey": "1"})
        own = gateway.state / "openclawd"
        modes = {
            path.relative_to(gateway.state): stat.S_IMODE(path.lstat().st_mode) for path in own.rglob("*")
        }
        modes[own.relative_to(gateway.state)] = stat.S_IMODE(own.stat().st_mode)
        names = {path.name for path in modes}
    assert {"openclawd", "logs", "openclawd.log", "openclawd.sqlite3", "gateway.sock"} <= names
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
    assert modes[own.relative_to(gateway.state)] == 0o700


async def test_stocks_own_files_are_left_alone() -> None:
    with gateway_process({"session": {"mainKey": "main"}}, start=False) as gateway:
        stock = {
            "devices/paired.json": "{}",
            "devices/pending.json": "{}",
            "identity/device.json": '{"version": 1}',
            "agents/main/sessions/sessions.json": '{"agent:main:main": {"sessionId": "s"}}',
            "agents/main/sessions/s.jsonl": '{"type":"session","version":3}\n',
        }
        for name, text in stock.items():
            (gateway.state / name).parent.mkdir(parents=True, exist_ok=True)
            (gateway.state / name).write_text(text)
        before = fingerprint(gateway.state)
        gateway.start()
        async with wire_client(gateway.port) as client:
            await client.connect(token=gateway.token)
            sent = {"sessionKey": "main", "message": "hello", "idempotencyKey": "hello"}
            await client.call("chat.send", sent)
            await client.event("chat", runId="hello", state="final")
        gateway.stop()
        assert fingerprint(gateway.state) == before


def fingerprint(state: Path) -> dict[str, tuple[int, str]]:
    """Every file outside our own folder: when it was written, and what it holds."""
    files = (path for path in state.rglob("*") if path.is_file())
    return {
        str(path.relative_to(state)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
        if path.relative_to(state).parts[0] != "openclawd"
    }
