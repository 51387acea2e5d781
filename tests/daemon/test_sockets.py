"""The sockets that the house listens on."""

import socket
import sys

import attrs
import pytest

from openclawd.config.load import load_text
from openclawd.config.paths import resolve_paths
from openclawd.config.settings import resolve_settings
from openclawd.daemon.sockets import bind_tcp


@pytest.mark.skipif(sys.platform != "linux", reason="the options are Linux's")
def test_the_kernel_gives_up_on_a_peer_that_is_gone_within_two_minutes() -> None:
    """tcp(7): what is accepted inherits the listener's options."""
    settings = resolve_settings(load_text(resolve_paths({"HOME": "/nowhere"}), "{}", {}), {})
    bound, *others = bind_tcp(attrs.evolve(settings, port=0))
    for other in others:
        other.close()
    with bound, socket.create_connection(bound.getsockname()), bound.accept()[0] as accepted:
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        gap = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
        count = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
        assert idle + gap * count <= 120
        assert 0 < accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 120_000
