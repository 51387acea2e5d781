"""The wire generations that this gateway speaks, and which of them a client gets."""

from typing import Final

V3: Final = 3
V4: Final = 4

# A client that only asks who is there may be newer than we are (v4 gateways answer such probes from v3 on).
PROBE_MODE: Final = "probe"


def negotiate(min_protocol: int, max_protocol: int, *, mode: str) -> int | None:
    """The highest version in both ranges (3 to 4 gives 4), or None when there is none."""
    if min_protocol > max_protocol:
        return None
    best = min(max_protocol, V4)
    if best < V3:
        return None
    return best if best >= min_protocol or mode == PROBE_MODE else None
