"""The listening sockets: which addresses a bind mode means, and what to say when one is not to be had."""

import errno
import ipaddress
import socket
from collections.abc import Mapping
from typing import Final

from openclawd.config.settings import GatewaySettings
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.port_holder import port_holder
from openclawd.daemon.refusal import StartRefused

# A restart of many clients arrives in one burst; the kernel cuts it to somaxconn.
BACKLOG: Final = 4096
# A laptop that was closed, a phone out of reach: the kernel asks after a minute of silence (s), and lets
# nothing wait for an answer longer than a minute and a half (ms), where it knows how (tcp(7)).
KEEPALIVE: Final[Mapping[str, int]] = {
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 90_000,
}
# ip(7), ip_unprivileged_port_start: what only root may listen on.
_LAST_PRIVILEGED_PORT: Final = 1023
# RFC 6598, which Tailscale hands its addresses from.
_TAILNET: Final = ipaddress.ip_network("100.64.0.0/10")
_ANY: Final = "0.0.0.0"
# Never contacted: connecting a datagram socket to it only asks the kernel for a route.
_TAILNET_RESOLVER: Final = "100.100.100.100"
# RFC 5737, for documentation: nobody is there, and the way to it is the one to everywhere.
_ELSEWHERE: Final = "192.0.2.1"


def bind_tcp(settings: GatewaySettings) -> list[socket.socket]:
    """Listen where `settings` say. Raises StartRefused: 75 for a busy port, 78 for an address that is not
    ours.
    """
    hosts = _hosts(settings)
    try:
        first = _listen(hosts[0], settings.port)
    except OSError as error:
        raise _refused(hosts[0], settings.port, error) from None
    port = first.getsockname()[1]
    bound = [first]
    for host in hosts[1:]:
        try:
            bound.append(_listen(host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                first.close()
                raise _refused(host, port, error) from None
            # No IPv6 on this machine: the first address is enough.
    return bound


def probe_tcp(settings: GatewaySettings) -> None:
    """Raises StartRefused as `bind_tcp` would, but for a busy port, which may be our own."""
    host = _hosts(settings)[0]
    port = settings.port if settings.port <= _LAST_PRIVILEGED_PORT else 0
    try:
        with _socket_for(host) as probe:
            probe.bind((host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
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
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _listen(host: str, port: int) -> socket.socket:
    tcp = _socket_for(host)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _give_up_on_the_lost(tcp)
        if tcp.family == socket.AF_INET6:
            tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tcp.bind((host, port))
        tcp.listen(BACKLOG)
    except OSError:
        tcp.close()
        raise
    return tcp


def _give_up_on_the_lost(tcp: socket.socket) -> None:
    """Let the kernel end a connection whose peer is gone; what is accepted inherits it (tcp(7))."""
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        option = getattr(socket, name, None)
        if option is not None:
            tcp.setsockopt(socket.IPPROTO_TCP, option, value)


def _refused(host: str, port: int, error: OSError) -> StartRefused:
    match error.errno:
        case errno.EADDRINUSE:
            holder = port_holder(port)
            by = f" by {holder}" if holder else ""
            return StartRefused(
                ExitCode.BUSY,
                f"Port {port} on {host} is in use{by}.\n"
                "Stop that process, or choose another port: openclawd gateway --port N",
            )
        case errno.EADDRNOTAVAIL:
            return StartRefused(
                ExitCode.CONFIG,
                f"gateway.customBindHost: {host} is not an address of this machine.\n"
                "See its addresses with: ip address",
            )
        case errno.EACCES:
            return StartRefused(
                ExitCode.CONFIG,
                f"Port {port} on {host} needs privileges that this process does not have.\n"
                "Choose one above 1023: openclawd gateway --port N",
            )
        case _:
            return StartRefused(ExitCode.CONFIG, f"Cannot listen on {host} port {port}: {error.strerror}.")
