"""Anthropic's streams, byte for byte: whole, cut anywhere, with what is not known yet, and broken off."""

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.agents.entries import ANTHROPIC_MESSAGES
from openclawd.agents.messages_reader import MessagesReader
from openclawd.agents.model import Completion, ModelError, ModelErrorKind, TextDelta, ThinkingDelta, Usage
from tests.agents.asking import Heard, endpoint

ACME = endpoint("https://api.acme.example", api=ANTHROPIC_MESSAGES)


def event(kind: str, **more: Any) -> bytes:
    data = json.dumps({"type": kind, **more}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def delta(**delta: Any) -> bytes:
    return event("content_block_delta", index=0, delta=delta)


def started(**usage: int) -> bytes:
    return event("message_start", message={"id": "msg_1", "content": [], "usage": usage})


def ended(reason: str = "end_turn", **usage: int) -> bytes:
    over = event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)
    return over + event("message_stop")


TEXT = delta(type="text_delta", text="Zażółć 🦞")
# As the reference shows it, with what it says may come at any time.
STREAM = (
    started(input_tokens=25, cache_read_input_tokens=7, cache_creation_input_tokens=3, output_tokens=1)
    + event("ping")
    + event(
        "content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}
    )
    + delta(type="thinking_delta", thinking="Let me ")
    + delta(type="thinking_delta", thinking="see.")
    + delta(type="signature_delta", signature="EqQBCgIYAg==")
    + event("content_block_stop", index=0)
    + event("content_block_start", index=1, content_block={"type": "text", "text": ""})
    + event("news_of_a_later_year", more=[1, 2])
    + TEXT
    + delta(type="a_later_delta", what="ever")
    + event("content_block_stop", index=1)
    + ended(output_tokens=15)
)


FIELDS = ("type", "message", "usage", "delta", "content_block", "content", "text", "thinking", "error")


def reader() -> tuple[MessagesReader, Heard]:
    heard = Heard()
    return MessagesReader(ACME, "claude", heard.deltas.append), heard


def read(stream: bytes) -> tuple[Heard, Completion]:
    answer, heard = reader()
    answer.feed(stream)
    answer.end()
    return heard, answer.completion()


def test_a_stream_is_read_as_the_reference_shows_it() -> None:
    heard, completion = read(STREAM)
    assert heard.deltas == [ThinkingDelta("Let me "), ThinkingDelta("see."), TextDelta("Zażółć 🦞")]
    assert completion == Completion("stop", Usage(input=25, output=15, cache_read=7, cache_write=3))


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_it_makes_no_difference_where_the_network_cuts(cuts: list[int]) -> None:
    answer, heard = reader()
    edges = [0, *sorted(cuts), len(STREAM)]
    for begin, end in pairwise(edges):
        answer.feed(STREAM[begin:end])
    assert answer.done
    assert heard.thinking == "Let me see."
    assert heard.text == "Zażółć 🦞"
    assert answer.completion().usage.output == 15


@given(cut=st.integers(0, len(STREAM) - 1))
def test_a_stream_that_stops_early_is_whole_or_broken_off_and_never_a_fault(cut: int) -> None:
    answer, heard = reader()
    answer.feed(STREAM[:cut])
    if answer.end():
        assert answer.completion().stop_reason == "stop"
        assert heard.text == "Zażółć 🦞"
    else:
        with pytest.raises(ModelError) as caught:
            answer.completion()
        assert caught.value.kind is ModelErrorKind.BROKEN_OFF


@given(noise=st.binary(max_size=400))
def test_noise_is_refused_in_words_or_read_over(noise: bytes) -> None:
    answer, _ = reader()
    with suppress(ModelError):
        answer.feed(noise)
        answer.end()
        answer.completion()


@given(
    chunk=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ("type", "message", "usage", "delta", "content_block", "content", "text", "error")
                )
                | st.text(max_size=5),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ),
    kind=st.sampled_from(("message_start", "content_block_delta", "message_delta", "message", "error")),
)
def test_an_event_of_any_shape_is_no_fault(chunk: Any, kind: str) -> None:
    answer, _ = reader()
    shaped = {"type": kind, **chunk} if isinstance(chunk, dict) else chunk
    with suppress(ModelError):
        answer.feed(b"data: " + json.dumps(shaped).encode() + b"\n\n")
        answer.end()


def test_counts_are_running_totals() -> None:
    _, completion = read(
        started(input_tokens=9, output_tokens=1) + TEXT + ended(input_tokens=11, output_tokens=20)
    )
    assert completion.usage == Usage(input=11, output=20)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("a_later_reason", "stop"),
    ],
)
def test_a_reason_is_mapped(reason: str, expected: str) -> None:
    assert read(TEXT + ended(reason))[1].stop_reason == expected


def test_a_refusal_is_told_as_one() -> None:
    with pytest.raises(ModelError, match="The safety rules of acme stopped this answer") as caught:
        read(TEXT + ended("refusal"))
    assert caught.value.kind is ModelErrorKind.REFUSED


def test_thinking_that_used_up_the_answer_is_told() -> None:
    with pytest.raises(ModelError, match="used up its whole answer for thinking"):
        read(delta(type="thinking_delta", thinking="Hm") + ended("max_tokens"))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", ModelErrorKind.OVERLOADED),
        ("api_error", ModelErrorKind.OVERLOADED),
        ("timeout_error", ModelErrorKind.OVERLOADED),
        ("rate_limit_error", ModelErrorKind.RATE_LIMITED),
        ("authentication_error", ModelErrorKind.BAD_KEY),
        ("permission_error", ModelErrorKind.BAD_KEY),
        ("billing_error", ModelErrorKind.RATE_LIMITED),
        ("request_too_large", ModelErrorKind.CONTEXT_TOO_LONG),
        ("invalid_request_error", ModelErrorKind.REFUSED),
    ],
)
def test_an_error_in_the_middle_keeps_what_was_said(kind: str, expected: ModelErrorKind) -> None:
    answer, heard = reader()
    with pytest.raises(ModelError) as caught:
        answer.feed(started() + TEXT + event("error", error={"type": kind, "message": "Oh."}))
    assert caught.value.kind is expected
    assert heard.text == "Zażółć 🦞"
