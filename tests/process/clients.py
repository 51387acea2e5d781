"""The clients that the battery plays, by what they say about themselves."""

from typing import Any, Final

READ_ONLY: Final = ("operator.read",)

BACKEND: Final[dict[str, Any]] = {
    "id": "gateway-client",
    "version": "1.0.0",
    "platform": "linux",
    "mode": "backend",
}
CLI: Final[dict[str, Any]] = {"id": "cli", "version": "dev", "platform": "linux", "mode": "cli"}
# Our own page, and a stock v3 page.
PAGE: Final[dict[str, Any]] = {
    "id": "openclaw-control-ui",
    "version": "0.1.0",
    "platform": "Linux x86_64",
    "mode": "ui",
}
STOCK_PAGE: Final[dict[str, Any]] = PAGE | {"version": "dev", "mode": "webchat"}
STOCK_PAGE_SCOPES: Final = ("operator.admin", "operator.approvals", "operator.pairing")
NODE: Final[dict[str, Any]] = {"id": "node-host", "version": "1.0.0", "platform": "linux", "mode": "node"}

# A proxy's word: whoever sends it from an untrusted address is not on this machine.
FROM_AFAR: Final = (("X-Forwarded-For", "203.0.113.7"),)


def origin(text: str) -> tuple[tuple[str, str]]:
    """The headers of a page of that origin."""
    return (("Origin", text),)
