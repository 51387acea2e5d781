"""What a single value of the file must be: no coercion, and the words for what was expected."""

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

_AGENT_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# `openssl x509 -fingerprint -sha256` begins with the second.
_FINGERPRINT_LABEL: Final = re.compile(r"^sha-?256(?: fingerprint)?\s*[:=]\s*", re.IGNORECASE)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DAY_TIMES: Final = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII)
# Stock's, for an id that has no letter which may stand in one.
_DEFAULT_AGENT_ID: Final = "main"
# No count and no price comes near; a larger one is no exact number to a client any more.
_MAX_EXACT: Final = 2**53


class Unfit(Exception):
    """The value is not what it must be; the text completes "expected ..."."""


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit("true or false")
    return value


def integer(value: object, low: int, high: int | None = None) -> int:
    """JSON has one kind of number, so 18789.0 is an integer too."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < low
        or value > (_MAX_EXACT if high is None else high)
    ):
        raise Unfit(f"an integer of {low} or more" if high is None else f"an integer from {low} to {high}")
    return value


def port(value: object) -> int:
    return integer(value, 1, 65535)


def count(value: object) -> int:
    return integer(value, 1)


def span(value: object) -> int:
    return integer(value, 0, 300_000)


def kept(value: object) -> int:
    return integer(value, 0, 366)


def hours(value: object) -> int:
    return integer(value, 1, 8_760)


def day_times(value: object) -> str:
    """From one time of the day to another one; the same twice would be never, or always."""
    found = _DAY_TIMES.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[1] == found[2]:
        raise Unfit('two times of the day like "22:00-07:00"')
    return found[0]


def amount(value: object) -> float:
    # JSON5 has Infinity and NaN, and integers that no float holds.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_EXACT:
        raise Unfit("a number of 0 or more")
    return float(value)


def string(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit("a string")
    return value


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Unfit("a string that is not empty")
    return value


def http_url(value: object) -> str:
    if not isinstance(value, str) or not _is_http(value):
        raise Unfit("a URL like https://host/path")
    return value


def origin(value: object) -> str:
    """Lower case, as browsers send it."""
    if (
        not isinstance(value, str)
        or not _is_http(value)
        or not re.fullmatch(r"https?://[^/?#@]+/?", value, re.IGNORECASE)
    ):
        raise Unfit("an origin like https://host or https://host:8443")
    return value.lower().removesuffix("/")


def network(value: object) -> str:
    try:
        ipaddress.ip_network(string(value), strict=False)
    except (ValueError, Unfit):
        raise Unfit('an IP address or network like "10.0.0.1" or "10.0.0.0/8"') from None
    return string(value)


def address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(string(value)))
    except (ValueError, Unfit):
        raise Unfit('an IP address like "192.168.1.10"') from None


def fingerprint(value: object) -> str:
    """As openssl, browsers and stock write it: with colons or without, `sha256:` before it or not."""
    if isinstance(value, str):
        plain = _FINGERPRINT_LABEL.sub("", value.strip()).replace(":", "").lower()
        if _SHA256.fullmatch(plain):
            return plain
    raise Unfit("the SHA-256 fingerprint of a certificate, 64 hex digits")


def agent_id(value: object) -> str:
    """As it stands in every session key, and as stock makes it of any string: "Zoë's" is "zo-s"."""
    if not isinstance(value, str) or not value.strip():
        raise Unfit("an agent id, a string that is not empty")
    lower = value.strip().lower()
    if _AGENT_ID.fullmatch(lower):
        return lower
    return re.sub(r"[^a-z0-9_-]+", "-", lower).strip("-")[:64] or _DEFAULT_AGENT_ID


def _is_http(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
