"""What wrong guesses cost, whom, and for how long."""

import math
from collections.abc import Iterable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.auth.bucket import HELD_MAX, MAX_DELAY_MS
from openclawd.auth.limiter import BUCKETS_MAX, DIGESTS_KEPT, EVERYBODY_FACTOR, FORGOTTEN_AFTER_MS, Limiter
from openclawd.auth.tries import (
    EVERYBODY,
    EVERYBODY_HERE,
    BucketRow,
    Kind,
    LimitRules,
    Outcome,
    Source,
    Verdict,
)

NOW = 1_800_000_000_000
RULES = LimitRules()
INTERVAL_MS = RULES.refill_ms // RULES.tries
RIGHT = "mytoken123"

STRANGER = Source("192.0.2.7")
PROGRAM = Source("127.0.0.1", is_loopback=True, pool=EVERYBODY_HERE)
PAGE = Source("origin:http://localhost:5173", pool=EVERYBODY_HERE)
DEVICE = Source("device:d1", alone=True)


def limiter(rules: LimitRules = RULES) -> Limiter:
    return Limiter(rules, secret_key=b"a key")


def guess(at: Limiter, secret: object, source: Source = STRANGER, now: int = NOW) -> Verdict:
    return at.charge(source, Kind.PASSWORD, str(secret), RIGHT, now)


def guesses(at: Limiter, count: int, source: Source = STRANGER, now: int = NOW) -> list[Verdict]:
    return [guess(at, f"guess {number}", source, now) for number in range(count)]


def spent(at: Limiter, source: str, now: int = NOW) -> float:
    return sum(row.spent for row in at.rows(now) if row.source == source)


def sources(count: int) -> Iterable[Source]:
    return (Source(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") for number in range(count))


def reloaded(at: Limiter, now: int = NOW) -> Limiter:
    again = Limiter(at.rules, secret_key=b"a key")
    again.load(at.rows(now), now)
    return again


# What a try costs.


def test_each_distinct_guess_makes_the_next_answer_later_up_to_five_seconds() -> None:
    verdicts = guesses(limiter(), 10)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.EXAMINE}
    assert [verdict.delay_ms for verdict in verdicts] == [0, 250, 500, 1000, 2000, 4000, *[5000] * 4]


def test_who_has_no_try_left_is_refused_unexamined_until_one_is_back() -> None:
    at = limiter()
    guesses(at, 10)
    refused = Verdict(Outcome.EMPTY, retry_after_ms=INTERVAL_MS, empty=STRANGER.key)
    assert guess(at, "one more") == refused
    assert guess(at, "one more", now=NOW + INTERVAL_MS - 1).outcome is Outcome.EMPTY
    assert guess(at, "one more", now=NOW + INTERVAL_MS).outcome is Outcome.EXAMINE
    assert guess(at, "yet another", now=NOW + INTERVAL_MS).outcome is Outcome.EMPTY


def test_a_refused_try_costs_nothing_and_prolongs_nothing() -> None:
    """66800, ClawX 198: a client that keeps trying made its lock-out longer."""
    at = limiter()
    guesses(at, 10)
    before = at.rows(NOW)
    assert {guess(at, f"more {number}").outcome for number in range(1000)} == {Outcome.EMPTY}
    assert at.rows(NOW) == before


def test_the_same_wrong_secret_is_one_failure_however_often_it_comes() -> None:
    """28997: a page that comes back with yesterday's token."""
    at = limiter()
    verdicts = [guess(at, "yesterday's") for _ in range(1000)]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.EXAMINE, *[Outcome.KNOWN] * 999]
    assert spent(at, STRANGER.key) == spent(at, EVERYBODY) == 1


def test_a_known_wrong_secret_is_told_even_when_no_try_is_left() -> None:
    at = limiter()
    guesses(at, 10)
    assert guess(at, "guess 3").outcome is Outcome.KNOWN


def test_asking_again_does_not_tell_sooner() -> None:
    at = limiter()
    guesses(at, 5)
    assert guess(at, "slow").delay_ms == 4000
    assert guess(at, "slow", now=NOW + 1500) == Verdict(Outcome.KNOWN, delay_ms=2500)
    assert guess(at, "slow", now=NOW + 9000) == Verdict(Outcome.KNOWN, delay_ms=0)


def test_a_changed_secret_makes_the_same_text_another_guess() -> None:
    at = limiter()
    assert guess(at, "hunter2").outcome is Outcome.EXAMINE
    assert at.charge(STRANGER, Kind.PASSWORD, "hunter2", "hunter2", NOW).outcome is Outcome.EXAMINE


def test_a_right_secret_leaves_no_trace() -> None:
    at = limiter()
    guess(at, RIGHT)
    at.refund(STRANGER, Kind.PASSWORD, RIGHT, RIGHT, NOW)
    assert at.rows(NOW) == ()
    assert guess(at, RIGHT).outcome is Outcome.EXAMINE


def test_a_right_secret_gives_back_its_own_try_only() -> None:
    at = limiter()
    guesses(at, 3)
    assert guess(at, RIGHT).delay_ms == 1000
    at.refund(STRANGER, Kind.PASSWORD, RIGHT, RIGHT, NOW)
    at.refund(STRANGER, Kind.PASSWORD, RIGHT, RIGHT, NOW)
    assert spent(at, STRANGER.key) == spent(at, EVERYBODY) == 3


def test_each_kind_of_secret_has_its_own_tries() -> None:
    at = limiter()
    guesses(at, 10)
    assert at.charge(STRANGER, Kind.DEVICE_TOKEN, "x", "", NOW) == Verdict(Outcome.EXAMINE)


# Whom it costs.


def test_a_source_pays_for_itself() -> None:
    at = limiter()
    guesses(at, 10)
    assert guess(at, "first", Source("192.0.2.8")) == Verdict(Outcome.EXAMINE)


def test_many_sources_share_the_tries_of_everybody() -> None:
    at = limiter()
    outcomes = [guess(at, "x", source).outcome for source in sources(RULES.tries * EVERYBODY_FACTOR + 1)]
    assert outcomes.count(Outcome.EXAMINE) == RULES.tries * EVERYBODY_FACTOR
    refused = guess(at, "x")
    assert (refused.retry_after_ms, refused.empty) == (INTERVAL_MS // EVERYBODY_FACTOR, EVERYBODY)


def test_nobody_slows_a_paired_device_and_it_slows_nobody() -> None:
    at = limiter()
    for source in sources(1000):
        guess(at, "x", source)
    before = spent(at, EVERYBODY)
    assert [verdict.outcome for verdict in guesses(at, 11, DEVICE)][-2:] == [Outcome.EXAMINE, Outcome.EMPTY]
    assert spent(at, EVERYBODY) == before


@pytest.mark.parametrize("source", [PROGRAM, PAGE])
def test_nobody_elsewhere_slows_who_is_on_this_machine(source: Source) -> None:
    at = limiter()
    for other in sources(1000):
        guess(at, "x", other)
    assert guess(at, "x", source) == Verdict(Outcome.EXAMINE)


def test_the_addresses_of_this_machine_are_not_endless() -> None:
    at = limiter()
    programs = [attrs.evolve(PROGRAM, key=f"127.0.{number >> 8}.{number & 255}") for number in range(5000)]
    outcomes = [guess(at, "x", program).outcome for program in programs]
    assert outcomes.count(Outcome.EXAMINE) == RULES.tries * EVERYBODY_FACTOR


def test_a_program_of_this_machine_gets_a_try_back_every_five_seconds() -> None:
    at = limiter()
    guesses(at, 10, PROGRAM)
    assert guess(at, "more", PROGRAM).retry_after_ms == 5000


def test_unless_the_owner_says_that_it_is_like_everybody() -> None:
    at = limiter(LimitRules(exempt_loopback=False))
    guesses(at, 10, PROGRAM)
    assert guess(at, "more", PROGRAM).retry_after_ms == INTERVAL_MS


def test_a_page_of_this_machine_is_no_program() -> None:
    at = limiter()
    guesses(at, 10, PAGE)
    assert guess(at, "more", PAGE).retry_after_ms == INTERVAL_MS


def test_the_owner_can_forgive_one_source_or_all() -> None:
    at = limiter()
    guesses(at, 10)
    guesses(at, 10, PROGRAM)
    assert at.clear(STRANGER.key) == 1
    assert guess(at, "more").outcome is Outcome.EXAMINE
    assert guess(at, "more", PROGRAM).outcome is Outcome.EMPTY
    assert at.clear() > 0
    assert at.rows(NOW) == ()


# Clocks.


def test_a_clock_that_goes_back_keeps_nobody_out_for_longer() -> None:
    at = limiter()
    guesses(at, 10)
    back = NOW - 86_400_000
    assert guess(at, "more", now=back).retry_after_ms == INTERVAL_MS
    assert guess(at, "more", now=back + INTERVAL_MS).outcome is Outcome.EXAMINE


def test_a_clock_that_goes_back_delays_no_answer_for_longer() -> None:
    at = limiter()
    guesses(at, 6)
    assert guess(at, "guess 5", now=NOW - 86_400_000).delay_ms == 0


def test_a_clock_that_goes_ahead_gives_every_try_back() -> None:
    at = limiter()
    guesses(at, 10)
    assert guess(at, "more", now=NOW + 365 * 86_400_000) == Verdict(Outcome.EXAMINE)


# Bounds.


def test_the_table_is_bounded_and_forgets_who_was_silent_longest() -> None:
    at = limiter(LimitRules(tries=BUCKETS_MAX, refill_ms=BUCKETS_MAX))
    every = list(sources(BUCKETS_MAX + 10))
    for number, source in enumerate(every):
        guess(at, "x", source, NOW + number)
    kept = {row.source for row in at.rows(NOW)}
    assert len(kept) == BUCKETS_MAX
    assert EVERYBODY in kept
    assert every[0].key not in kept
    assert every[-1].key in kept


def test_who_may_not_even_try_takes_no_place_in_the_table() -> None:
    at = limiter()
    for source in sources(3 * BUCKETS_MAX):
        guess(at, "x", source)
    assert len(at.rows(NOW)) == RULES.tries * EVERYBODY_FACTOR + 1


def test_a_bucket_remembers_so_many_secrets_and_the_latest_ones() -> None:
    at = limiter()
    for number in range(3 * DIGESTS_KEPT):
        guess(at, "the client that keeps coming", now=NOW + number * INTERVAL_MS)
        guess(at, number, now=NOW + number * INTERVAL_MS)
    (row,) = [row for row in at.rows(NOW) if row.source == STRANGER.key]
    assert len(row.digests) == DIGESTS_KEPT
    later = NOW + 3 * DIGESTS_KEPT * INTERVAL_MS
    assert guess(at, "the client that keeps coming", now=later).outcome is Outcome.KNOWN


def test_three_days_of_silence_are_forgotten() -> None:
    at = limiter()
    guess(at, "yesterday's")
    later = NOW + FORGOTTEN_AFTER_MS + 1
    assert at.rows(later) == ()
    assert at.take_changes()[1] == ((STRANGER.key, "password"), (EVERYBODY, "password"))


# Restarts.


def test_a_restart_changes_nothing() -> None:
    """R1 (e)."""
    at = limiter()
    guesses(at, 10)
    again = reloaded(at)
    assert set(again.rows(NOW)) == set(at.rows(NOW))
    assert guess(again, "more") == guess(at, "more")
    assert guess(again, "more").outcome is Outcome.EMPTY
    assert guess(again, "guess 3").outcome is Outcome.KNOWN


def test_after_a_restart_a_program_of_this_machine_has_its_own_pace_from_the_start() -> None:
    at = limiter()
    guesses(at, 10, PROGRAM)
    again = reloaded(at)
    (row,) = [row for row in again.rows(NOW + 20_000) if row.source == PROGRAM.key]
    assert row.spent == pytest.approx(6)


def test_tries_come_back_while_the_gateway_is_down() -> None:
    at = limiter()
    guesses(at, 10)
    again = limiter()
    again.load(at.rows(NOW), NOW + RULES.refill_ms)
    assert guess(again, "more", now=NOW + RULES.refill_ms) == Verdict(Outcome.EXAMINE)


@pytest.mark.parametrize("tries", [1e300, float("inf"), float("nan"), -5.0])
@pytest.mark.parametrize("time", [NOW, NOW + 10**12, 0, -1])
def test_a_damaged_row_shuts_nobody_out(tries: float, time: int) -> None:
    at = limiter()
    at.load([BucketRow(STRANGER.key, "password", tries, time, max(time, NOW), ())], NOW)
    assert guess(at, "x", now=NOW + INTERVAL_MS).outcome is Outcome.EXAMINE


def test_a_row_of_a_later_version_is_left_alone_and_an_old_one_deleted() -> None:
    at = limiter()
    old = NOW - FORGOTTEN_AFTER_MS - 1
    at.load(
        [
            BucketRow(STRANGER.key, "retina", 1.0, NOW, NOW, ()),
            BucketRow(STRANGER.key, "token", 1.0, old, old, ()),
        ],
        NOW,
    )
    assert at.rows(NOW) == ()
    assert at.take_changes() == ((), ((STRANGER.key, "token"),))


def test_only_what_has_changed_is_to_be_stored() -> None:
    at = limiter()
    guesses(at, 2)
    guess(at, "x", DEVICE)
    rows, gone = at.take_changes()
    assert {row.source for row in rows} == {STRANGER.key, EVERYBODY, DEVICE.key}
    assert gone == ()
    assert not at.has_changes
    guess(at, "y", DEVICE)
    at.clear(STRANGER.key)
    rows, gone = at.take_changes()
    assert [row.source for row in rows] == [DEVICE.key]
    assert gone == ((STRANGER.key, "password"),)


def test_stored_digests_tell_nothing_without_the_key() -> None:
    at, other = limiter(), Limiter(RULES, secret_key=b"another key")
    guess(at, "hunter2")
    guess(other, "hunter2")
    digests = [row.digests for table in (at, other) for row in table.rows(NOW) if row.source == STRANGER.key]
    assert digests[0] != digests[1]


# Rules.


def test_new_rules_hold_nobody_back_for_longer_than_they_say() -> None:
    at = limiter(LimitRules(tries=100))
    guesses(at, 100)
    at.change_rules(LimitRules(tries=3), NOW)
    assert guess(at, "more").retry_after_ms == RULES.refill_ms // 3


def test_what_came_back_by_the_old_rules_stays_back() -> None:
    at = limiter()
    guesses(at, 10)
    at.change_rules(LimitRules(refill_ms=100 * RULES.refill_ms), NOW + RULES.refill_ms)
    assert spent(at, STRANGER.key, NOW + RULES.refill_ms) == 0


@pytest.mark.parametrize(("tries", "refill_ms"), [(0, 1), (1, 0), (-1, 1)])
def test_rules_that_let_nobody_in_are_none(tries: int, refill_ms: int) -> None:
    with pytest.raises(ValueError, match="must be >= 1"):
        LimitRules(tries, refill_ms)


# Whatever comes in whatever order.


@given(
    st.lists(
        st.tuples(st.integers(0, 120_000), st.integers(0, 30), st.integers(0, 40)), min_size=1, max_size=400
    ),
    st.builds(LimitRules, tries=st.integers(1, 12), refill_ms=st.integers(1, 600_000)),
)
def test_no_source_and_no_crowd_gets_more_guesses_than_its_budget(
    tries: list[tuple[int, int, int]], rules: LimitRules
) -> None:
    at, now = limiter(rules), NOW
    examined: dict[str, int] = {}
    for wait, source, secret in tries:
        now += wait
        verdict = guess(at, secret, Source(f"10.0.0.{source}"), now)
        assert verdict.delay_ms <= 5000
        assert verdict.retry_after_ms <= math.ceil(rules.refill_ms / rules.tries)
        if verdict.outcome is Outcome.EXAMINE:
            examined[str(source)] = examined.get(str(source), 0) + 1
    came_back = (now - NOW) * rules.tries / rules.refill_ms
    assert all(count <= rules.tries + came_back for count in examined.values())
    assert sum(examined.values()) <= EVERYBODY_FACTOR * (rules.tries + came_back)


# --- what keeps connections waiting


def test_a_source_that_repeats_one_secret_keeps_few_connections_waiting() -> None:
    at = limiter()
    guesses(at, 8)
    verdicts = [guess(at, "guess 7") for _ in range(1_000)]
    waiting = [verdict for verdict in verdicts if verdict.delay_ms]
    assert len(waiting) <= HELD_MAX
    refused = [verdict for verdict in verdicts if verdict.outcome is Outcome.EMPTY]
    assert len(refused) == 1_000 - len(waiting)
    assert all(0 < verdict.retry_after_ms <= MAX_DELAY_MS for verdict in refused)
    assert spent(at, STRANGER.key) == 8


def test_who_keeps_that_many_waiting_learns_nothing_of_another_secret_either() -> None:
    at = limiter()
    guesses(at, 8)
    known = [guess(at, "guess 7") for _ in range(HELD_MAX)][-1]
    assert guess(at, RIGHT) == known


def test_once_they_have_their_answers_the_next_one_is_heard() -> None:
    at = limiter()
    guesses(at, 8)
    refused = [guess(at, "guess 7") for _ in range(HELD_MAX)][-1]
    later = NOW + MAX_DELAY_MS
    assert refused.outcome is Outcome.EMPTY
    assert guess(at, "guess 7", now=later).outcome is Outcome.KNOWN
    assert guess(at, RIGHT, now=later).outcome is Outcome.EXAMINE


def test_repeats_that_need_not_wait_are_never_refused() -> None:
    at = limiter()
    assert {guess(at, "stale").outcome for _ in range(1_000)} == {Outcome.EXAMINE, Outcome.KNOWN}
