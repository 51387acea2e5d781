"""WHATWG HTML, 9.2.6: what bytes of an event stream mean, however they arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.agents.sse import MAX_EVENT_BYTES, EventStreamParser, EventTooLargeError, ServerSentEvent


def events_of(*chunks: bytes) -> list[ServerSentEvent]:
    parser = EventStreamParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def data_of(*chunks: bytes) -> list[str]:
    return [event.data for event in events_of(*chunks)]


def test_a_blank_line_dispatches_the_data() -> None:
    assert events_of(b"data: one\n\n") == [ServerSentEvent("message", "one")]


def test_several_data_lines_are_joined_by_line_feeds() -> None:
    assert data_of(b"data: YHOO\ndata: +2\ndata: 10\n\n") == ["YHOO\n+2\n10"]


def test_one_space_after_the_colon_is_dropped_and_no_more() -> None:
    assert data_of(b"data:test\n\ndata: test\n\ndata:  test\n\n") == ["test", "test", " test"]


def test_a_field_without_a_colon_has_an_empty_value() -> None:
    assert data_of(b"data\n\ndata\ndata\n\ndata:") == ["", "\n"]


def test_an_event_can_have_a_type_of_its_own_and_the_next_one_has_not() -> None:
    stream = b"event: error\ndata: 1\n\ndata: 2\n\n"
    assert events_of(stream) == [ServerSentEvent("error", "1"), ServerSentEvent("message", "2")]


def test_a_type_without_data_is_no_event() -> None:
    assert events_of(b"event: ping\n\ndata: 1\n\n") == [ServerSentEvent("message", "1")]


def test_comments_and_unknown_fields_are_read_over() -> None:
    assert data_of(b": keep-alive\nid: 7\nretry: 10\nfoo: bar\ndata: x\n\n") == ["x"]


def test_all_three_line_ends_count() -> None:
    assert data_of(b"data: a\r\n\r\ndata: b\r\rdata: c\n\n") == ["a", "b", "c"]


def test_a_byte_order_mark_is_dropped_at_the_start_only() -> None:
    assert data_of(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n") == ["a"]


def test_what_is_unfinished_when_the_stream_ends_is_no_event() -> None:
    assert data_of(b"data: a\n\ndata: b\n") == ["a"]


@pytest.mark.parametrize("cut", [b"", b"\n", b"\r", b"\r\n"])
def test_what_is_unfinished_when_the_stream_ends_can_be_asked_for(cut: bytes) -> None:
    parser = EventStreamParser()
    assert parser.feed(b"data: a\n\nevent: last\ndata: b" + cut) == [ServerSentEvent("message", "a")]
    assert parser.end() == ServerSentEvent("last", "b")
    assert parser.end() is None


def test_an_event_is_out_with_the_carriage_return_that_ends_it() -> None:
    parser = EventStreamParser()
    assert parser.feed(b"data: a\r\n\r") == [ServerSentEvent("message", "a")]
    assert parser.feed(b"\ndata: b\r\n\r\n") == [ServerSentEvent("message", "b")]


def test_bytes_that_are_not_utf_8_become_replacement_characters() -> None:
    assert data_of(b"data: a\xffb\n\n") == ["a\N{REPLACEMENT CHARACTER}b"]


def test_a_line_without_an_end_is_refused_at_the_limit() -> None:
    parser = EventStreamParser()
    assert parser.feed(b"data: " + b"x" * (MAX_EVENT_BYTES - 6)) == []
    with pytest.raises(EventTooLargeError, match="1048576 bytes"):
        parser.feed(b"x")


def test_an_event_of_many_lines_is_refused_at_the_limit() -> None:
    line = b"data: " + b"x" * 1000 + b"\n"
    with pytest.raises(EventTooLargeError):
        EventStreamParser().feed(line * (MAX_EVENT_BYTES // len(line) + 2))


LINES = st.sampled_from(
    [
        "data: a",
        "data:żółw 🦞",
        "data",
        'data:  {"x": 1}',
        "event: done",
        ": note",
        "id: 1",
        "",
        "",
        "\ufeffdata: b",
        "other",
    ]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\r"])), max_size=40)


@given(lines=STREAMS, cuts=st.lists(st.integers(0, 600), max_size=30))
def test_any_split_gives_the_same_events(lines: list[tuple[str, str]], cuts: list[int]) -> None:
    stream = "".join(line + end for line, end in lines).encode()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    single = [stream[number : number + 1] for number in range(len(stream))]
    assert events_of(*pieces) == events_of(stream) == events_of(*single)


@given(chunks=st.lists(st.binary(max_size=50), max_size=20))
def test_no_bytes_upset_it(chunks: list[bytes]) -> None:
    assert events_of(*chunks) == events_of(b"".join(chunks))
