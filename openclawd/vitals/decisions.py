"""What admission decided lately, and how often it decided what.

The ring is what `gateway.admissions` answers and what `openclawd doctor` shows: the fields of the log line of
each decision that has one, so that who was refused can be told why without a look into the log, and no flood
drives him out of it. The counters are for
`/metrics`; their labels are the machine's words for a reason and a credential, of which there are few.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

import attrs

from openclawd.auth.decisions import Admitted, Refused

# A page that was refused comes back every fifteen seconds: the last hour of it, or everybody of one storm.
DECISIONS_KEPT: Final = 256


@attrs.frozen
class Kind:
    """One sort of decision: `credential` is what let the client in, or what it presented in vain."""

    outcome: str
    reason: str
    credential: str


class Decisions:
    """The last decisions, and the count of all since the start."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._latest: deque[Mapping[str, object]] = deque(maxlen=DECISIONS_KEPT)
        self.counts: Counter[Kind] = Counter()

    def decided(self, connection_id: str, decision: Admitted | Refused, told: bool) -> None:
        """A decision has fallen; `told`: the log has a line of its own for it, and the ring keeps that. Never
        more: a decision itself may hold a secret.
        """
        if isinstance(decision, Admitted):
            kind = Kind("admitted", "", decision.credential)
        else:
            kind = Kind("refused", decision.reason, decision.presented)
        self.counts[kind] += 1
        if not told:
            return
        said = {"ts": self._now_ms(), "outcome": kind.outcome, "conn": connection_id, **decision.log_fields()}
        self._latest.append(said)

    def latest(self, limit: int = DECISIONS_KEPT) -> list[Mapping[str, object]]:
        """The last ones, newest first: `{ts, outcome, conn, ...}` with the fields of the log line."""
        return list(islice(reversed(self._latest), limit))
