"""How the page of a server is reached from the machine that somebody sits at."""

import pytest

from openclawd.cli.dashboard import tunnel

PAGE = "http://127.0.0.1:18789/#token=secret"
OVER_SSH = {"SSH_CONNECTION": "198.51.100.7 50022 203.0.113.5 22", "USER": "ada"}


def test_over_ssh_a_page_on_loopback_needs_a_tunnel_and_the_command_has_no_secret() -> None:
    assert tunnel(PAGE, OVER_SSH) == "ssh -L 18789:localhost:18789 ada@203.0.113.5"


def test_another_port_of_the_ssh_server_is_named() -> None:
    environ = {**OVER_SSH, "SSH_CONNECTION": "2001:db8::7 50022 2001:db8::5 2222"}
    assert tunnel(PAGE, environ) == "ssh -p 2222 -L 18789:localhost:18789 ada@2001:db8::5"


def test_whoever_called_sudo_logs_in_as_themselves() -> None:
    assert str(tunnel(PAGE, {**OVER_SSH, "USER": "root", "SUDO_USER": "ada"})).endswith(" ada@203.0.113.5")


@pytest.mark.parametrize(
    ("page", "environ"),
    [(PAGE, {}), (PAGE, {"SSH_CONNECTION": "odd"}), ("https://203.0.113.5:18789/", OVER_SSH)],
)
def test_a_page_that_is_near_or_in_the_open_needs_none(page: str, environ: dict[str, str]) -> None:
    assert tunnel(page, environ) is None
