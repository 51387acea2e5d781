"""The limiter: what wrong guesses cost, and whom.

A wrong secret costs one try of the source that presented it, and one of everybody's; a try comes back after
a while. Each try that is still out makes the next answer later, right or wrong alike, up to five seconds;
when none is left, what could be guessed is refused unexamined, which costs nothing and prolongs nothing.
Who presents what he has presented before has learnt nothing, so he pays nothing: a page that keeps coming
back with yesterday's token is one failure, however often it comes. But each answer that is held back keeps
a connection waiting, so a source has a few of those at once, and is refused unexamined beyond that. Who
tries with the signature of a paired device is charged to that device alone, so that no stranger can slow an
owner who comes back.

What cannot be guessed (a strong token, a device token with its device's signature) is for the caller to
admit without asking here. Nothing here does I/O; the clock is a parameter, in milliseconds of wall time, so
that the state means the same after a restart. A clock that goes back holds nobody back: what is out comes
back from then on, and an answer that seems to be due in an hour is due now.

The table is bounded: beyond `BUCKETS_MAX` the source that has been silent longest is forgotten. That gives a
guesser with that many addresses their tries back, but none of those of everybody; and as only a charge makes
a row, nobody brings in rows faster than everybody's tries come back.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Final

from openclawd.auth.bucket import MAX_DELAY_MS, Bucket, Standing
from openclawd.auth.tries import POOLS, BucketRow, Kind, LimitRules, Outcome, Source, Verdict

# Some hundred bytes each; a household has a dozen.
BUCKETS_MAX: Final = 4_096
# A client that was left running with an old token over the weekend is still one failure.
FORGOTTEN_AFTER_MS: Final = 72 * 3_600_000
# Everybody together may be wrong this many times as often as one source.
EVERYBODY_FACTOR: Final = 10
# Of one source; more than the tries it has at once.
DIGESTS_KEPT: Final = 32
_DIGEST_BYTES: Final = 16


_KINDS: Final = frozenset(kind.value for kind in Kind)
_Key = tuple[str, Kind]


class Limiter:
    """The table. `secret_key` keys the digests; with another one, stored digests match nothing."""

    def __init__(self, rules: LimitRules, *, secret_key: bytes) -> None:
        self._rules = rules
        self._secret_key = secret_key
        # The longest silent first.
        self._buckets: dict[_Key, Bucket] = {}
        self._changed: dict[_Key, None] = {}
        self.verdicts: Counter[tuple[Kind, Outcome]] = Counter()
        self.delayed: Counter[Kind] = Counter()

    @property
    def rules(self) -> LimitRules:
        """How many tries there are."""
        return self._rules

    def change_rules(self, rules: LimitRules, now_ms: int) -> None:
        """From now on; tries that are out stay out."""
        self._rules = rules
        for key, bucket in self._buckets.items():
            self._settle(key, bucket, now_ms)
            bucket.measure(*self._measure(key[0], is_loopback=bucket.is_loopback))
            self._changed[key] = None

    def charge(self, source: Source, kind: Kind, presented: str, wanted: str, now_ms: int) -> Verdict:
        """One try at `wanted` (the configured secret: a changed one is another guess) with `presented`."""
        verdict = self._charge(source, kind, presented, wanted, now_ms)
        self.verdicts[kind, verdict.outcome] += 1
        self.delayed[kind] += verdict.delay_ms > 0
        return verdict

    def _charge(self, source: Source, kind: Kind, presented: str, wanted: str, now_ms: int) -> Verdict:
        digest = self._digest(presented, wanted)
        bucket = self._settled(source.key, kind, now_ms, is_loopback=source.is_loopback)
        if bucket is not None and (crowded_ms := bucket.crowded_ms(now_ms)):
            retry_after_ms = max(crowded_ms, bucket.retry_after_ms)
            return Verdict(Outcome.EMPTY, retry_after_ms=retry_after_ms, empty=source.key)
        if bucket is not None and (due := bucket.due_ms.pop(digest, None)) is not None:
            # Kept as the latest, so that a client that keeps coming back is the last to be forgotten.
            bucket.due_ms[digest] = due
            self._note(source.key, kind)
            return Verdict(Outcome.KNOWN, delay_ms=bucket.hold(due, now_ms))
        pool = None if source.alone else self._settled(source.pool, kind, now_ms)
        own_ms = bucket.retry_after_ms if bucket is not None else 0
        pool_ms = pool.retry_after_ms if pool is not None else 0
        if own_ms or pool_ms:
            empty = source.key if own_ms >= pool_ms else source.pool
            return Verdict(Outcome.EMPTY, retry_after_ms=max(own_ms, pool_ms), empty=empty)
        if bucket is None:
            bucket = self._made(source.key, kind, now_ms, is_loopback=source.is_loopback)
        delay_ms = bucket.hold(now_ms + bucket.delay_ms, now_ms)
        bucket.spent += 1
        bucket.due_ms[digest] = now_ms + delay_ms
        if len(bucket.due_ms) > DIGESTS_KEPT:
            del bucket.due_ms[next(iter(bucket.due_ms))]
        self._note(source.key, kind)
        if not source.alone:
            pool = pool or self._made(source.pool, kind, now_ms)
            pool.spent += 1
            self._note(source.pool, kind)
        return Verdict(Outcome.EXAMINE, delay_ms=delay_ms)

    def refund(self, source: Source, kind: Kind, presented: str, wanted: str, now_ms: int) -> None:
        """The try was right."""
        bucket = self._settled(source.key, kind, now_ms, is_loopback=source.is_loopback)
        if bucket is None or bucket.due_ms.pop(self._digest(presented, wanted), None) is None:
            return
        self._give_back(source.key, kind, bucket)
        pool = None if source.alone else self._settled(source.pool, kind, now_ms)
        if pool is not None:
            self._give_back(source.pool, kind, pool)

    def clear(self, source: str | None = None) -> int:
        """Forget what `source` (every source) has tried; how many buckets that were."""
        gone = [key for key in self._buckets if source is None or key[0] == source]
        for key in gone:
            self._drop(key)
        return len(gone)

    def rows(self, now_ms: int) -> tuple[BucketRow, ...]:
        """Every bucket that has tries out or remembers a secret, the latest first."""
        self._forget(now_ms)
        for key, bucket in self._buckets.items():
            self._settle(key, bucket, now_ms)
        rows = [_row(key, bucket) for key, bucket in self._buckets.items() if bucket.spent or bucket.due_ms]
        return tuple(reversed(rows))

    def retry_after_ms(self, row: BucketRow) -> int:
        """When the source of a row that was just read may try again; 0 at once."""
        bucket = self._buckets.get((row.source, Kind(row.kind)))
        return bucket.retry_after_ms if bucket is not None else 0

    def standing(self, row: BucketRow) -> Standing:
        """How the source of a row that was just read stands."""
        return self._buckets[row.source, Kind(row.kind)].standing

    def load(self, rows: Iterable[BucketRow], now_ms: int) -> None:
        """What was stored, in any order; of a kind that is unknown here, nothing. What has been silent for
        too long is among the next changes, to be deleted.
        """
        for row in sorted(rows, key=lambda row: row.seen_at_ms):
            if row.kind not in _KINDS:
                continue
            kind = Kind(row.kind)
            if now_ms - row.seen_at_ms > FORGOTTEN_AFTER_MS:
                self._note(row.source, kind)
                continue
            if row.updated_at_ms > now_ms:
                self._note(row.source, kind)
            is_loopback = _is_program(row.source)
            capacity, interval_ms = self._measure(row.source, is_loopback=is_loopback)
            self._buckets[row.source, kind] = Bucket(
                interval_ms=interval_ms,
                capacity=capacity,
                is_loopback=is_loopback,
                # Not even a damaged row holds anybody back for longer than a full bucket does.
                spent=min(row.spent, capacity) if row.spent > 0 else 0.0,
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

    def _settled(self, source: str, kind: Kind, now_ms: int, *, is_loopback: bool = False) -> Bucket | None:
        """The source's bucket as it is now, moved to the latest; None when it has none."""
        bucket = self._buckets.pop((source, kind), None)
        if bucket is None:
            return None
        bucket.is_loopback = is_loopback
        bucket.measure(*self._measure(source, is_loopback=is_loopback))
        self._settle((source, kind), bucket, now_ms)
        bucket.seen_at_ms = now_ms
        self._buckets[source, kind] = bucket
        return bucket

    def _made(self, source: str, kind: Kind, now_ms: int, *, is_loopback: bool = False) -> Bucket:
        capacity, interval_ms = self._measure(source, is_loopback=is_loopback)
        bucket = Bucket(interval_ms, capacity, is_loopback, updated_at_ms=now_ms, seen_at_ms=now_ms)
        self._buckets[source, kind] = bucket
        self._forget(now_ms)
        self._make_room()
        return bucket

    def _settle(self, key: _Key, bucket: Bucket, now_ms: int) -> None:
        if bucket.updated_at_ms > now_ms:
            # The clock went back: what comes back from now on must not be lost at the next start.
            self._changed[key] = None
        bucket.settle(now_ms)

    def _give_back(self, source: str, kind: Kind, bucket: Bucket) -> None:
        bucket.spent = max(0.0, bucket.spent - 1)
        self._note(source, kind)
        if not bucket.spent and not bucket.due_ms:
            self._drop((source, kind))

    def _measure(self, source: str, *, is_loopback: bool) -> tuple[int, float]:
        """Capacity and milliseconds a try."""
        rules = self._rules
        interval_ms = rules.refill_ms / rules.tries
        if source in POOLS:
            return rules.tries * EVERYBODY_FACTOR, interval_ms / EVERYBODY_FACTOR
        if is_loopback and rules.exempt_loopback:
            interval_ms = min(interval_ms, MAX_DELAY_MS)
        return rules.tries, interval_ms

    def _forget(self, now_ms: int) -> None:
        """Those that have been silent for too long."""
        while self._buckets:
            key, bucket = next(iter(self._buckets.items()))
            if now_ms - bucket.seen_at_ms <= FORGOTTEN_AFTER_MS:
                return
            self._drop(key)

    def _make_room(self) -> None:
        while len(self._buckets) > BUCKETS_MAX:
            self._drop(next(key for key in self._buckets if key[0] not in POOLS))

    def _drop(self, key: _Key) -> None:
        del self._buckets[key]
        self._changed[key] = None

    def _note(self, source: str, kind: Kind) -> None:
        self._changed[source, kind] = None

    def _digest(self, presented: str, wanted: str) -> bytes:
        keyed = hashlib.blake2b(key=self._secret_key, digest_size=_DIGEST_BYTES)
        for text in (wanted, presented):
            encoded = text.encode("utf-8", "surrogatepass")
            keyed.update(len(encoded).to_bytes(8, "big") + encoded)
        return keyed.digest()


def _is_program(source: str) -> bool:
    """Whether a stored row is that of a program on this machine."""
    return source.startswith(("127.", "uid:")) or source == "::1"


def _row(key: _Key, bucket: Bucket) -> BucketRow:
    source, kind = key
    return BucketRow(
        source=source,
        kind=kind.value,
        spent=bucket.spent,
        updated_at_ms=bucket.updated_at_ms,
        seen_at_ms=bucket.seen_at_ms,
        digests=tuple(bucket.due_ms),
    )
