"""Where `openclawd doctor` knocks: an address as a browser has it, and the connection to it."""

import ssl
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import attrs
import trio

from openclawd.auth.hosts import DEFAULT_PORTS, Origin, is_loopback
from openclawd.cli.failure import Failure
from openclawd.cli.pin import plain
from openclawd.daemon.certificate_files import fingerprint_of
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.link import bracketed

Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_SCHEMES: Final = {"http": False, "ws": False, "https": True, "wss": True}


@attrs.frozen
class Place:
    """A gateway's address as it stands in a browser; `path` ends in a slash where it is the page's."""

    host: str
    port: int
    tls: bool = False
    path: str = "/"

    @property
    def origin(self) -> str:
        """What a browser says of a page from there; also the Host header, behind its scheme."""
        return str(Origin("https" if self.tls else "http", self.host, self.port))

    @property
    def authority(self) -> str:
        """The Host header of a browser: the port is left out where it is the scheme's own."""
        return self.origin.partition("://")[2]

    @property
    def address(self) -> str:
        """For messages about the connection."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def is_secure(self) -> bool:
        """Whether a browser calls it a secure context."""
        return self.tls or is_loopback(self.host)


def place_of(url: str) -> Place:
    """Of `http(s)://` or `ws(s)://`, as people copy it from a browser or a config."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise Failure(f"--url {url}: expected an address like https://HOST:PORT/.", exit_code=ExitCode.USAGE)
    tls = _SCHEMES[parts.scheme]
    default = DEFAULT_PORTS["https" if tls else "http"]
    return Place(parts.hostname, port or default, tls, parts.path or "/")


@attrs.frozen(eq=False, repr=False)
class Trust:
    """How TLS is checked: by `context` (None: there is none), and by the `fingerprint` where one is given."""

    context: ssl.SSLContext | None = None
    fingerprint: str | None = None


class WrongCertificate(Exception):
    """Another certificate than the one that was expected; the text is its fingerprint."""


async def connected(place: Place, trust: Trust) -> Stream:
    """A connection. Raises OSError (ssl.SSLError among them) and WrongCertificate."""
    try:
        tcp = await trio.open_tcp_stream(place.host, place.port)
    except OSError as error:
        # trio wraps the failures of every address it tried.
        cause = error.__cause__
        only = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause
        if isinstance(only, OSError):
            raise only from None
        raise
    if trust.context is None:
        return tcp
    stream = trio.SSLStream(tcp, trust.context, server_hostname=place.host, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(tcp)
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise OSError("the connection was closed in the middle of the TLS handshake") from None
    if trust.fingerprint is not None and (shown := certificate_of(stream)) != trust.fingerprint:
        await trio.aclose_forcefully(tcp)
        raise WrongCertificate(shown)
    return stream


def certificate_of(stream: Stream) -> str:
    """The fingerprint of the certificate at the other end; empty where there is no TLS."""
    shown = stream.getpeercert(binary_form=True) if isinstance(stream, trio.SSLStream) else None
    return plain(fingerprint_of(shown)) if shown else ""
