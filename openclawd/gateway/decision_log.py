"""The log's lines about strangers: one a decision, and a count where somebody knocks for ever.

Who gets in is always told. Who does not is told line by line as far as a person would read that: so many
lines a minute of one kind from one address, and so many altogether. What goes beyond is counted, and told as
one line every ten seconds, so that no flood drives what an owner looks for out of the log. Programs on this
machine and paired devices have lines of their own, which nobody else can use up.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from openclawd.auth.decisions import Admitted, Facts, Refused

_MINUTE_S: Final = 60.0
# Of one kind from one address.
LINES_OF_KIND_MAX: Final = 30
# Of all strangers: at once, and for as long as it lasts, some 15 KB a minute then.
LINES_MAX: Final = 300
LINES_A_MINUTE: Final = 20
UNTOLD_EVERY_S: Final = 10.0
# As many addresses are counted one by one.
ADDRESSES_MAX: Final = 1_000

_log = logging.getLogger("openclawd.admission")


@attrs.define(eq=False, repr=False)
class _Lines:
    """What may still be written."""

    now_s: float
    left: float = LINES_MAX
    since_s: float = attrs.field(init=False)
    told: Counter[tuple[str, str]] = attrs.Factory(Counter)

    def __attrs_post_init__(self) -> None:
        self.since_s = self.now_s

    def take(self, kind: tuple[str, str], now_s: float) -> bool:
        """Whether one more of that kind may be."""
        self.left = min(LINES_MAX, self.left + (now_s - self.now_s) * LINES_A_MINUTE / _MINUTE_S)
        self.now_s = now_s
        if now_s - self.since_s >= _MINUTE_S:
            self.since_s = now_s
            self.told.clear()
        if self.left < 1 or self.told[kind] >= LINES_OF_KIND_MAX:
            return False
        self.left -= 1
        self.told[kind] += 1
        return True


@attrs.define(eq=False, repr=False)
class _Untold:
    """What was not written one by one."""

    since_s: float
    count: int = 0
    reasons: Counter[str] = attrs.Factory(Counter)
    addresses: set[str] = attrs.Factory(set)

    def add(self, reason: str, address: str) -> None:
        self.count += 1
        self.reasons[reason] += 1
        if len(self.addresses) < ADDRESSES_MAX:
            self.addresses.add(address)


class DecisionLog:
    """Writes them; `now_s` is a clock that does not jump."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        # By whether they are for programs on this machine and for paired devices.
        self._lines = {known: _Lines(now_s()) for known in (False, True)}
        self._untold: _Untold | None = None

    def decided(self, connection_id: str, decision: Admitted | Refused) -> bool:
        """A decision has fallen, and whom it is about is told of it; whether it has a line of its own."""
        if isinstance(decision, Admitted):
            self._tell_untold(self._now_s())
            _log.info("admitted", extra={"fields": {"conn": connection_id, **decision.log_fields()}})
            return True
        if not self._may_tell(decision.reason, decision.facts, is_paired=_is_paired(decision)):
            return False
        _log.info("refused", extra={"fields": {"conn": connection_id, **decision.log_fields()}})
        return True

    def left_before_connect(self, connection_id: str, facts: Facts, close_code: int) -> None:
        """Nobody asked for anything."""
        message = "left before connect"
        if self._may_tell(message, facts):
            fields = {"conn": connection_id, **facts.log_fields(), "closeCode": close_code}
            _log.info(message, extra={"fields": fields})

    def left_before_hello(self, connection_id: str, admitted: Admitted) -> None:
        """Somebody would have been let in."""
        message = "left before hello-ok"
        if self._may_tell(message, admitted.facts, is_paired=_is_paired(admitted)):
            _log.info(message, extra={"fields": {"conn": connection_id, **admitted.log_fields()}})

    def _may_tell(self, reason: str, facts: Facts, *, is_paired: bool = False) -> bool:
        now_s = self._now_s()
        may = self._lines[is_paired or facts.is_local].take((reason, facts.address), now_s)
        if not may:
            self._untold = self._untold or _Untold(now_s)
            self._untold.add(reason, facts.address)
        self._tell_untold(now_s)
        return may

    def _tell_untold(self, now_s: float) -> None:
        """What there is, if it is time for it: with the next decision then, whatever that is."""
        untold = self._untold
        if untold is None or now_s - untold.since_s < UNTOLD_EVERY_S:
            return
        self._untold = None
        fields: Mapping[str, object] = {
            "count": untold.count,
            "seconds": round(now_s - untold.since_s),
            "addresses": len(untold.addresses),
            "reasons": dict(untold.reasons.most_common()),
            "next": "openclawd gateway limits",
        }
        _log.warning("strangers not told one by one", extra={"fields": fields})


def _is_paired(decision: Admitted | Refused) -> bool:
    """Whether the limiter knew it for a paired device, by its signature."""
    return decision.charge is not None and decision.charge.source.alone
