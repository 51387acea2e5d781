"""`openclawd doctor` against gateways that are well, and against each fault that it knows the cure of."""

import json
import signal
import socket
from collections.abc import Generator, Mapping
from typing import Any, Final

import pytest

from tests.process.chats import until
from tests.process.clients import origin
from tests.support.gateway_process import TOKEN, GatewayProcess, free_port, gateway_process
from tests.support.wire_client import wire_client

pytestmark = pytest.mark.process

STRONG: Final = "Zk3vQ9mXb7Lw2TnRy8HsD4"
PASSWORD: Final = "correct horse battery staple"


def doctor(gateway: GatewayProcess, *words: str) -> tuple[int, dict[str, Mapping[str, Any]]]:
    """The exit code, and the findings by their names."""
    ran = gateway.command("doctor", "--json", *words)
    assert ran.stderr == ""
    document = json.loads(ran.stdout)
    assert document["ok"] == (ran.returncode == 0)
    return ran.returncode, {each["name"]: each for each in document["findings"]}


def limits(gateway: GatewayProcess) -> list[Any]:
    """What the limiter holds against anybody."""
    found = json.loads(gateway.command("gateway", "call", "gateway.limits.list").stdout)
    return list(found["limits"])


def devices(gateway: GatewayProcess) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(gateway.command("gateway", "call", "device.pair.list").stdout)
    return found


@pytest.fixture(scope="module")
def well() -> Generator[GatewayProcess, None, None]:
    """A gateway with nothing to be said against it."""
    with gateway_process({"gateway": {"auth": {"token": STRONG}}}) as running:
        running.state.chmod(0o700)
        yield running


def test_a_gateway_that_is_well_lets_both_in_and_nothing_is_left_behind(well: GatewayProcess) -> None:
    code, found = doctor(well)
    assert code == 0
    for way in ("browser", "command line"):
        assert (found[way]["verdict"], found[way]["said"]) == ("ok", "admitted by token")
        assert found[way]["record"]["credential"] == "token"
    assert found["browser"]["record"]["origin"] == f"http://127.0.0.1:{well.port}"
    assert {each["verdict"] for each in found.values()} == {"ok"}
    assert devices(well) == {"pending": [], "paired": []}
    assert limits(well) == []
    seen = json.loads(well.command("gateway", "call", "system-presence").stdout)
    assert [entry["mode"] for entry in seen] == ["gateway"]


def test_it_says_for_people_what_happened_in_three_columns(well: GatewayProcess) -> None:
    ran = well.command("doctor")
    first, *_, last = ran.stdout.splitlines()
    assert first.split() == ["ok", "config", str(well.state / "openclaw.json")]
    assert "ok      browser       admitted by token" in ran.stdout
    assert last == "All is well."
    assert STRONG not in ran.stdout


def test_a_secret_that_has_changed_since_is_never_presented() -> None:
    # Else the gateway would go by the new one within a second.
    config = {"reload": {"mode": "off"}, "auth": {"token": STRONG}}
    with gateway_process({"gateway": config}) as gateway:
        changed = {"gateway": config | {"auth": {"token": "f" * 48}}}
        (gateway.state / "openclaw.json").write_text(json.dumps(changed))
        code, found = doctor(gateway)
        assert code == 1
        assert found["secret"]["verdict"] == "failed"
        assert found["secret"]["cure"] == "openclawd gateway reload"
        assert found["browser"]["record"]["presented"] == "none"
        assert limits(gateway) == []


def test_a_wrong_secret_for_another_machine_is_presented_once() -> None:
    environment = {"OPENCLAW_GATEWAY_PASSWORD": PASSWORD}
    with gateway_process({"gateway": {"auth": {"mode": "password"}}}, environment=environment) as gateway:
        file = gateway.state.parent / "wrong.txt"
        file.write_text("not the password")
        code, found = doctor(gateway, "--url", gateway.url, "--password-file", str(file))
        assert code == 1
        assert "password mismatch" in found["browser"]["said"]
        assert found["command line"]["record"]["presented"] == "none"
        charged = {row["source"]: row["tries"] - row["triesLeft"] for row in limits(gateway)}
        assert charged[f"origin:{gateway.url.rstrip('/')}"] == 1
        assert "127.0.0.1" not in charged


def test_without_a_secret_one_learns_that_everything_before_it_is_well(gateway: GatewayProcess) -> None:
    code, found = doctor(gateway, "--url", gateway.url)
    assert code == 0
    assert found["browser"]["said"].startswith("let through")
    assert found["browser"]["record"]["reason"] == "device-required"


def test_a_page_under_an_unknown_name_gets_the_command_that_allows_it(gateway: GatewayProcess) -> None:
    # A number that the resolver takes for 127.0.0.1 and no browser would send.
    place = f"http://2130706433:{gateway.port}"
    code, found = doctor(gateway, "--url", place)
    assert code == 1
    command = f"openclawd config set openclawd.publicOrigin {place}"
    assert found["page"]["cure"].endswith(command)
    assert found["browser"]["cure"].endswith(command)
    assert found["browser"]["record"]["reason"].startswith("origin")


async def test_who_was_wrong_too_often_is_told_how_to_clear_it() -> None:
    environment = {"OPENCLAW_GATEWAY_PASSWORD": PASSWORD}
    config = {"gateway": {"auth": {"mode": "password", "rateLimit": {"maxAttempts": 1}}}}
    with gateway_process(config, environment=environment) as gateway:
        page = f"http://127.0.0.1:{gateway.port}"
        async with wire_client(gateway.port, headers=origin(page)) as client:
            await client.refusal(auth={"password": "a guess"})
        code, found = doctor(gateway)
        assert code == 1
        assert found["browser"]["record"]["reason"] == "rate_limited"
        cure = found["browser"]["cure"]
        assert cure == f"openclawd gateway limits --clear origin:{page}"
        assert gateway.command(*cure.split()[1:]).returncode == 0
        code, found = doctor(gateway)
        assert (code, found["browser"]["said"]) == (0, "admitted by password")


async def test_a_gateway_with_tls_is_known_by_its_own_certificate() -> None:
    config = {"gateway": {"auth": {"token": STRONG}, "tls": {"enabled": True}}}
    with gateway_process(config, start=False) as gateway:
        gateway.start(wait=False)
        await until(lambda: bool(gateway.decisions("ready")))
        code, found = doctor(gateway)
        assert code == 0
        assert "the gateway's own" in found["TLS"]["said"]
        assert found["browser"]["said"] == "admitted by token"
        other = ("--url", f"https://localhost:{gateway.port}/", "--tls-fingerprint", "0" * 64)
        code, found = doctor(gateway, *other)
        assert code == 1
        assert found["TLS"]["verdict"] == "failed"
        code, found = doctor(gateway, "--url", f"http://127.0.0.1:{gateway.port}/")
        assert code == 1
        assert found["page"]["cure"] == f"openclawd doctor --url https://127.0.0.1:{gateway.port}/"
        assert set(found) == {"page"}, "no proxy is blamed for what follows"


def test_a_port_without_tls_is_told_apart_from_a_bad_certificate(gateway: GatewayProcess) -> None:
    code, found = doctor(gateway, "--url", f"https://127.0.0.1:{gateway.port}/")
    assert code == 1
    assert found["TLS"]["cure"].endswith(f"--url http://127.0.0.1:{gateway.port}/")


def test_a_gateway_that_does_not_run_is_told_from_another_program_on_its_port() -> None:
    with gateway_process(start=False) as gateway:
        (gateway.state / "openclaw.json").write_text(json.dumps({"gateway": {"port": gateway.port}}))
        code, found = doctor(gateway)
        assert code == 1
        assert found["gateway"]["said"].startswith("not running")
        assert "openclawd gateway" in found["gateway"]["cure"]
        with socket.create_server(("127.0.0.1", gateway.port)):
            code, found = doctor(gateway)
        assert code == 1
        assert f"port {gateway.port} is held by" in found["gateway"]["said"]


def test_a_gateway_without_a_secret_is_well_and_open() -> None:
    with gateway_process({"gateway": {"auth": {"mode": "none"}}}) as gateway:
        code, found = doctor(gateway)
        assert code == 0
        assert found["browser"]["said"].startswith("let through")
        assert found["auth"]["cure"] == "openclawd config set gateway.auth.mode token"
        assert devices(gateway) == {"pending": [], "paired": []}


def test_who_trusts_a_proxy_is_asked_to_come_through_it() -> None:
    auth = {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user", "allowLoopback": True}}
    config = {
        "gateway": {"auth": auth, "trustedProxies": ["127.0.0.1", "::1"]},
        "openclawd": {"publicOrigin": "https://gw.example"},
    }
    with gateway_process(config) as gateway:
        code, found = doctor(gateway)
    assert (code, found["way in"]["cure"]) == (0, "openclawd doctor --url https://gw.example")
    assert "browser" not in found


def test_nothing_at_an_address_is_said_so(gateway: GatewayProcess) -> None:
    code, found = doctor(gateway, "--url", f"http://127.0.0.1:{free_port()}/")
    assert code == 1
    assert found["connection"]["verdict"] == "failed"


def test_a_config_that_cannot_be_read_is_the_first_thing_said() -> None:
    with gateway_process({"gateway": {"auth": {"token": STRONG}}}) as gateway:
        (gateway.state / "openclaw.json").write_text('{"gateway": {"prot": 1}}')
        code, found = doctor(gateway)
        assert code == 1
        assert "gateway.prot" in found["config"]["said"]
        assert found["config"]["cure"] == "openclawd config validate"
        assert found["gateway"]["verdict"] == "ok", "it goes on with what it has read"


def test_status_is_one_screen_with_what_could_be_safer() -> None:
    with gateway_process({"gateway": {"auth": {"token": "mytoken123"}}}) as gateway:
        (gateway.state / "openclaw.json").chmod(0o644)
        ran = gateway.command("status")
        assert ran.returncode == 0
        for line in (
            f"listening  port {gateway.port}, loopback, 127.0.0.1, no TLS",
            "auth       token, weak",
            "clients    0 besides this command",
        ):
            assert line in ran.stdout
        document = json.loads(gateway.command("status", "--json").stdout)
    cures = {each["name"]: each["cure"] for each in document["warnings"]}
    assert cures == {
        "secret": "openclawd gateway token rotate",
        "state folder": f"chmod 700 {gateway.state}",
        "config file": f"chmod 600 {gateway.state / 'openclaw.json'}",
    }
    assert document["pid"] > 0
    assert "mytoken123" not in ran.stdout


async def test_status_tells_who_was_refused_last(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.refusal(token="f" * 48)
    document = json.loads(gateway.command("status", "--json").stdout)
    assert document["lastRefused"]["reason"] == "token_mismatch"
    assert "token_mismatch" in gateway.command("status").stdout


async def test_the_secret_can_be_proven_over_the_local_socket_only(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN)
        request = await client.request("gateway.secret.check", {"nonce": "n", "proof": "00"})
        frame = await client.next_frame()
        while frame.get("id") != request:
            frame = await client.next_frame()
    assert frame["error"]["message"] == "gateway.secret.check is for the local socket"


def test_a_token_of_the_command_line_is_told_from_one_that_has_changed() -> None:
    with gateway_process({"gateway": {"auth": {"token": STRONG}}}, "--token", STRONG[::-1]) as gateway:
        code, found = doctor(gateway)
        assert (code, found["secret"]["verdict"]) == (0, "note")
        assert "started with --token" in found["secret"]["said"]
        link, said = gateway.command("dashboard").stdout.splitlines()
        assert link == f"http://127.0.0.1:{gateway.port}/", "the config's token would lead nowhere"
        assert "asks for the token" in said


def test_a_wrong_secret_given_by_hand_is_not_the_configs_fault(well: GatewayProcess) -> None:
    file = well.state.parent / "wrong.txt"
    file.write_text("not the token")
    code, found = doctor(well, "--token-file", str(file))
    assert (code, found["secret"]["cure"]) == (1, "without it, the config's is tried: openclawd doctor")
    assert well.command("doctor", "--token-file", "/nowhere").returncode == 2


def test_another_port_than_the_gateways_is_said(well: GatewayProcess) -> None:
    port = free_port()
    code, found = doctor(well, "--port", str(port))
    assert code == 1
    assert found["gateway"]["said"].endswith(f"on port {well.port} and not on {port}")


def test_a_gateway_without_its_socket_is_not_another_program() -> None:
    with gateway_process() as gateway:
        assert gateway.process is not None
        (gateway.state / "openclawd" / "gateway.sock").unlink()
        code, found = doctor(gateway)
        assert code == 1
        assert found["gateway"]["said"].startswith(f"process {gateway.process.pid} runs, and does not listen")


def test_a_gateway_that_is_stuck_is_not_another_program() -> None:
    with gateway_process() as gateway:
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGSTOP)
        code, found = doctor(gateway)
        gateway.process.send_signal(signal.SIGCONT)
        assert code == 1
        assert found["gateway"]["said"].startswith(f"process {gateway.process.pid} runs and is stuck")


def test_the_doctors_own_tries_are_nobodys_refusals(gateway: GatewayProcess) -> None:
    doctor(gateway, "--url", gateway.url)
    last = json.loads(gateway.command("status", "--json").stdout)["lastRefused"]
    assert last is None or "doctor" not in last["version"]
