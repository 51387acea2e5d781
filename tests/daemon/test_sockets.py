"""The sockets that the house listens on."""

import socket
import sys

import attrs
import pytest

from openclawd.config.load import load_text
from openclawd.config.paths import resolve_paths
from openclawd.config.settings import GatewaySettings, resolve_settings
from openclawd.daemon.refusal import StartRefused
from openclawd.daemon.sockets import bind_tcp, probe_tcp

CUSTOM = "{{gateway: {{bind: 'custom', customBindHost: '{}', auth: {{token: 'x'}}}}}}"


def settings_of(config: str) -> GatewaySettings:
    return resolve_settings(load_text(resolve_paths({"HOME": "/nowhere"}), config, {}), {})


def test_an_address_of_another_machine_is_known_before_anybody_listens() -> None:
    """203.0.113.0/24 is for documentation (RFC 5737)."""
    probe_tcp(settings_of(CUSTOM.format("127.0.0.1")))
    with pytest.raises(StartRefused, match="is not an address of this machine"):
        probe_tcp(settings_of(CUSTOM.format("203.0.113.9")))


def test_a_port_that_is_busy_is_no_fault_of_the_config() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        probe_tcp(attrs.evolve(settings_of("{}"), port=other.getsockname()[1]))


@pytest.mark.skipif(sys.platform != "linux", reason="the options are Linux's")
def test_the_kernel_gives_up_on_a_peer_that_is_gone_within_two_minutes() -> None:
    """tcp(7): what is accepted inherits the listener's options."""
    bound, *others = bind_tcp(attrs.evolve(settings_of("{}"), port=0))
    for other in others:
        other.close()
    with bound, socket.create_connection(bound.getsockname()), bound.accept()[0] as accepted:
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        gap = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
        count = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
        assert idle + gap * count <= 120
        assert 0 < accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 120_000
