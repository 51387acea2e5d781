"""The ledger finds what was lost, doubled or reordered, and nothing else: with a perfect gateway played."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ledger import Epochs, Ledger, faults

Frame = dict[str, Any]


def told(epochs: int, length: int, seed: int) -> list[tuple[str, Frame]]:
    """What a gateway said in its lives: some of it state, which is told to who is there only."""
    pick = random.Random(seed)
    return [
        (
            f"epoch{life}",
            {"event": pick.choice(("chat", "sessions.changed", "health")), "seq": seq, "payload": {"n": seq}},
        )
        for life in range(epochs)
        for seq in range(1, length + 1)
    ]


def played(story: list[tuple[str, Frame]], ledger: Ledger, seed: int) -> None:
    """A client that comes and goes, and is told what it missed."""
    pick = random.Random(seed)
    now = story[0][0]
    ledger.welcome({"epoch": now, "seq": 0, "recovered": False})
    missed: list[tuple[str, Frame]] = []
    away = False
    for epoch, frame in story:
        if not away and (epoch != now or pick.random() < 0.2):
            away = True
        now = epoch
        if away and pick.random() < 0.3:
            ledger.welcome({"epoch": now, "seq": frame["seq"] - 1, "recovered": True})
            for old, each in missed:
                ledger.hear(each if old == now else each | {"epoch": old})
            missed.clear()
            away = False
        if not away:
            ledger.hear(frame)
        elif frame["event"] != "health":
            missed.append((epoch, frame))
    if away:
        ledger.welcome({"epoch": now, "seq": story[-1][1]["seq"], "recovered": True})
        for old, each in missed:
            ledger.hear(each if old == now else each | {"epoch": old})


def crowd(seed: int, size: int = 3) -> list[Ledger]:
    """Clients of one gateway, each with interruptions of its own."""
    story, epochs = told(3, 12, seed), Epochs()
    for epoch, _ in story:
        epochs.number(epoch)
    ledgers = [Ledger(f"client{number}", 4, epochs) for number in range(size)]
    for number, ledger in enumerate(ledgers):
        played(story, ledger, seed + number)
    return ledgers


@given(st.integers(0, 10_000))
def test_a_story_that_was_told_well_has_no_fault(seed: int) -> None:
    assert faults(crowd(seed)) == []


@given(st.integers(0, 10_000), st.data())
def test_an_event_that_one_client_did_not_hear_is_found(seed: int, data: st.DataObject) -> None:
    ledgers = crowd(seed)
    heard = ledgers[0].spans[0].heard
    chats = [each for each in heard if each.name != "health"]
    lost = data.draw(st.sampled_from(chats))
    heard.remove(lost)
    assert faults(ledgers) != []


@given(st.integers(0, 10_000), st.data())
def test_an_event_that_came_twice_is_found(seed: int, data: st.DataObject) -> None:
    ledgers = crowd(seed)
    heard = ledgers[0].spans[0].heard
    again = data.draw(st.sampled_from(heard))
    heard.insert(data.draw(st.integers(heard.index(again), len(heard))), again)
    assert any("came 2 times" in fault for fault in faults(ledgers))


@given(st.integers(0, 10_000), st.data())
def test_two_events_in_the_wrong_order_are_found(seed: int, data: st.DataObject) -> None:
    ledgers = crowd(seed)
    heard = ledgers[0].spans[0].heard
    place = data.draw(st.integers(0, len(heard) - 2))
    heard[place], heard[place + 1] = heard[place + 1], heard[place]
    assert any("came after" in fault for fault in faults(ledgers))


def test_what_nobody_heard_though_all_listened_is_found() -> None:
    epochs = Epochs()
    ledgers = [Ledger(name, 4, epochs) for name in ("one", "other")]
    for ledger in ledgers:
        ledger.welcome({"epoch": "a", "seq": 0, "recovered": False})
        for seq in (1, 3):
            ledger.hear({"event": "chat", "seq": seq, "payload": {}})
    assert faults(ledgers) == [f"{name}: chat 0:3 came live right after 1" for name in ("one", "other")]


def test_a_step_of_a_run_that_nobody_heard_is_found_though_nobody_listened() -> None:
    ledger = Ledger("only", 4, Epochs())
    ledger.welcome({"epoch": "a", "seq": 0, "recovered": False})
    for seq, step in ((1, 1), (3, 1), (4, 2), (6, 4)):
        ledger.welcome({"epoch": "a", "seq": seq, "recovered": True})
        ledger.hear({"event": "agent", "seq": seq, "payload": {"runId": "run", "seq": step}})
    assert faults([ledger]) == ["only: agent 0:6 is step 4 of run after 2"]


def test_one_number_for_two_events_is_found() -> None:
    epochs = Epochs()
    ledgers = [Ledger(name, 4, epochs) for name in ("one", "other")]
    for number, ledger in enumerate(ledgers):
        ledger.welcome({"epoch": "a", "seq": 0, "recovered": False})
        ledger.hear({"event": "chat", "seq": 1, "payload": {"n": number}})
    assert faults(ledgers) == ["other: chat 0:1 was told to others as another event"]


@pytest.mark.parametrize("wire", [3, 4])
def test_a_client_that_had_to_reload_owes_nothing_of_before(wire: int) -> None:
    epochs = Epochs()
    steady, reloaded = Ledger("steady", wire, epochs), Ledger("reloaded", wire, epochs)
    for ledger in (steady, reloaded):
        ledger.welcome({"epoch": "a", "seq": 0, "recovered": False})
        ledger.hear({"event": "chat", "seq": 1, "payload": {}})
    steady.hear({"event": "chat", "seq": 2, "payload": {}})
    reloaded.welcome({"epoch": "a", "seq": 2, "recovered": False})
    for ledger in (steady, reloaded):
        ledger.hear({"event": "chat", "seq": 3, "payload": {}})
    assert faults([steady, reloaded]) == []
    assert reloaded.position == {"epoch": "a", "seq": 3}
