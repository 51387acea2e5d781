"""Who tries what, by which rules, and what he may expect: the values of the limiter."""

from enum import Enum, StrEnum
from typing import Final

import attrs

EVERYBODY: Final = "*"
# Programs and pages on this machine have a pool of their own, which nobody elsewhere can empty.
EVERYBODY_HERE: Final = "*loopback"
POOLS: Final = frozenset((EVERYBODY, EVERYBODY_HERE))


class Kind(StrEnum):
    """What a source tries to guess; each kind has its own tries."""

    TOKEN = "token"  # noqa: S105  the kind's name
    PASSWORD = "password"  # noqa: S105
    DEVICE_TOKEN = "device-token"  # noqa: S105


@attrs.frozen
class LimitRules:
    """`tries` wrong secrets in a row, then one comes back every `refill_ms / tries`; both at least 1."""

    tries: int = attrs.field(default=10, validator=attrs.validators.ge(1))
    refill_ms: int = attrs.field(default=300_000, validator=attrs.validators.ge(1))
    exempt_loopback: bool = True
    """Programs on this machine get a try back at least every five seconds: slowed, never shut out."""


@attrs.frozen
class Source:
    """Who is charged. `key` is shown in the log; `is_loopback`: a program on this machine, not a page.
    `alone`: a paired device's own bucket; otherwise the tries of everybody in `pool` count, too.
    """

    key: str
    is_loopback: bool = False
    alone: bool = False
    pool: str = EVERYBODY


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
    """`delay_ms`: when the answer may be given, counted from now; `retry_after_ms`: when a try is back in the
    bucket of `empty`.
    """

    outcome: Outcome
    delay_ms: int = 0
    retry_after_ms: int = 0
    empty: str | None = None


@attrs.frozen
class BucketRow:
    """One bucket as it is stored. `digests` are keyed, and tell nobody what was presented."""

    source: str
    kind: str
    spent: float
    updated_at_ms: int
    seen_at_ms: int
    digests: tuple[bytes, ...]
