"""The commands against a gateway that runs, and against none."""

import json
from collections.abc import Generator

import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def stopped() -> Generator[GatewayProcess, None, None]:
    """A state directory without a gateway."""
    with gateway_process(start=False) as idle:
        yield idle


def test_call_prints_the_answer_of_a_method(gateway: GatewayProcess) -> None:
    ended = gateway.command("gateway", "call", "agents.list")
    assert (ended.returncode, json.loads(ended.stdout)["defaultId"]) == (0, "main")


def test_call_says_what_is_wrong_with_a_call(gateway: GatewayProcess) -> None:
    ended = gateway.command("gateway", "call", "chat.history", "--params", '{"limit": 0}')
    assert ended.returncode == 1
    assert "must have required property 'sessionKey'" in ended.stderr
    assert gateway.command("gateway", "call", "health", "--params", "{").returncode == 2


def test_status_tells_process_and_port(gateway: GatewayProcess) -> None:
    assert gateway.process is not None
    ended = gateway.command("gateway", "status", "--json")
    status = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert (status["running"], status["pid"], status["port"]) == (True, gateway.process.pid, gateway.port)


def test_the_commands_need_no_secret_on_the_gateways_own_machine(gateway: GatewayProcess) -> None:
    """They come over a Unix socket, whose other end the kernel vouches for."""
    assert gateway.command("health").returncode == 0
    assert gateway.decisions("admitted", credential="local-socket", address="unix")
    # That it has gone is not told: what others did last is what one wants to read there.
    assert gateway.command("health").returncode == 0
    assert not gateway.decisions("left")


def test_dashboard_prints_the_link(gateway: GatewayProcess) -> None:
    ended = gateway.command("dashboard")
    assert ended.returncode == 0
    assert f"127.0.0.1:{gateway.port}/#token={TOKEN}" in ended.stdout


def test_logs_shows_what_was_logged(gateway: GatewayProcess) -> None:
    ended = gateway.command("logs")
    assert ended.returncode == 0
    assert "ready" in ended.stdout


@pytest.mark.parametrize("words", [("health",), ("gateway", "status")], ids=" ".join)
def test_without_a_gateway_a_command_fails_and_names_the_one_that_helps(
    stopped: GatewayProcess, words: tuple[str, ...]
) -> None:
    ended = stopped.command(*words)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "openclawd gateway" in ended.stderr + ended.stdout
