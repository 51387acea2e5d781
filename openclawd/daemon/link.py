"""The link to the chat: an address that leads to where the gateway listens, and the token for the page."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from openclawd.config.secret import Secret

LOOPBACK: Final = "127.0.0.1"
# Listening on every address includes this machine's own, which everybody on it can reach (ip(7), ipv6(7)).
_WILDCARDS: Final[Mapping[str, str]] = {"0.0.0.0": LOOPBACK, "::": "::1"}


def reachable(host: str) -> str:
    """The address to connect to for what listens on `host`."""
    return _WILDCARDS.get(host, host)


def bracketed(host: str) -> str:
    """The host as it stands in a URL (RFC 3986 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def page_url(host: str, port: int, base_path: str, *, tls: bool = False) -> str:
    """Where the page is, for a browser on this machine."""
    scheme = "https" if tls else "http"
    return f"{scheme}://{bracketed(reachable(host))}:{port}{base_path}/"


def fragment(token: Secret) -> str:
    """What the page takes its token from; a browser sends it to no server."""
    return f"#token={quote(token.reveal(), safe='')}"
