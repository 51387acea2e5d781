"""The listening sockets: which addresses a bind mode means, and what to say when one is not to be had."""

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import trio

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
# <sys/un.h> of macOS; Python has no names for them.
_SOL_LOCAL: Final = 0
_LOCAL_PEERCRED: Final = 1
# Never contacted: connecting a datagram socket to it only asks the kernel for a route.
_TAILNET_RESOLVER: Final = ("100.100.100.100", 53)


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


def listener(bound: socket.socket) -> trio.SocketListener:
    """The listener on a bound socket; needs a running event loop, as the sockets themselves do not."""
    return trio.SocketListener(trio.socket.from_stdlib_socket(bound))


def bind_unix(path: Path) -> socket.socket:
    """Listen at `path` for the owner's own processes. The state lock says that no other gateway uses it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.parent.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise StartRefused(
            ExitCode.CONFIG,
            f"{path.parent} must belong to you alone, as commands trust the socket in it.\n"
            f"Mend it with: chmod 700 {path.parent}",
        )
    path.unlink(missing_ok=True)
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unix.bind(str(path))
    path.chmod(0o600)
    unix.listen(BACKLOG)
    return unix


def peer_uid(peer: trio.socket.SocketType) -> int | None:
    """The user at the other end of a Unix socket (unix(7) SO_PEERCRED, getpeereid(3)); None for TCP."""
    if peer.family != socket.AF_UNIX:
        return None
    if hasattr(socket, "SO_PEERCRED"):
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
    # LOCAL_PEERCRED of the BSDs: struct xucred begins with a version and the user id.
    credentials = peer.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 64)
    return int(struct.unpack_from("II", credentials)[1])


def _hosts(settings: GatewaySettings) -> list[str]:
    match settings.bind:
        case "lan":
            return ["0.0.0.0"]
        case "custom" if settings.custom_bind_host is not None:
            return [settings.custom_bind_host]
        case "tailnet":
            return [tailnet_address() or "127.0.0.1"]
        case _:
            return ["127.0.0.1", "::1"]


def tailnet_address() -> str | None:
    """This machine's own address in its tailnet, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_TAILNET_RESOLVER)
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return address if ipaddress.ip_address(address) in _TAILNET else None


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
