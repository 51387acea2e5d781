"""`config` and `dashboard`: what the files say, without a gateway."""

import json

import pytest

from tests.cli.conftest import Shell
from tests.cli.fake_gateway import FakeGateway

CONFIG = """{
  // kept
  gateway: { port: 19001, auth: { token: "abc/def+0123" } },
  agents: { list: [{ id: "main" }] },
}
"""


def test_get_prints_a_value(shell: Shell) -> None:
    shell.write_config(CONFIG)
    assert shell("config", "get", "gateway.port").out == "19001\n"
    assert shell("config", "get", "agents.list.0.id").out == "main\n"
    assert shell("config", "get", "agents.list.0.id", "--json").out == '"main"\n'


def test_get_never_prints_a_secret(shell: Shell) -> None:
    shell.write_config(CONFIG)
    assert "abc/def" not in shell("config", "get").out
    assert shell("config", "get", "gateway.auth.token").out == "__OPENCLAW_REDACTED__\n"


def test_get_of_what_is_not_set_says_so(shell: Shell) -> None:
    shell.write_config(CONFIG)
    ran = shell("config", "get", "gateway.bind")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("gateway.bind is not set")


def test_file_says_where_it_is(shell: Shell) -> None:
    assert shell("config", "file").out == f"{shell.state_dir}/openclaw.json\n"


def test_validate_names_file_and_line_of_each_problem(shell: Shell) -> None:
    file = shell.write_config('{\n  gateway: {\n    port: "many",\n    bind: "moon",\n  },\n}\n')
    ran = shell("config", "validate")
    assert ran.code == 78
    port, bind = ran.out.splitlines()
    assert port.startswith(f"{file}:3: gateway.port is ")
    assert bind.startswith(f"{file}:4: gateway.bind is ")
    as_json = shell("config", "validate", "--json")
    assert as_json.code == 78
    assert [problem["line"] for problem in as_json.json["problems"]] == [3, 4]


def test_validate_finds_what_only_the_start_would_refuse(shell: Shell) -> None:
    shell.write_config('{ gateway: { bind: "lan", auth: { mode: "none" } } }')
    ran = shell("config", "validate")
    assert ran.code == 78
    assert "without auth" in ran.out


def test_validate_is_content_with_a_good_file_and_with_none(shell: Shell) -> None:
    ran = shell("config", "validate")
    assert ran.code == 0
    assert "does not exist" in ran.out
    file = shell.write_config(CONFIG)
    assert shell("config", "validate").out == f"{file} is fine.\n"


def test_dashboard_prints_the_link_with_the_token_in_its_fragment(shell: Shell) -> None:
    shell.write_config(CONFIG)
    ran = shell("dashboard", "--no-open")
    assert (ran.code, ran.out) == (0, "http://127.0.0.1:19001/#token=abc%2Fdef%2B0123\n")


def test_dashboard_knows_the_base_path_and_the_port_of_the_environment(shell: Shell) -> None:
    shell.write_config('{ gateway: { auth: { mode: "none" }, controlUi: { basePath: "/claw" } } }')
    ran = shell("dashboard", "--json", OPENCLAW_GATEWAY_PORT="19002")
    assert ran.json == {"url": "http://127.0.0.1:19002/claw/", "authMode": "none"}


def test_dashboard_asks_a_running_gateway_for_its_port(shell: Shell) -> None:
    shell.write_config(CONFIG)
    gateway = FakeGateway(answers={"status": lambda _: {"openclawd": {"port": 19_444}}})
    with gateway.listening(socket=shell.socket):
        assert shell("dashboard").out == "http://127.0.0.1:19444/#token=abc%2Fdef%2B0123\n"


@pytest.mark.parametrize(
    ("address", "host"),
    [("100.64.0.7", "100.64.0.7"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("fd00::7", "[fd00::7]")],
)
def test_dashboard_names_an_address_that_leads_to_where_the_gateway_listens(
    shell: Shell, address: str, host: str
) -> None:
    shell.write_config(CONFIG)
    facts = {"openclawd": {"port": 19_444, "bind": "custom", "address": address}}
    with FakeGateway(answers={"status": lambda _: facts}).listening(socket=shell.socket):
        assert shell("dashboard").out.startswith(f"http://{host}:19444/#")


@pytest.mark.parametrize(
    ("address", "host"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("10.0.0.7", "10.0.0.7")]
)
def test_dashboard_without_a_gateway_goes_by_the_config(shell: Shell, address: str, host: str) -> None:
    own = {"bind": "custom", "customBindHost": address, "auth": {"token": "t"}}
    shell.write_config(json.dumps({"gateway": own}))
    assert shell("dashboard").out == f"http://{host}:18789/#token=t\n"


def test_dashboard_without_a_token_says_who_makes_one(shell: Shell) -> None:
    ran = shell("dashboard")
    assert ran.code == 1
    assert ran.err.endswith("Start it: openclawd gateway\n")
