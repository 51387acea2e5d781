"""What a guess cost, and the counter where one attempt pays."""

from collections.abc import Callable

import attrs

from openclawd.auth.limiter import Limiter
from openclawd.auth.tries import Kind, Outcome, Source, Verdict


@attrs.frozen(eq=False, repr=False)
class Charge:
    """What the limiter said to one try of one source."""

    source: Source
    kind: Kind
    verdict: Verdict

    @property
    def is_refused(self) -> bool:
        """Whether the secret must not be examined at all."""
        return self.verdict.outcome is Outcome.EMPTY

    @property
    def is_examined(self) -> bool:
        """Whether it may be compared: it is none that has been wrong before."""
        return self.verdict.outcome is Outcome.EXAMINE

    def log_fields(self) -> dict[str, object]:
        """Who pays, which of his buckets, how long the answer waits; `repeated` when nothing was learnt,
        `empty` for whose tries there is nothing left to examine.
        """
        fields: dict[str, object] = {
            "source": self.source.key,
            "limit": self.kind.value,
            "delayMs": self.verdict.delay_ms,
        }
        if self.verdict.outcome is Outcome.KNOWN:
            fields["repeated"] = True
        if self.verdict.empty is not None:
            fields["empty"] = self.verdict.empty
        return fields


@attrs.frozen(eq=False, repr=False)
class Till:
    """The limiter as one attempt sees it: who pays, and when."""

    limiter: Limiter
    source: Callable[[], Source]
    now_ms: int

    def charge(self, kind: Kind, presented: str, wanted: str) -> Charge:
        """One try at `wanted` with `presented`."""
        source = self.source()
        return Charge(source, kind, self.limiter.charge(source, kind, presented, wanted, self.now_ms))

    def refund(self, charge: Charge, presented: str, wanted: str) -> None:
        """The try was right."""
        self.limiter.refund(charge.source, charge.kind, presented, wanted, self.now_ms)
