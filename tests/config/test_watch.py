"""When a watched file is read: not while somebody is still writing it."""

from openclawd.config.watch import Signature, Watch

A, B, C = (Signature(1, size, size, size) for size in (1, 2, 3))


def test_a_file_is_due_once_at_first_when_it_has_rested() -> None:
    watch = Watch()
    assert watch.look(A, 0.0, rest_s=0.25) == 0.25
    assert watch.look(A, 0.25, rest_s=0.25) == 0.0
    assert watch.look(A, 9.0, rest_s=0.25) is None


def test_a_file_that_is_still_being_written_is_not_read() -> None:
    watch = Watch()
    watch.look(A, 0.0, rest_s=0.0)
    assert watch.look(B, 1.0, rest_s=0.25) == 0.25
    assert watch.look(C, 1.125, rest_s=0.25) == 0.25
    assert watch.look(C, 1.25, rest_s=0.25) == 0.125
    assert watch.look(C, 1.375, rest_s=0.25) == 0.0


def test_a_file_that_is_taken_away_and_put_back_is_read_as_what_it_is_then() -> None:
    watch = Watch()
    watch.look(A, 0.0, rest_s=0.0)
    assert watch.look(None, 1.0, rest_s=0.25) == 0.25
    assert watch.look(B, 1.125, rest_s=0.25) == 0.25
    assert watch.look(B, 1.375, rest_s=0.25) == 0.0


def test_a_file_that_is_back_as_it_was_is_no_change() -> None:
    watch = Watch()
    watch.look(A, 0.0, rest_s=0.0)
    watch.look(B, 1.0, rest_s=0.25)
    assert watch.look(A, 1.1, rest_s=0.25) is None
    assert watch.look(B, 1.25, rest_s=0.25) == 0.25


def test_a_file_that_stays_away_is_due_once() -> None:
    watch = Watch()
    watch.look(A, 0.0, rest_s=0.0)
    watch.look(None, 1.0, rest_s=0.25)
    assert watch.look(None, 2.0, rest_s=0.25) == 0.0
    assert watch.look(None, 3.0, rest_s=0.25) is None
