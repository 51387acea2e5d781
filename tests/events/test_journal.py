"""The journal: what a client hears that was away, and when it is told to read anew."""

from collections.abc import Callable
from typing import Any

import pytest

from openclawd.events.journal import MAX_EPOCHS, Journal, NotUnderstood
from openclawd.protocol.versions import V3, V4
from openclawd.protocol.websocket_frames import frame_payload, text_frame

READER = frozenset({"operator.read"})


def kept(*generations: int, max_events: int = 100, max_bytes: int = 10_000) -> Journal:
    journal = Journal("a", max_events=max_events, max_bytes=max_bytes)
    for generation in generations or (V3,):
        journal.arrived(generation)
    return journal


def say(journal: Journal, text: str, generation: int = V3, scope: str | None = None) -> None:
    journal.number(generation)
    journal.append(generation, scope, text_frame(b'{"%s":1}' % text.encode()))


def missed(journal: Journal, epoch: str | None, seq: int | None, generation: int = V3) -> list[str] | None:
    """What is replayed; None when nothing can be."""
    resumed = journal.resume(generation, READER, epoch, seq)
    assert resumed.recovered or not resumed.frames
    return [frame_payload(frame).decode() for frame in resumed.frames] if resumed.recovered else None


def test_a_client_gets_what_it_missed_and_no_more() -> None:
    journal = kept()
    for text in "abc":
        say(journal, text)

    assert missed(journal, "a", 0) == ['{"a":1}', '{"b":1}', '{"c":1}']
    assert missed(journal, "a", 2) == ['{"c":1}']
    assert missed(journal, "a", 3) == []


@pytest.mark.parametrize(
    ("epoch", "seq"), [(None, None), ("a", None), (None, 1), ("b", 1), ("a", 2)], ids=str
)
def test_who_names_no_position_or_one_that_never_was_is_told_where_it_is(
    epoch: str | None, seq: int | None
) -> None:
    journal = kept()
    say(journal, "a")
    resumed = journal.resume(V3, READER, epoch, seq)

    assert (resumed.epoch, resumed.seq, resumed.recovered, list(resumed.frames)) == ("a", 1, False, [])


def test_who_may_not_hear_an_event_does_not_hear_it_later_either() -> None:
    journal = kept()
    say(journal, "open")
    say(journal, "reading", scope="operator.read")
    say(journal, "pairing", scope="operator.pairing")

    assert missed(journal, "a", 0) == ['{"open":1}', '{"reading":1}']
    assert len(journal.resume(V3, frozenset({"operator.admin"}), "a", 0).frames) == 3


def test_the_oldest_event_goes_first_whichever_generation_it_is_of() -> None:
    journal = kept(V3, V4, max_events=2)
    say(journal, "a", V3)
    say(journal, "b", V4)
    say(journal, "c", V3)

    assert missed(journal, "a", 0, V3) is None
    assert missed(journal, "a", 1, V3) == ['{"c":1}']
    assert missed(journal, "a", 0, V4) == ['{"b":1}']


def test_an_event_that_is_larger_than_the_bound_leaves_nothing() -> None:
    journal = kept(max_bytes=100)
    say(journal, "a")
    say(journal, "b" * 200)

    assert missed(journal, "a", 1) is None
    assert missed(journal, "a", 2) == []


def test_a_number_without_an_entry_is_no_gap() -> None:
    journal = kept()
    say(journal, "a")
    journal.number(V3)
    say(journal, "c")

    assert missed(journal, "a", 1) == ['{"c":1}']
    assert journal.seq(V3) == 3


def test_a_stream_is_kept_from_its_first_client_on() -> None:
    journal = Journal("a")
    journal.number(V3)
    assert not journal.is_kept(V3)
    journal.arrived(V3)
    say(journal, "b")

    assert missed(journal, "a", 0) is None
    assert missed(journal, "a", 1) == ['{"b":1}']


def test_of_a_stream_that_is_not_kept_nothing_before_now_is_known() -> None:
    journal = Journal("a")
    journal.number(V3)

    assert missed(journal, "a", 0) is None
    assert missed(journal, "a", 1) == []


def test_a_stream_ends_when_none_of_those_who_left_could_resume_any_more() -> None:
    journal = kept(max_events=2)
    say(journal, "a")
    journal.deserted(V3)
    for text in "bcd":
        say(journal, text)
        assert journal.is_kept(V3) == (text != "d")

    assert missed(journal, "a", 1) is None
    assert missed(journal, "a", 4) == []


def test_a_stream_that_ended_takes_no_room_from_the_other() -> None:
    journal = kept(V3, V4, max_events=2)
    journal.deserted(V3)
    say(journal, "a", V3)
    say(journal, "b", V3)
    say(journal, "c", V4)
    say(journal, "d", V4)

    assert missed(journal, "a", 0, V4) == ['{"c":1}', '{"d":1}']


def test_a_new_client_of_a_stream_that_ended_begins_it_anew() -> None:
    journal = kept(max_events=1)
    journal.deserted(V3)
    say(journal, "a")
    say(journal, "b")
    journal.arrived(V3)
    say(journal, "c")

    assert missed(journal, "a", 1) is None
    assert missed(journal, "a", 2) == ['{"c":1}']


def test_events_of_earlier_generations_say_of_which() -> None:
    first = kept()
    say(first, "a")
    second = Journal("b", first.hand_over())
    say(second, "b")
    third = Journal("c", second.hand_over())
    say(third, "c")

    assert missed(third, "a", 0) == ['{"a":1,"epoch":"a"}', '{"b":1,"epoch":"b"}', '{"c":1}']
    assert missed(third, "a", 1) == missed(third, "b", 0) == ['{"b":1,"epoch":"b"}', '{"c":1}']
    assert missed(third, "b", 2) is None


def test_the_bounds_hold_for_all_generations_together() -> None:
    first = kept(max_events=2)
    say(first, "a")
    say(first, "b")
    second = Journal("b", first.hand_over(), max_events=2)
    second.arrived(V3)
    say(second, "c")

    assert missed(second, "a", 0) is None
    assert missed(second, "a", 1) == ['{"b":1,"epoch":"a"}', '{"c":1}']


def test_the_bytes_of_earlier_generations_count_too() -> None:
    first = kept()
    say(first, "a" * 40)
    second = Journal("b", first.hand_over(), max_bytes=100)
    second.arrived(V3)
    say(second, "b" * 40)

    assert missed(second, "a", 0) is None
    assert missed(second, "b", 0) is not None


def test_a_journal_that_is_larger_than_the_bounds_of_who_gets_it_is_cut() -> None:
    first = kept()
    for text in "abc":
        say(first, text)
    second = Journal("b", first.hand_over(), max_events=2)

    assert missed(second, "a", 0) is None
    assert missed(second, "a", 1) == ['{"b":1,"epoch":"a"}', '{"c":1,"epoch":"a"}']


def test_a_stream_that_was_not_kept_is_not_handed_over() -> None:
    assert list(kept(V4).hand_over()["streams"]) == ["4"]


def test_restarts_in_silence_are_bounded_too() -> None:
    journal = kept()
    for number in range(MAX_EPOCHS + 2):
        journal = Journal(f"n{number}", journal.hand_over())

    assert missed(journal, "a", 0) is None
    assert missed(journal, "n5", 0) == []
    assert len(journal.hand_over()["streams"]["3"]["epochs"]) == MAX_EPOCHS + 1


def _version(document: dict[str, Any]) -> None:
    document["version"] = 2


def _no_epochs(document: dict[str, Any]) -> None:
    document["streams"]["3"]["epochs"] = []


def _no_streams(document: dict[str, Any]) -> None:
    del document["streams"]


def _no_text(document: dict[str, Any]) -> None:
    document["streams"]["3"]["entries"] = [[1, 1, None, None]]


def _short_entry(document: dict[str, Any]) -> None:
    document["streams"]["3"]["entries"] = [[1]]


def _same_epoch(document: dict[str, Any]) -> None:
    document["streams"]["3"]["epochs"] = [["b", 0, 1]]


@pytest.mark.parametrize("spoil", [_version, _no_epochs, _no_streams, _no_text, _short_entry, _same_epoch])
def test_what_cannot_be_understood_is_refused_whole(spoil: Callable[[dict[str, Any]], None]) -> None:
    journal = kept()
    say(journal, "a")
    document = journal.hand_over()
    spoil(document)

    with pytest.raises(NotUnderstood):
        Journal("b", document)
