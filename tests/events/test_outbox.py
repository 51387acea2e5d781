"""A client's bounded outbox."""

from openclawd.events.outbox import Outbox


def test_frames_leave_in_the_order_in_which_they_came() -> None:
    outbox = Outbox(100)
    for frame in (b"one", b"two", b"three"):
        outbox.put(frame)

    assert outbox.take(1000) == b"onetwothree"


def test_what_waits_is_taken_in_pieces_of_about_the_asked_size() -> None:
    outbox = Outbox(100)
    for frame in (b"1234", b"5678", b"9"):
        outbox.put(frame)

    assert [outbox.take(8), outbox.take(8), outbox.take(8)] == [b"12345678", b"9", b""]


def test_a_frame_larger_than_a_piece_goes_out_whole() -> None:
    outbox = Outbox(100)
    outbox.put(b"a long frame")

    assert outbox.take(4) == b"a long frame"


def test_bytes_count_as_buffered_until_they_were_sent() -> None:
    outbox = Outbox(100)
    outbox.put(b"12345")
    outbox.take(100)
    while_sending = outbox.buffered_bytes
    outbox.sent()

    assert (while_sending, outbox.buffered_bytes) == (5, 0)


def test_over_the_bound_a_droppable_frame_is_skipped_and_the_next_one_still_fits_after_a_write() -> None:
    outbox = Outbox(4)
    outbox.put(b"12345")
    outbox.put(b"tick", drop_if_slow=True)
    outbox.take(100)
    outbox.sent()
    outbox.put(b"more")

    assert (outbox.dropped, outbox.overflowed, outbox.take(100)) == (1, False, b"more")


def test_over_the_bound_a_frame_that_must_arrive_overflows_the_outbox_for_good() -> None:
    outbox = Outbox(4)
    outbox.put(b"12345")
    outbox.put(b"final")
    outbox.put(b"later")

    assert (outbox.overflowed, outbox.buffered_bytes) == (True, 5)
