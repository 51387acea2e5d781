"""What a program says of where its user is: the params of `system-event` (protocol.md 6.1).

Stock's apps send one line of text for people, `Node: host (ip) · app 1.0 · last input 3s ago · mode ui ·
reason connect`, and mostly the same as members beside it; members win over the line. What has another type
than stock's is left out, as stock does.
"""

import re
from collections.abc import Mapping
from typing import Final

import attrs

# Possessive throughout: a text may be as long as a message, and none of it is looked at twice.
# Texts, as `re` compiles and keeps what is used, and few gateways ever see such a line.
_LINE: Final = r"(?i)\s*+Node:\s*+(?P<host>[^(·\s]++(?:\s++[^(·\s]++)*+)\s*+(?:\((?P<ip>[^)]*+)\)\s*+)?+"
_LAST_INPUT: Final = r"(?i)(\d{1,9})\s*s ago"
_PARTS: Final = {"app": "version", "mode": "mode", "reason": "reason"}
_TEXTS: Final = (
    "host",
    "ip",
    "version",
    "platform",
    "deviceFamily",
    "modelIdentifier",
    "mode",
    "deviceId",
    "instanceId",
    "reason",
)
_LISTS: Final = ("roles", "scopes", "tags")
# Names of machines and reasons, not documents: the list goes to everybody, again and again.
MAX_CHARS: Final = 256
_MAX_ITEMS: Final = 32
# 31 years. JSON has numbers that no integer holds.
_MAX_SECONDS: Final = 999_999_999


@attrs.frozen(eq=False, repr=False)
class PresenceReport:
    """One entry of the presence list; `key` is the device's, else the instance's, else the host's name."""

    key: str
    wire: Mapping[str, object]


def is_presence_line(text: str) -> bool:
    """Whether the text is for the list of who is here, rather than for a model."""
    return re.match(_LINE, text) is not None


def presence_report(params: Mapping[str, object]) -> PresenceReport | None:
    """What `params` (with a `text`) say of a device; None when they name none."""
    text = str(params.get("text", "")).strip()
    wire = {**_line(text), **_members(params)}
    named = (wire.get(name) for name in ("deviceId", "instanceId", "host", "ip"))
    key = next((str(name) for name in named if name is not None), None)
    return PresenceReport(key, {**wire, "text": text[:MAX_CHARS]}) if key is not None else None


def _line(text: str) -> dict[str, object]:
    head, *parts = text.split("·")
    found = re.fullmatch(_LINE, head)
    if found is None:
        return {}
    wire: dict[str, object] = {"host": found["host"][:MAX_CHARS]}
    if found["ip"] and found["ip"].strip():
        wire["ip"] = found["ip"].strip()[:MAX_CHARS]
    for part in parts:
        name, _, said = part.strip().partition(" ")
        value = said.strip()
        seconds = re.fullmatch(_LAST_INPUT, value.removeprefix("input").strip())
        if name == "last" and seconds is not None:
            wire["lastInputSeconds"] = int(seconds[1])
        elif name in _PARTS and value:
            wire[_PARTS[name]] = value[:MAX_CHARS]
    return wire


def _members(params: Mapping[str, object]) -> dict[str, object]:
    wire: dict[str, object] = {}
    for name in _TEXTS:
        value = params.get(name)
        if isinstance(value, str) and value.strip():
            wire[name] = value.strip()[:MAX_CHARS]
    seconds = params.get("lastInputSeconds")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds <= _MAX_SECONDS:
        wire["lastInputSeconds"] = int(seconds)
    for name in _LISTS:
        items = params.get(name)
        if isinstance(items, list):
            wire[name] = [str(item)[:MAX_CHARS] for item in items if isinstance(item, str) and item][
                :_MAX_ITEMS
            ]
    return wire
