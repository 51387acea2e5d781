"""The sockets that the house listens on."""

import socket
import sys
import threading
from contextlib import ExitStack

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


# --- inherited


def loopback(port: int = 0) -> GatewaySettings:
    return attrs.evolve(settings_of("{}"), port=port)


def listener(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def port_of(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


def closed(*sockets: socket.socket) -> list[bool]:
    return [each.fileno() < 0 for each in sockets]


def test_what_listens_there_already_goes_on_and_the_rest_is_bound_beside_it() -> None:
    with listener() as inherited, ExitStack() as stack:
        first, *others = map(stack.enter_context, bind_tcp(loopback(port_of(inherited)), [inherited]))
        assert first is inherited
        assert {port_of(other) for other in others} <= {port_of(inherited)}


def test_without_a_port_in_the_settings_any_port_is_right_and_all_have_it() -> None:
    with listener() as inherited, ExitStack() as stack:
        first, *others = map(stack.enter_context, bind_tcp(loopback(), [inherited]))
        assert first is inherited
        assert {port_of(other) for other in others} <= {port_of(inherited)}


def test_what_the_settings_do_not_name_is_told_of_and_closed() -> None:
    heard: list[int] = []
    with (
        listener() as elsewhere,
        listener("127.0.0.2") as other_host,
        listener() as wanted,
        ExitStack() as stack,
    ):
        given = [elsewhere, other_host, wanted]
        numbers = [elsewhere.fileno(), other_host.fileno()]
        bound = bind_tcp(
            loopback(port_of(wanted)),
            given,
            let_go=lambda strays: heard.extend(map(socket.socket.fileno, strays)),
        )
        for each in bound:
            stack.enter_context(each)
        assert bound[0] is wanted
        assert heard == numbers
        assert closed(elsewhere, other_host, wanted) == [True, True, False]


def test_a_socket_that_listens_everywhere_is_not_taken_for_loopback() -> None:
    """Whoever hands it over would open what the config keeps closed."""
    with listener("0.0.0.0") as everywhere:
        port = port_of(everywhere)
        with ExitStack() as stack:
            for each in bind_tcp(loopback(port), [everywhere]):
                assert stack.enter_context(each).getsockname()[0] in ("127.0.0.1", "::1")
        assert closed(everywhere) == [True]


def test_one_socket_by_two_descriptors_is_taken_once() -> None:
    with listener() as inherited, inherited.dup() as again, ExitStack() as stack:
        bound = bind_tcp(loopback(port_of(inherited)), [inherited, again])
        for each in bound:
            stack.enter_context(each)
        assert bound.count(inherited) == 1
        assert closed(inherited, again) == [False, True]
        # The other descriptor is closed, and still it listens.
        with socket.create_connection(inherited.getsockname()):
            pass


def test_what_is_no_listener_is_closed() -> None:
    one, other = socket.socketpair()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    with ExitStack() as stack, one, other, datagrams:
        given = [
            one,
            datagrams,
            stack.enter_context(socket.create_connection(stack.enter_context(listener()).getsockname())),
        ]
        for each in bind_tcp(loopback(), given):
            stack.enter_context(each)
            assert each not in given
        assert closed(*given) == [True, True, True]


def test_a_socket_that_is_held_elsewhere_too_is_waited_for() -> None:
    """systemd closes what it keeps when it has read that it should."""
    with listener("0.0.0.0") as stray, stray.dup() as kept, ExitStack() as stack:
        soon = threading.Timer(0.05, kept.close)
        bound = bind_tcp(loopback(port_of(stray)), [stray], let_go=lambda strays: soon.start())
        for each in bound:
            stack.enter_context(each)
        assert bound[0].getsockname()[0] == "127.0.0.1"


def test_a_service_manager_that_listens_elsewhere_on_the_port_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openclawd.daemon.sockets._LET_GO_S", 0.0)
    with listener("0.0.0.0") as stray, stray.dup(), pytest.raises(StartRefused) as refused:
        # Its own descriptor stays open.
        bind_tcp(loopback(port_of(stray)), [stray])
    assert refused.value.exit_code == 78
    assert "listens on 0.0.0.0 port" in str(refused.value)
    assert "ListenStream=" in str(refused.value)


def test_a_port_that_was_left_a_moment_ago_is_free() -> None:
    """Who closes a connection first keeps its port for a minute (TIME_WAIT)."""
    with socket.create_server(("127.0.0.1", 0)) as before:
        port = before.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, before.accept()[0] as accepted:
            accepted.close()
            assert client.recv(1) == b""
    probe_tcp(attrs.evolve(settings_of("{}"), port=port), is_ours=False)


def test_a_port_on_which_somebody_listens_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(StartRefused, match="is in use"):
        probe_tcp(attrs.evolve(settings_of("{}"), port=other.getsockname()[1]), is_ours=False)
