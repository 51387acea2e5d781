"""The limiter: what wrong guesses cost, and whom.

A wrong secret costs one try of the source that presented it, and one of everybody's; a try comes back after a
while. Each try that is still out makes the next answer later, right or wrong alike, up to five seconds; when
none is left, what could be guessed is refused unexamined, which costs nothing and prolongs nothing. Who
presents what he has presented before has learnt nothing, so he pays nothing: a page that keeps coming back
with yesterday's token is one failure, however often it comes. Who tries with the signature of a paired device
is charged to that device alone, so that no stranger can slow an owner who comes back.

What cannot be guessed (a strong token, a device token with its device's signature) is for the caller to
admit without asking here. Nothing here does I/O; the clock is a parameter, in milliseconds of wall time, so
that the state means the same after a restart. A clock that goes back costs nobody more than the tries already
out.

The table is bounded: beyond `BUCKETS_MAX` the source that has been silent longest is forgotten. That gives a
guesser with that many addresses their tries back, but none of those of everybody.
"""

import hashlib
import math
from collections.abc import Iterable
from enum import Enum, StrEnum
from typing import Final

import attrs

# Stock's figures: the second try waits a quarter of a second, the sixth and later ones five seconds.
FIRST_DELAY_MS: Final = 250
MAX_DELAY_MS: Final = 5_000
# Some hundred bytes each; a household has a dozen.
BUCKETS_MAX: Final = 4_096
# A client that was left running with an old token over the weekend is still one failure.
FORGOTTEN_AFTER_MS: Final = 72 * 3_600_000
# Everybody together may be wrong this many times as often as one source.
EVERYBODY_FACTOR: Final = 10
EVERYBODY: Final = "*"
# Of one source; more than the tries it has at once.
DIGESTS_KEPT: Final = 32
_DIGEST_BYTES: Final = 16


class Kind(StrEnum):
    """What a source tries to guess; each kind has its own tries."""

    TOKEN = "token"  # noqa: S105  the kind's name
    PASSWORD = "password"  # noqa: S105
    DEVICE_TOKEN = "device-token"  # noqa: S105


_KINDS: Final = frozenset(kind.value for kind in Kind)


@attrs.frozen
class LimitRules:
    """`tries` wrong secrets in a row, after which one comes back every `refill_ms / tries`."""

    tries: int = 10
    refill_ms: int = 300_000
    exempt_loopback: bool = True
    """Programs on this machine get a try back at least every five seconds: slowed, never shut out."""


@attrs.frozen
class Source:
    """Who is charged. `key` is shown in the log; `is_loopback`: a program on this machine, not a page.
    `alone`: a paired device's own bucket, in which everybody's tries do not count.
    """

    key: str
    is_loopback: bool = False
    alone: bool = False


class Outcome(Enum):
    """What a try may expect."""

    EXAMINE = "examine"
    """It was charged; `refund` gives it back when it was right."""
    KNOWN = "known"
    """The same wrong secret as before; nothing was charged."""
    EMPTY = "empty"
    """No try is left; refuse it unexamined."""


@attrs.frozen
class Verdict:
    """`delay_ms`: when the answer may be given, counted from now; `retry_after_ms`: when a try is back."""

    outcome: Outcome
    delay_ms: int = 0
    retry_after_ms: int = 0


@attrs.frozen
class BucketRow:
    """One bucket as it is stored. `digests` are keyed, and tell nobody what was presented."""

    source: str
    kind: str
    spent: float
    updated_at_ms: int
    seen_at_ms: int
    digests: tuple[bytes, ...]


@attrs.define(eq=False, repr=False)
class _Bucket:
    interval_ms: float
    capacity: int
    spent: float = 0.0
    updated_at_ms: int = 0
    seen_at_ms: int = 0
    # When the answer to each is due, so that asking again does not tell sooner.
    due_ms: dict[bytes, int] = attrs.Factory(dict)

    def settle(self, now_ms: int) -> None:
        """Give back what has come back by now."""
        elapsed = max(0, now_ms - self.updated_at_ms)
        self.spent = max(0.0, self.spent - elapsed / self.interval_ms)
        self.updated_at_ms = now_ms

    @property
    def retry_after_ms(self) -> int:
        """0 when a try is left."""
        return max(0, math.ceil((self.spent - (self.capacity - 1)) * self.interval_ms))

    @property
    def delay_ms(self) -> int:
        level = math.ceil(self.spent)
        return min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (level - 1)) if level else 0


_Key = tuple[str, Kind]


class Limiter:
    """The table. `secret_key` keys the digests; with another one, stored digests match nothing."""

    def __init__(self, rules: LimitRules, *, secret_key: bytes) -> None:
        self._rules = rules
        self._secret_key = secret_key
        # The longest silent first.
        self._buckets: dict[_Key, _Bucket] = {}
        self._changed: dict[_Key, None] = {}

    @property
    def rules(self) -> LimitRules:
        """How many tries there are."""
        return self._rules

    def change_rules(self, rules: LimitRules) -> None:
        """From now on; tries that are out stay out."""
        self._rules = rules
        for (source, _), bucket in self._buckets.items():
            bucket.capacity, bucket.interval_ms = self._measure(source, is_loopback=False)

    def charge(self, source: Source, kind: Kind, presented: str, wanted: str, now_ms: int) -> Verdict:
        """One try at `wanted` (the configured secret: a changed one is another guess) with `presented`."""
        digest = self._digest(presented, wanted)
        bucket = self._bucket(source, kind, now_ms)
        due = bucket.due_ms.get(digest)
        if due is not None:
            # Kept as the latest, so that a client that keeps coming back is the last to be forgotten.
            bucket.due_ms[digest] = bucket.due_ms.pop(digest)
            self._note(source.key, kind)
            return Verdict(Outcome.KNOWN, delay_ms=min(MAX_DELAY_MS, max(0, due - now_ms)))
        everybody = None if source.alone or source.is_loopback else self._everybody(kind, now_ms)
        retry_after_ms = max(bucket.retry_after_ms, everybody.retry_after_ms if everybody else 0)
        if retry_after_ms:
            return Verdict(Outcome.EMPTY, retry_after_ms=retry_after_ms)
        delay_ms = bucket.delay_ms
        bucket.spent += 1
        bucket.due_ms[digest] = now_ms + delay_ms
        if len(bucket.due_ms) > DIGESTS_KEPT:
            del bucket.due_ms[next(iter(bucket.due_ms))]
        if everybody is not None:
            everybody.spent += 1
            self._note(EVERYBODY, kind)
        self._note(source.key, kind)
        return Verdict(Outcome.EXAMINE, delay_ms=delay_ms)

    def refund(self, source: Source, kind: Kind, presented: str, wanted: str, now_ms: int) -> None:
        """The try was right."""
        bucket = self._bucket(source, kind, now_ms)
        if bucket.due_ms.pop(self._digest(presented, wanted), None) is None:
            return
        bucket.spent = max(0.0, bucket.spent - 1)
        self._note(source.key, kind)
        if not (source.alone or source.is_loopback):
            everybody = self._everybody(kind, now_ms)
            everybody.spent = max(0.0, everybody.spent - 1)
            self._note(EVERYBODY, kind)

    def clear(self, source: str | None = None) -> int:
        """Forget what `source` (every source) has tried; how many buckets that were."""
        gone = [key for key in self._buckets if source is None or key[0] == source]
        for key in gone:
            del self._buckets[key]
            self._changed[key] = None
        return len(gone)

    def rows(self, now_ms: int) -> tuple[BucketRow, ...]:
        """Every bucket that has tries out or remembers a secret, the latest first."""
        for bucket in self._buckets.values():
            bucket.settle(now_ms)
        rows = [_row(key, bucket) for key, bucket in self._buckets.items() if bucket.spent or bucket.due_ms]
        return tuple(reversed(rows))

    def retry_after_ms(self, row: BucketRow) -> int:
        """When the source of a row that was just read may try again; 0 at once."""
        bucket = self._buckets.get((row.source, Kind(row.kind)))
        return bucket.retry_after_ms if bucket is not None else 0

    def load(self, rows: Iterable[BucketRow], now_ms: int) -> None:
        """What was stored, in any order; of a kind that is unknown here, nothing."""
        for row in sorted(rows, key=lambda row: row.seen_at_ms):
            if row.kind not in _KINDS or now_ms - row.seen_at_ms > FORGOTTEN_AFTER_MS:
                continue
            capacity, interval_ms = self._measure(row.source, is_loopback=False)
            self._buckets[row.source, Kind(row.kind)] = _Bucket(
                interval_ms=interval_ms,
                capacity=capacity,
                spent=row.spent,
                # A clock that was ahead when this was written must not hold the tries back now.
                updated_at_ms=min(row.updated_at_ms, now_ms),
                seen_at_ms=min(row.seen_at_ms, now_ms),
                due_ms=dict.fromkeys(row.digests[-DIGESTS_KEPT:], 0),
            )
        self._make_room()

    def take_changes(self) -> tuple[tuple[BucketRow, ...], tuple[tuple[str, str], ...]]:
        """What has changed since the last call: rows to store, and (source, kind) to delete."""
        changed, self._changed = self._changed, {}
        rows = tuple(_row(key, self._buckets[key]) for key in changed if key in self._buckets)
        gone = tuple((source, kind.value) for source, kind in changed if (source, kind) not in self._buckets)
        return rows, gone

    @property
    def has_changes(self) -> bool:
        """Whether `take_changes` would give anything."""
        return bool(self._changed)

    def _bucket(self, source: Source, kind: Kind, now_ms: int) -> _Bucket:
        """The source's bucket as it is now, moved to the latest."""
        key = (source.key, kind)
        bucket = self._buckets.pop(key, None)
        capacity, interval_ms = self._measure(source.key, is_loopback=source.is_loopback)
        if bucket is None:
            bucket = _Bucket(interval_ms, capacity, updated_at_ms=now_ms)
        bucket.interval_ms, bucket.capacity = interval_ms, capacity
        bucket.settle(now_ms)
        bucket.seen_at_ms = now_ms
        self._buckets[key] = bucket
        self._make_room()
        return bucket

    def _everybody(self, kind: Kind, now_ms: int) -> _Bucket:
        return self._bucket(Source(EVERYBODY), kind, now_ms)

    def _measure(self, source: str, *, is_loopback: bool) -> tuple[int, float]:
        """Capacity and milliseconds a try."""
        rules = self._rules
        interval_ms = rules.refill_ms / rules.tries
        if source == EVERYBODY:
            return rules.tries * EVERYBODY_FACTOR, interval_ms / EVERYBODY_FACTOR
        if is_loopback and rules.exempt_loopback:
            interval_ms = min(interval_ms, MAX_DELAY_MS)
        return rules.tries, interval_ms

    def _make_room(self) -> None:
        while len(self._buckets) > BUCKETS_MAX:
            # Everybody's is touched with each charge, so it is never the longest silent.
            oldest = next(iter(self._buckets))
            del self._buckets[oldest]
            self._changed[oldest] = None

    def _note(self, source: str, kind: Kind) -> None:
        self._changed[source, kind] = None

    def _digest(self, presented: str, wanted: str) -> bytes:
        keyed = hashlib.blake2b(key=self._secret_key, digest_size=_DIGEST_BYTES)
        for text in (wanted, presented):
            encoded = text.encode("utf-8", "surrogatepass")
            keyed.update(len(encoded).to_bytes(8, "big") + encoded)
        return keyed.digest()


def _row(key: _Key, bucket: _Bucket) -> BucketRow:
    source, kind = key
    return BucketRow(
        source=source,
        kind=kind.value,
        spent=bucket.spent,
        updated_at_ms=bucket.updated_at_ms,
        seen_at_ms=bucket.seen_at_ms,
        digests=tuple(bucket.due_ms),
    )
