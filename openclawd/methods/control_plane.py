"""What holds for the methods that change the gateway itself: how often they may be called, and when not."""

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from openclawd.methods.method import Call
from openclawd.protocol.errors import unavailable

# As in stock (protocol: common method errors).
MAX_CALLS: Final = 3
WINDOW_MS: Final = 60_000
# A restart is over in less; who asks then is answered by the next generation.
RETRY_AFTER_MS: Final = 1_000
_LEAVING: Final = frozenset({"draining", "handing over", "stopping"})


class ControlPlane:
    """Counts the calls of each caller, whichever of the methods they call."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._calls: dict[str, deque[int]] = {}

    def admit(self, call: Call, method: str) -> None:
        """Count one call. Raises RequestError for one too many, and while the gateway is being restarted."""
        refuse_while_leaving(call, method)
        now = self._now_ms()
        for caller, times in [*self._calls.items()]:
            while times and now - times[0] >= WINDOW_MS:
                times.popleft()
            if not times:
                del self._calls[caller]
        times = self._calls.setdefault(call.caller.device_id or call.caller.connection_id, deque())
        if len(times) >= MAX_CALLS:
            wait_ms = times[0] + WINDOW_MS - now
            raise unavailable(
                f"rate limit exceeded for {method}; retry after {math.ceil(wait_ms / 1000)}s",
                retryable=True,
                retry_after_ms=wait_ms,
                method=method,
                limit=f"{MAX_CALLS} per {WINDOW_MS // 1000}s",
            )
        times.append(now)


def refuse_while_leaving(call: Call, method: str) -> None:
    """Raises RequestError while the gateway is on its way out: the next generation is to be asked."""
    phase = call.services.restart.lifecycle()
    if phase in _LEAVING:
        raise unavailable(
            f"{method} unavailable during gateway restart",
            retryable=True,
            retry_after_ms=RETRY_AFTER_MS,
            method=method,
            reason="gateway-restarting",
            phase=phase,
        )
