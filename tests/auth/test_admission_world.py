"""A small world before the door: an owner, a friend, guessers, a page that lost its token, restarts.

Whatever they do in whatever order: the owner is never kept out for long, no guesser gets more guesses than
its budget, and who shows nothing changes nothing. Limiter, devices and stores are the real ones.
"""

import hashlib
from collections import Counter
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from openclawd.auth.admission import Admission
from openclawd.auth.case import Attempt
from openclawd.auth.decisions import Admitted, Refused
from openclawd.auth.devices import Devices
from openclawd.auth.holders import Holder
from openclawd.auth.limiter import EVERYBODY_FACTOR, FORGOTTEN_AFTER_MS, Limiter
from openclawd.auth.locality import Peer
from openclawd.auth.pairing import PairingAsk
from openclawd.auth.policy import Policy
from openclawd.auth.sources import device_source, source_of
from openclawd.auth.tries import EVERYBODY, EVERYBODY_HERE, BucketRow, LimitRules, Source
from openclawd.protocol.frames import Request
from tests.auth.clients import (
    NONCE,
    NOW,
    PASSWORD,
    PASSWORD_POLICY,
    TOKEN,
    TOKEN_POLICY,
    WEAK_POLICY,
    WEAK_TOKEN,
    Device,
    connect,
)
from tests.auth.memory_store import MemoryStore

T = TypeVar("T")

READ: Final = ("operator.read",)
PROGRAM_OF_A_PAGE: Final = {"id": "test", "version": "1", "platform": "linux", "mode": "test"}

LONGEST_ANSWER_MS: Final = 5_000
ADMINISTRATOR: Final = Holder(("operator.admin",))

HOME: Final = Peer("127.0.0.1", 1, "127.0.0.1:18789")
PHONE: Final = Peer("192.168.1.20", 1, "192.168.1.5:18789")
STALE_PAGE: Final = Peer("127.0.0.1", 1, "localhost:18789", "http://localhost:18789")
# Where guessers sit: also at the owner's own addresses, behind his proxy, and in one network of IPv6.
GUESSERS: Final = (
    PHONE,
    HOME,
    Peer("127.0.0.1", 1, "localhost:5173", "http://localhost:5173"),
    Peer("127.9.9.9", 1, "localhost:18789"),
    Peer("127.0.0.1", 1, "claw.example.com", forwarded_for="127.0.0.1", forwarded=True),
    Peer("2001:db8::1", 1, "[2001:db8::5]:18789"),
    Peer("2001:db8::2", 1, "[2001:db8::5]:18789"),
    *(Peer(f"198.51.100.{number}", 1, "claw.example.com") for number in range(20)),
)
POLICIES: Final = (
    (WEAK_POLICY, "token", WEAK_TOKEN),
    (PASSWORD_POLICY, "password", PASSWORD),
    (TOKEN_POLICY, "token", TOKEN),
)


class Unlocked(AbstractAsyncContextManager[None]):
    """Nothing here happens at the same time."""

    async def __aexit__(self, *_: object) -> None:
        return


def done(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return stopped.value  # type: ignore[no-any-return]
    raise AssertionError("it waits")


def device(name: str) -> Device:
    return Device(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


OWNERS, FRIENDS, STRANGERS = device("owner"), device("friend"), device("stranger")


class World(RuleBasedStateMachine):
    """Times are in milliseconds; `passed` counts only time that went ahead."""

    policy: Policy
    kind: str
    secret: str
    limits: LimitRules

    def __init__(self) -> None:
        super().__init__()
        self.now, self.passed, self.drawn = NOW, 0, 0
        self.store = MemoryStore()
        self.stored: dict[tuple[str, str], BucketRow] = {}
        self.examined: Counter[str] = Counter()
        self.token: str | None = None
        self.typos = 0
        self.may_be_news, self.stale_seen_ms = True, NOW

    @initialize(
        setting=st.sampled_from(POLICIES),
        rules=st.builds(
            LimitRules,
            tries=st.integers(1, 12),
            refill_ms=st.integers(10_000, 600_000),
            exempt_loopback=st.booleans(),
        ),
    )
    def open(self, setting: tuple[Policy, str, str], rules: LimitRules) -> None:
        self.policy, self.kind, self.secret = setting
        self.limits = rules
        self.start()
        for who in (OWNERS, FRIENDS):
            ask = PairingAsk(who.id, who.public_key, "gateway-client", "backend", "operator", READ)
            done(self.devices.pair(ask))

    def start(self) -> None:
        """A process begins, with what the one before has written."""
        self.limiter = Limiter(self.limits, secret_key=b"k")
        self.limiter.load(self.stored.values(), self.now)
        self.devices = Devices(
            self.store, now_ms=lambda: self.now, random_bytes=self.random_bytes, new_lock=Unlocked
        )
        done(self.devices.load())
        self.admission = Admission(self.policy, self.devices, self.limiter)

    def random_bytes(self, length: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(length, "big")

    def flush(self) -> None:
        """What the gateway does once a second."""
        rows, gone = self.limiter.take_changes()
        for key in gone:
            self.stored.pop(key, None)
        self.stored |= {(row.source, row.kind): row for row in rows}

    def knock(self, peer: Peer, **params: Any) -> Admitted | Refused:
        request = Request("1", "connect", connect(**params, at=self.now))
        decision = self.admission.decide(Attempt(peer, NONCE, request, self.now))
        assert decision.answer_after_ms <= LONGEST_ANSWER_MS
        self.flush()
        return decision

    def showing(self, secret: str) -> dict[str, str]:
        return {self.kind: secret}

    def spent(self) -> Mapping[tuple[str, str], float]:
        rows = self.limiter.rows(self.now)
        # What comes back is a fraction, and adding fractions in another order is not exact.
        return {(row.source, row.kind): round(row.spent, 6) for row in rows if row.spent > 1e-6}

    @property
    def owner_is_paired(self) -> bool:
        return self.devices.find(OWNERS.id) is not None

    def move_clock(self, by: int) -> None:
        self.now += by
        self.passed += max(0, by)
        self.may_be_news |= self.now - self.stale_seen_ms > FORGOTTEN_AFTER_MS

    # Time, and what happens to the process.

    @rule(ahead=st.integers(1, 200_000))
    def time_passes(self, ahead: int) -> None:
        self.move_clock(ahead)

    @rule(jump=st.sampled_from([-86_400_000, -3_600_000, 3_600_000, 4 * 86_400_000]))
    def the_clock_jumps(self, jump: int) -> None:
        self.move_clock(jump)

    @rule()
    def the_process_is_killed_and_started(self) -> None:
        before = self.spent()
        self.flush()
        self.stale_seen_ms = min(self.stale_seen_ms, self.now)
        self.start()
        assert self.spent() == before

    @rule(fewer=st.integers(1, 12))
    def the_owner_allows_fewer_tries(self, fewer: int) -> None:
        if fewer <= self.limits.tries:
            self.limits = LimitRules(fewer, self.limits.refill_ms, self.limits.exempt_loopback)
            self.limiter.change_rules(self.limits, self.now)
            self.examined.clear()
            self.passed = 0

    # Who shows nothing.

    @rule(peer=st.sampled_from(GUESSERS), who=st.sampled_from([None, OWNERS, STRANGERS]))
    def somebody_shows_no_credential(self, peer: Peer, who: Device | None) -> None:
        before = self.spent()
        assert isinstance(self.knock(peer, device=who), Refused)
        assert self.spent() == before
        assert not self.admission.judge_bearer(peer, None, self.now).ok
        assert self.spent() == before

    @rule()
    def a_page_comes_back_with_yesterdays_token(self) -> None:
        refused = self.knock(STALE_PAGE, **self.showing("yesterday"), client=PROGRAM_OF_A_PAGE)
        assert isinstance(refused, Refused)
        if refused.reason == "rate_limited":
            return
        assert refused.charge is not None
        if refused.charge.is_examined:
            assert self.may_be_news, "the same wrong secret was charged twice"
            self.count(source_of(STALE_PAGE, self.policy.locate(STALE_PAGE)))
        self.may_be_news, self.stale_seen_ms = False, self.now

    # Who guesses.

    @rule(peer=st.sampled_from(GUESSERS), count=st.integers(1, 30), who=st.sampled_from([None, STRANGERS]))
    def somebody_guesses(self, peer: Peer, count: int, who: Device | None) -> None:
        self.guess(peer, count, who, source_of(peer, self.policy.locate(peer)))

    @rule(size=st.sampled_from([20, 130]))
    def a_botnet_guesses(self, size: int) -> None:
        for number in range(size):
            peer = Peer(f"203.0.113.{number}", 1, "claw.example.com")
            self.guess(peer, 1, None, Source(peer.address))

    @rule(count=st.integers(1, 30))
    def a_friends_device_guesses(self, count: int) -> None:
        self.guess(PHONE, count, FRIENDS, device_source(FRIENDS.id))

    @rule(count=st.integers(1, 30))
    def somebody_guesses_over_http(self, count: int) -> None:
        peer = GUESSERS[-1]
        for _ in range(count):
            self.drawn += 1
            verdict = self.admission.judge_bearer(peer, f"guess {self.drawn}", self.now)
            assert not verdict.ok
            if not verdict.retry_after_ms:
                self.count(source_of(peer, self.policy.locate(peer)))
        self.flush()

    def guess(self, peer: Peer, count: int, who: Device | None, source: Source) -> None:
        for _ in range(count):
            self.drawn += 1
            refused = self.knock(peer, device=who, **self.showing(f"guess {self.drawn}"))
            assert isinstance(refused, Refused)
            assert refused.charge is not None
            assert refused.charge.source == source
            if refused.reason != "rate_limited":
                self.count(source)

    def count(self, source: Source) -> None:
        self.examined[source.key] += 1
        if not source.alone:
            self.examined[source.pool] += 1

    @rule(peer=st.sampled_from(GUESSERS))
    def somebody_shows_the_owners_device_token_without_its_key(self, peer: Peer) -> None:
        if self.token is not None:
            assert isinstance(self.knock(peer, device_token=self.token, device=STRANGERS), Refused)
            assert isinstance(self.knock(peer, device_token=self.token), Refused)

    # The owner.

    @precondition(lambda self: self.owner_is_paired)
    @rule(peer=st.sampled_from(GUESSERS))
    def the_owner_comes_back_with_the_secret(self, peer: Peer) -> None:
        if peer.origin is not None:
            return  # a page of another origin is none of his
        decision = self.knock(peer, device=OWNERS, **self.showing(self.secret))
        if isinstance(decision, Refused):
            assert self.typos, "somebody else kept the owner out"
            assert decision.error is not None
            wait = decision.error.retry_after_ms
            assert wait is not None
            assert wait <= self.limits.refill_ms / self.limits.tries + 1
            self.time_passes(wait)
            decision = self.knock(peer, device=OWNERS, **self.showing(self.secret))
        assert isinstance(decision, Admitted)
        if not self.typos:
            assert decision.answer_after_ms == 0
        wanted = decision.token_request
        assert wanted is not None
        issued = done(
            self.devices.tokens.issue(wanted.device_id, wanted.role, wanted.scopes, wanted.presented)
        )
        assert issued is not None
        self.token = issued.token

    @precondition(lambda self: self.owner_is_paired and self.token is not None)
    @rule(peer=st.sampled_from([HOME, PHONE, GUESSERS[-1]]), beside=st.sampled_from([None, "old"]))
    def the_owner_comes_back_with_his_device_token(self, peer: Peer, beside: str | None) -> None:
        secret = self.showing(beside) if beside else {}
        decision = self.knock(peer, device=OWNERS, device_token=self.token, **secret)
        assert isinstance(decision, Admitted)
        assert (decision.credential, decision.answer_after_ms) == ("device-token", 0)

    @precondition(lambda self: self.kind == "token" and self.secret == TOKEN)
    @rule(peer=st.sampled_from([HOME, PHONE, GUESSERS[-1]]))
    def a_program_of_the_owners_has_the_strong_token(self, peer: Peer) -> None:
        decision = self.knock(peer, token=TOKEN)
        assert isinstance(decision, Admitted)
        assert decision.answer_after_ms == 0

    @precondition(lambda self: self.owner_is_paired)
    @rule(count=st.integers(1, 15))
    def the_owner_mistypes(self, count: int) -> None:
        for _ in range(count):
            self.drawn += 1
            self.typos += 1
            assert isinstance(self.knock(PHONE, device=OWNERS, **self.showing(f"typo {self.drawn}")), Refused)

    # What the owner does to devices.

    @precondition(lambda self: self.owner_is_paired)
    @rule()
    def the_owner_forgets_his_device(self) -> None:
        assert done(self.devices.remove(OWNERS.id, ADMINISTRATOR))
        if self.token is not None:
            assert isinstance(self.knock(PHONE, device=OWNERS, device_token=self.token), Refused)
            self.count(source_of(PHONE, self.policy.locate(PHONE)))
        self.token = None

    @precondition(lambda self: not self.owner_is_paired)
    @rule()
    def and_approves_it_again(self) -> None:
        ask = PairingAsk(OWNERS.id, OWNERS.public_key, "gateway-client", "backend", "operator", READ)
        request, _ = done(self.devices.request(ask))
        assert done(self.devices.approve(request.request_id, ADMINISTRATOR)) is not None

    @precondition(lambda self: self.token is not None)
    @rule()
    def the_owner_revokes_his_token(self) -> None:
        token, self.token = self.token, None
        done(self.devices.tokens.revoke(OWNERS.id, "operator", ADMINISTRATOR))
        refused = self.knock(PHONE, device=OWNERS, device_token=token)
        self.typos += 1
        assert isinstance(refused, Refused)

    # What holds at all times.

    @invariant()
    def nobody_has_had_more_guesses_than_his_budget(self) -> None:
        if not self.examined:
            return
        rules = self.limits
        for key, count in self.examined.items():
            interval_ms = rules.refill_ms / rules.tries
            factor = EVERYBODY_FACTOR if key in (EVERYBODY, EVERYBODY_HERE) else 1
            if key.startswith("127.") and rules.exempt_loopback:
                interval_ms = min(interval_ms, 5_000)
            # A token and a device token are two kinds, each with its tries.
            assert count <= 2 * factor * (rules.tries + self.passed / interval_ms) + 1e-6


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
