"""The listening sockets: which addresses a bind mode means, and what to say when one is not to be had.

A socket that somebody hands us (the generation before, systemd, launchd) is taken only if it listens exactly
where the settings say, so that it can open nothing that they keep closed; any other is let go.
"""

import errno
import ipaddress
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from openclawd.config.settings import GatewaySettings
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.port_holder import port_holder, way_out
from openclawd.daemon.refusal import StartRefused

# A restart of many clients arrives in one burst; the kernel cuts it to somaxconn.
BACKLOG: Final = 4096
# A laptop that was closed, a phone out of reach: the kernel asks after a minute of silence (s), and lets
# nothing wait for an answer longer than a minute and a half (ms), where it knows how (tcp(7)).
KEEPALIVE: Final[Mapping[str, int]] = {
    "TCP_KEEPIDLE": 60,
    # The same in macOS' words.
    "TCP_KEEPALIVE": 60,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 90_000,
}
# ip(7), ip_unprivileged_port_start: what only root may listen on.
_LAST_PRIVILEGED_PORT: Final = 1023
# RFC 6598, which Tailscale hands its addresses from.
_TAILNET: Final = ipaddress.ip_network("100.64.0.0/10")
_ANY: Final = "0.0.0.0"
# How long those who were asked to close a socket may take (s), and between two looks.
_LET_GO_S: Final = 1.0
_RETRY_S: Final = 0.01
# Never contacted: connecting a datagram socket to it only asks the kernel for a route.
_TAILNET_RESOLVER: Final = "100.100.100.100"
# RFC 5737, for documentation: nobody is there, and the way to it is the one to everywhere.
_ELSEWHERE: Final = "192.0.2.1"


def bind_tcp(
    settings: GatewaySettings,
    inherited: Sequence[socket.socket] = (),
    *,
    let_go: Callable[[Sequence[socket.socket]], None] | None = None,
) -> list[socket.socket]:
    """Listen where `settings` say, on what is `inherited` where that listens there already. Raises
    StartRefused: 75 for a busy port, 78 for an address that is not ours.

    Of several for one address the first is taken. What is not taken is closed, after `let_go` has heard of
    it: who else has it open should close it, too, or its port stays busy.
    """
    hosts = _hosts(settings)
    taken, strays = _taken(hosts, settings.port, inherited)
    elsewhere = [_address_of(stray) for stray in strays]
    if strays and let_go is not None:
        let_go(strays)
    for stray in strays:
        stray.close()
    port = next((_address_of(each)[1] for each in taken.values()), settings.port)
    bound: list[socket.socket] = []
    for host in hosts:
        try:
            bound.append(taken.get(host) or _listen(host, port, patience_s=_LET_GO_S if strays else 0))
        except OSError as error:
            if bound and error.errno != errno.EADDRINUSE:
                continue  # No IPv6 on this machine: the first address is enough.
            for each in {*bound, *taken.values()}:
                each.close()
            raise _refused(host, port, error, elsewhere) from None
        port = port or _address_of(bound[0])[1]
    return bound


def _taken(
    hosts: Sequence[str], port: int, inherited: Iterable[socket.socket]
) -> tuple[dict[str, socket.socket], list[socket.socket]]:
    """By host, what of `inherited` listens there; and the rest, but for second descriptors of one socket,
    which are closed. All that is taken has one port; with 0, the first one's.
    """
    once: dict[tuple[int, int], socket.socket] = {}
    for each in inherited:
        status = os.fstat(each.fileno())
        if once.setdefault((status.st_dev, status.st_ino), each) is not each:
            each.close()
    strays = list(once.values())
    taken: dict[str, socket.socket] = {}
    for host in hosts:
        for each in strays:
            if _listens_at(each, host, port):
                taken[host] = each
                port = _address_of(each)[1]
                strays.remove(each)
                _make_ours(each)
                break
    return taken, strays


def _listens_at(inherited: socket.socket, host: str, port: int) -> bool:
    """Whether it listens there and nowhere else; any port is right for 0."""
    if inherited.family not in (socket.AF_INET, socket.AF_INET6) or inherited.type != socket.SOCK_STREAM:
        return False
    if not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    found, found_port = _address_of(inherited)
    if ipaddress.ip_address(found) != ipaddress.ip_address(host) or port not in (0, found_port):
        return False
    # ipv6(7): otherwise `::` means every IPv4 address, too.
    return found != "::" or bool(inherited.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def _address_of(bound: socket.socket) -> tuple[str, int]:
    """Host and port; nothing of either for what is no TCP socket."""
    match bound.getsockname():
        case (str(host), int(port), *_):
            return host.partition("%")[0], port
        case _:
            return "", 0


def probe_tcp(settings: GatewaySettings, *, is_ours: bool = True) -> None:
    """Raises StartRefused as `bind_tcp` would, but for a busy port that may be our own (`is_ours`)."""
    host = _hosts(settings)[0]
    port = settings.port if settings.port <= _LAST_PRIVILEGED_PORT or not is_ours else 0
    try:
        with _socket_for(host) as probe:
            probe.bind((host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not is_ours:
            raise _refused(host, settings.port, error) from None


def _hosts(settings: GatewaySettings) -> list[str]:
    match settings.bind:
        case "lan":
            return [_ANY]
        case "custom" if settings.custom_bind_host is not None:
            return [settings.custom_bind_host]
        case "tailnet":
            return [tailnet_address() or "127.0.0.1"]
        case _:
            return ["127.0.0.1", "::1"]


def tailnet_address() -> str | None:
    """This machine's own address in its tailnet, if it has one."""
    address = _address_towards(_TAILNET_RESOLVER)
    return address if address is not None and ipaddress.ip_address(address) in _TAILNET else None


def addresses(settings: GatewaySettings) -> list[str]:
    """Where a gateway with these settings can be reached: of a bind to everywhere, the address that this
    machine has on its network.
    """
    found = [_address_towards(_ELSEWHERE) if host == _ANY else host for host in _hosts(settings)]
    return [host for host in found if host is not None]


def _address_towards(target: str) -> str | None:
    """The address of ours that packets to `target` would come from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 53))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _socket_for(host: str) -> socket.socket:
    """One that may have a port that was left a moment ago, and at which nobody listens (socket(7))."""
    tcp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if tcp.family == socket.AF_INET6:
        tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return tcp


def _listen(host: str, port: int, *, patience_s: float) -> socket.socket:
    """A new listener; a busy port is waited for so long. Raises OSError."""
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return _listen_now(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline_s:
                raise
            time.sleep(_RETRY_S)


def _listen_now(host: str, port: int) -> socket.socket:
    tcp = _socket_for(host)
    try:
        tcp.bind((host, port))
        _make_ours(tcp)
    except OSError:
        tcp.close()
        raise
    return tcp


def _make_ours(tcp: socket.socket) -> None:
    """Listen with room for everybody, and let the kernel end a connection whose peer is gone; what is
    accepted inherits it (tcp(7)).
    """
    tcp.listen(BACKLOG)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            tcp.setsockopt(socket.IPPROTO_TCP, option, value)


def _refused(host: str, port: int, error: OSError, elsewhere: Sequence[tuple[str, int]] = ()) -> StartRefused:
    """`elsewhere` were we handed sockets that the settings do not name."""
    match error.errno:
        case errno.EADDRINUSE if any(given[1] == port for given in elsewhere):
            given = next(given for given in elsewhere if given[1] == port)
            return StartRefused(
                ExitCode.CONFIG,
                f"The service manager listens on {given[0]} port {port} for us, but the config says {host}.\n"
                "Name the same address in its socket (ListenStream=) and here:"
                " openclawd config get gateway.bind",
            )
        case errno.EADDRINUSE:
            holder = port_holder(port)
            by = f" by {holder}" if holder else ""
            return StartRefused(
                ExitCode.BUSY,
                f"Port {port} on {host} is in use{by}.\n"
                f"Stop that process, or choose another port: {way_out(port)}",
            )
        case errno.EADDRNOTAVAIL:
            return StartRefused(
                ExitCode.CONFIG,
                f"gateway.customBindHost: {host} is not an address of this machine.\n"
                f"See its addresses with: {'ifconfig' if sys.platform == 'darwin' else 'ip address'}",
            )
        case errno.EACCES:
            return StartRefused(
                ExitCode.CONFIG,
                f"Port {port} on {host} needs privileges that this process does not have.\n"
                "Choose one above 1023: openclawd config set gateway.port N",
            )
        case _:
            return StartRefused(ExitCode.CONFIG, f"Cannot listen on {host} port {port}: {error.strerror}.")
