"""How commands reach a gateway: the local socket first, then the port; every refusal in words."""

import json
import socket
import threading

import pytest

from tests.cli.conftest import Shell
from tests.cli.fake_gateway import FakeGateway, Refusal


def echoing() -> FakeGateway:
    return FakeGateway(answers={"echo": lambda params: {"params": params}})


def test_call_prints_the_payload_of_the_answer(shell: Shell) -> None:
    with echoing().listening(socket=shell.socket) as gateway:
        ran = shell("gateway", "call", "echo", "--params", '{"a": [1, "ü"]}')
    assert ran.code == 0
    assert ran.json == {"params": {"a": [1, "ü"]}}
    assert gateway.calls == [("echo", {"a": [1, "ü"]})]


def test_without_params_none_are_sent(shell: Shell) -> None:
    with echoing().listening(socket=shell.socket) as gateway:
        assert shell("gateway", "call", "echo").json == {"params": None}
    assert gateway.calls == [("echo", None)]


def test_the_local_socket_gets_no_secret_and_needs_no_config(shell: Shell) -> None:
    shell.write_config("{ this is not a config")
    with echoing().listening(socket=shell.socket) as gateway:
        assert shell("gateway", "call", "echo", OPENCLAW_GATEWAY_TOKEN="t" * 48).code == 0
    assert "auth" not in gateway.connects[0]


def test_it_introduces_itself_as_the_cli_with_all_scopes_and_no_device(shell: Shell) -> None:
    with echoing().listening(socket=shell.socket) as gateway:
        shell("gateway", "call", "echo")
    (connect,) = gateway.connects
    assert (connect["client"]["id"], connect["client"]["mode"]) == ("cli", "cli")
    assert (connect["minProtocol"], connect["maxProtocol"]) == (3, 3)
    assert len(connect["scopes"]) == 5
    assert "device" not in connect


def test_without_the_local_socket_the_port_is_asked_with_the_configs_token(shell: Shell) -> None:
    gateway = FakeGateway(answers={"health": lambda _: {"ok": True}}, token="s3cret" * 8)
    with gateway.listening(tcp=True):
        shell.write_config(json.dumps({"gateway": {"port": gateway.port, "auth": {"token": gateway.token}}}))
        ran = shell("gateway", "call", "health")
    assert ran.json == {"ok": True}


def test_a_socket_that_nobody_serves_any_more_leads_to_the_port(shell: Shell) -> None:
    shell.socket.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(shell.socket))
    with echoing().listening(tcp=True) as gateway:
        assert shell("gateway", "call", "echo", OPENCLAW_GATEWAY_PORT=str(gateway.port)).code == 0


def test_a_secret_given_by_hand_is_used_over_the_port_and_warned_about(shell: Shell) -> None:
    gateway = echoing()
    gateway.token = "by-hand"
    with gateway.listening(socket=shell.socket, tcp=True):
        ran = shell("gateway", "call", "echo", "--token", "by-hand", OPENCLAW_GATEWAY_PORT=str(gateway.port))
    assert ran.code == 0
    assert gateway.connects[0]["auth"] == {"token": "by-hand"}
    assert ran.err.startswith("Warning: other users of this machine can read --token")
    assert ran.err.count("\n") == 1


def test_a_port_given_by_hand_is_the_one_that_is_asked(shell: Shell) -> None:
    with echoing().listening(socket=shell.socket, tcp=True) as gateway:
        after = shell("gateway", "call", "echo", "--port", str(gateway.port))
        before = shell("gateway", "--port", str(gateway.port), "call", "echo")
        assert (after.code, before.code) == (0, 0)
        assert shell("gateway", "--port", "1", "call", "echo").code == 1
    assert shell("health", "--port", "1", "--url", "ws://127.0.0.1:1").code == 2
    assert shell("health", "--port", "many").code == 2


def test_what_stands_before_call_counts(shell: Shell) -> None:
    gateway = echoing()
    gateway.token = "by-hand"
    with gateway.listening(socket=shell.socket, tcp=True):
        ran = shell("gateway", "--token", "by-hand", "call", "echo", OPENCLAW_GATEWAY_PORT=str(gateway.port))
    assert ran.code == 0
    assert gateway.connects[0]["auth"] == {"token": "by-hand"}


def test_the_spaces_of_a_password_are_sent(shell: Shell) -> None:
    file = shell.state_dir / "password"
    file.write_text(" correct horse \n")
    with echoing().listening(tcp=True) as gateway:
        shell.write_config(json.dumps({"gateway": {"port": gateway.port, "auth": {"mode": "password"}}}))
        by_url = ("--url", f"ws://127.0.0.1:{gateway.port}")
        for words in (("--password-file", str(file)), ("--password-file", str(file), *by_url)):
            assert shell("health", *words).err == "health: unknown method: health\n"
    assert [connect["auth"] for connect in gateway.connects] == [{"password": " correct horse "}] * 2


def test_a_gateway_bound_to_every_address_of_a_kind_is_asked_at_one_of_them(shell: Shell) -> None:
    with echoing().listening(tcp=True) as gateway:
        own = {"bind": "custom", "customBindHost": "0.0.0.0", "port": gateway.port, "auth": {"token": "t"}}
        shell.write_config(json.dumps({"gateway": own}))
        assert shell("gateway", "call", "echo").code == 0


def test_a_token_file_is_used_without_a_warning(shell: Shell) -> None:
    gateway = echoing()
    gateway.token = "in-a-file"
    file = shell.state_dir / "token"
    file.write_text("in-a-file\n")
    with gateway.listening(tcp=True):
        ran = shell(
            "gateway", "call", "echo", "--token-file", str(file), "--url", f"ws://127.0.0.1:{gateway.port}"
        )
    assert (ran.code, ran.err) == (0, "")


def test_another_url_never_gets_the_token_of_this_machines_gateway(shell: Shell) -> None:
    shell.write_config('{ gateway: { auth: { token: "of-this-machine" } } }')
    with echoing().listening(tcp=True) as gateway:
        shell(
            "gateway", "call", "echo", "--url", f"ws://127.0.0.1:{gateway.port}", OPENCLAW_GATEWAY_TOKEN="x"
        )
    assert "auth" not in gateway.connects[0]


def test_a_refused_connect_is_shown_with_its_reason_and_what_helps(shell: Shell) -> None:
    gateway = FakeGateway(token="right")
    with gateway.listening(tcp=True):
        where = ("--url", f"ws://127.0.0.1:{gateway.port}")
        ran = shell("health", *where, "--token", "wrong")
        as_json = shell("health", *where, "--token", "wrong", "--json")
    assert ran.code == 1
    assert "unauthorized: gateway token mismatch" in ran.err
    assert "--token-file" in ran.err.splitlines()[-1]
    assert as_json.json["error"]["code"] == "AUTH_TOKEN_MISMATCH"


def test_an_unknown_method_is_answered_with_the_nearest_one(shell: Shell) -> None:
    with echoing().listening(socket=shell.socket):
        ran = shell("gateway", "call", "chat.histroy")
    assert ran.code == 1
    assert (
        ran.err
        == "chat.histroy: unknown method: chat.histroy\nDid you mean: openclawd gateway call chat.history\n"
    )


def test_a_refused_call_says_when_to_try_again(shell: Shell) -> None:
    def busy(_params: object) -> object:
        raise Refusal(code="UNAVAILABLE", message="busy", retryable=True, retryAfterMs=1500)

    with FakeGateway(answers={"slow": busy}).listening(socket=shell.socket):
        ran = shell("gateway", "call", "slow")
    assert (ran.code, ran.err) == (1, "slow: busy\nTry again in 1.5 s.\n")


def test_params_that_are_not_json_exit_2_with_an_example(shell: Shell) -> None:
    ran = shell("gateway", "call", "health", "--params", "{a: 1}")
    assert ran.code == 2
    assert "--params is not JSON" in ran.err
    assert "For example" in ran.err


@pytest.mark.parametrize(
    "words", [("health",), ("gateway", "status"), ("devices", "list"), ("gateway", "call", "x")]
)
def test_without_a_gateway_every_command_says_how_to_start_one(
    shell: Shell, words: tuple[str, ...], unused_port: int
) -> None:
    ran = shell(*words, OPENCLAW_GATEWAY_PORT=str(unused_port))
    assert ran.code == 1
    assert ran.err == f"No gateway is running for {shell.state_dir}.\nStart it: openclawd gateway\n"


@pytest.mark.parametrize("url", ["localhost:18789", "ftp://127.0.0.1:1", "ws://", "ws://host:port"])
def test_a_url_that_is_none_exits_2(shell: Shell, url: str) -> None:
    ran = shell("health", "--url", url)
    assert ran.code == 2
    assert "expected ws://HOST:PORT" in ran.err


def test_a_gateway_that_never_answers_is_given_up_after_the_timeout(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        ran = shell("health", "--url", f"ws://127.0.0.1:{port}", "--timeout", "100")
    assert ran.code == 1
    assert f"The gateway at ws://127.0.0.1:{port} did not answer within 0.1 s." in ran.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "not as a gateway (HTTP 404)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "did not answer"),
        (b"", "did not answer"),
    ],
)
def test_something_that_is_no_gateway_is_named_as_such(shell: Shell, answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        ran = shell("health", "--url", f"ws://127.0.0.1:{listener.getsockname()[1]}", "--timeout", "500")
        thread.join()
    assert ran.code == 1
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_gateway_that_goes_away_in_the_middle_is_said_with_its_close(shell: Shell) -> None:
    with FakeGateway(closes_at="health").listening(socket=shell.socket):
        ran = shell("health")
    assert ran.code == 1
    assert "closed the connection: 1012 service restart" in ran.err


def test_nothing_at_a_port_given_by_hand_does_not_mean_that_no_gateway_runs(shell: Shell) -> None:
    with echoing().listening(socket=shell.socket):
        ran = shell("gateway", "call", "echo", "--port", "1")
    assert ran.code == 1
    assert ran.err == (
        "Nothing listens at ws://127.0.0.1:1.\nWhether a gateway runs, and where: openclawd gateway status\n"
    )


def test_the_url_of_the_page_names_its_gateway(shell: Shell) -> None:
    with echoing().listening(tcp=True) as gateway:
        assert shell("gateway", "call", "echo", "--url", f"http://127.0.0.1:{gateway.port}/").code == 0


def test_a_url_without_its_scheme_is_answered_with_the_one_that_was_meant(shell: Shell) -> None:
    ran = shell("health", "--url", "127.0.0.1:18789")
    assert (ran.code, ran.err.splitlines()[-1]) == (2, "Perhaps: --url ws://127.0.0.1:18789")


def test_a_gateway_that_refuses_the_command_is_not_said_to_be_down(shell: Shell) -> None:
    with FakeGateway(token="right").listening(tcp=True) as gateway:
        ran = shell("status", "--url", f"ws://127.0.0.1:{gateway.port}", "--token", "wrong")
    assert (ran.code, "refused the connection" in ran.out) == (1, True)
    assert "not running" not in ran.out


def test_status_tells_a_wrong_command_line_as_every_command_does(shell: Shell) -> None:
    ran = shell("status", "--url", "ftp://127.0.0.1:1")
    assert (ran.code, ran.out) == (2, "")
