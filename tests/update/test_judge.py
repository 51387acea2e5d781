"""Whether a version on trial is well, by what is seen of it."""

from hypothesis import given
from hypothesis import strategies as st

from openclawd.slots.trial import Trial
from openclawd.update.judge import PATIENCE_S, RESTART_PATIENCE_S, Judge, Look, Verdict

OLD, NEW = "0.6.0", "0.7.0"
TRIAL = Trial(OLD, NEW, 0, began_s=1_700_000_000, window_s=30, limit_s=15)


def judged(*looks: Look, old_life: int | None = 1) -> Verdict | None:
    judge = Judge(TRIAL, began_s=0.0, old_life=old_life)
    verdict = None
    for look in looks:
        verdict = judge.look(look)
    return verdict


def well(at_s: float) -> Look:
    return Look(at_s, NEW, 2)


def test_one_that_serves_for_the_whole_window_is_well() -> None:
    assert judged(well(1), well(30.9)) is None
    assert judged(well(1), well(31)) == Verdict(well=True)


def test_the_window_begins_when_it_serves() -> None:
    assert judged(Look(0, OLD, 1), Look(14, None), well(15), well(44)) is None


def test_one_that_never_answers_has_its_limit_and_no_more() -> None:
    silent = [Look(at, None, problems=("nobody listens",)) for at in (1.0, 15.0)]
    assert judged(*silent) is None
    verdict = judged(*silent, Look(15.5, None, problems=("nobody listens",)))
    assert verdict == Verdict(well=False, reason="it did not serve within 15 s: nobody listens")


def test_one_that_answers_and_is_never_ready_has_the_same_limit() -> None:
    looks = [Look(at, NEW, 2, problems=("not ready (503)",)) for at in (1.0, 15.5)]
    verdict = judged(*looks)
    assert verdict == Verdict(well=False, reason="it did not serve within 15 s: not ready (503)")


def test_the_old_one_may_drain_as_long_as_it_does() -> None:
    assert judged(Look(200, OLD, 1), Look(210, None), well(214)) is None


def test_an_old_one_that_never_goes_ends_it() -> None:
    verdict = judged(Look(RESTART_PATIENCE_S + 1, OLD, 1))
    assert verdict is not None
    assert "has not restarted" in verdict.reason


def test_another_life_of_the_old_one_means_that_the_new_one_could_not_be_executed() -> None:
    assert judged(Look(1, OLD, 5)) == Verdict(well=False, reason="0.6.0 runs in place of 0.7.0")


def test_a_third_version_in_its_place_ends_it() -> None:
    assert judged(Look(1, "0.1.0", 2)) == Verdict(well=False, reason="version 0.1.0 answers in its place")


def test_a_hiccup_is_forgiven() -> None:
    hiccup = [Look(at, NEW, 2, problems=("not ready (503)",)) for at in (10.0, 12.0)]
    assert judged(well(1), *hiccup, well(13), well(31)) == Verdict(well=True)


def test_what_lasts_is_no_hiccup() -> None:
    lasting = [Look(at, NEW, 2, problems=("not ready (503)",)) for at in (10.0, 10.1 + PATIENCE_S)]
    assert judged(well(1), *lasting) == Verdict(well=False, reason="for 5 s: not ready (503)")


def test_one_that_is_not_well_when_the_window_ends_is_not_kept_for_it() -> None:
    assert judged(well(1), Look(31, NEW, 2, problems=("not ready (503)",))) is None


def test_a_fault_decides_at_once() -> None:
    fault = Look(2, NEW, 2, faults=("a device that was connected before was refused: unknown",))
    assert judged(well(1), fault) == Verdict(well=False, reason=fault.faults[0])


def test_without_a_gateway_before_only_the_new_one_counts() -> None:
    assert judged(Look(1, OLD, 1), old_life=None) is None


LOOKS = st.builds(
    Look,
    st.just(0.0),
    st.sampled_from([None, OLD, NEW, "9"]),
    st.sampled_from([1, 2]),
    st.sampled_from([(), ("not ready",)]),
    st.sampled_from([(), ("a fault",)]),
)


@given(st.lists(st.tuples(LOOKS, st.floats(0.1, 20)), max_size=60))
def test_nothing_that_is_seen_confirms_one_that_was_not_well_at_that_moment(
    seen: list[tuple[Look, float]],
) -> None:
    judge, at_s, served_since = Judge(TRIAL, began_s=0.0, old_life=1), 0.0, None
    for look, after_s in seen:
        at_s += after_s
        is_well = look.version == NEW and not look.problems and not look.faults
        served_since = at_s if is_well and served_since is None else served_since
        verdict = judge.look(Look(at_s, look.version, look.life, look.problems, look.faults))
        if verdict is None:
            continue
        if verdict.well:
            assert is_well
            assert served_since is not None
            assert at_s - served_since >= TRIAL.window_s
        else:
            assert verdict.reason
        break
