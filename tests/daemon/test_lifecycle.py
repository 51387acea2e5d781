"""Where a gateway stands, as a table, checked whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.daemon.lifecycle import TRANSITIONS, Happening, Lifecycle, State

EXPECTED = {
    State.STARTING: {Happening.STARTED: State.READY, Happening.STOP: State.STOPPING},
    State.READY: {Happening.RESTART: State.DRAINING, Happening.STOP: State.STOPPING},
    State.DRAINING: {
        Happening.DRAINED: State.HANDING_OVER,
        Happening.CALLED_OFF: State.READY,
        Happening.STOP: State.STOPPING,
    },
    State.HANDING_OVER: {Happening.STOP: State.STOPPING},
    State.STOPPING: {},
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("happening", Happening)
def test_each_happening_leads_from_each_state_where_the_table_says_or_nowhere(
    state: State, happening: Happening
) -> None:
    lifecycle = Lifecycle()
    lifecycle.state = state

    moved = lifecycle.move(happening)

    assert moved == (happening in EXPECTED[state])
    assert lifecycle.state is EXPECTED[state].get(happening, state)


def test_the_table_has_no_rows_beside_these() -> None:
    assert len(TRANSITIONS) == sum(len(row) for row in EXPECTED.values())


@given(st.lists(st.sampled_from(Happening)))
def test_nothing_follows_a_stop_and_only_a_stop_a_handover(happenings: list[Happening]) -> None:
    lifecycle, seen = Lifecycle(), [State.STARTING]
    for happening in happenings:
        lifecycle.move(happening)
        seen.append(lifecycle.state)

    if State.HANDING_OVER in seen:
        assert set(seen[seen.index(State.HANDING_OVER) :]) <= {State.HANDING_OVER, State.STOPPING}
    if State.STOPPING in seen:
        assert set(seen[seen.index(State.STOPPING) :]) == {State.STOPPING}
