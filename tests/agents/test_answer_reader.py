"""A streamed chat completion, byte by byte, without a network."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.agents.completions_reader import CompletionsReader
from openclawd.agents.model import Completion, ModelError, ModelErrorKind, ThinkingDelta, Usage
from tests.agents.asking import Heard, endpoint


def reader() -> tuple[CompletionsReader, Heard]:
    heard = Heard()
    return CompletionsReader(endpoint("http://127.0.0.1/v1"), "m", heard.deltas.append), heard


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + orjson.dumps({"choices": choices, **more}) + b"\n\n"


DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_both_names_of_reasoning_are_known(field: str) -> None:
    answer, heard = reader()
    answer.feed(chunk({field: "hm"}))
    assert heard.deltas == [ThinkingDelta("hm")]


def test_reasoning_that_is_sent_under_both_names_counts_once() -> None:
    answer, heard = reader()
    answer.feed(chunk({"reasoning_content": "hm", "reasoning": "hm"}))
    assert heard.thinking == "hm"


def test_a_refusal_is_an_answer_in_words() -> None:
    answer, heard = reader()
    answer.feed(chunk({"refusal": "I will not."}) + chunk({}, "stop") + DONE)
    assert heard.text == "I will not."
    assert answer.completion().stop_reason == "stop"


def test_a_content_in_parts_is_joined_and_its_thinking_told_apart() -> None:
    answer, heard = reader()
    thoughts = [{"type": "text", "text": "let me "}, {"type": "text", "text": "see"}]
    answer.feed(chunk({"content": [{"type": "thinking", "thinking": thoughts}]}))
    answer.feed(chunk({"content": [{"type": "thinking", "thinking": "!"}, {"type": "text", "text": "so "}]}))
    answer.feed(chunk({"content": [{"type": "text", "text": "it "}, {"type": "text", "text": "is"}]}, "stop"))
    assert heard.thinking == "let me see!"
    assert heard.text == "so it is"
    assert answer.completion().stop_reason == "stop"


@pytest.mark.parametrize("part", [None, 5, "x", {}, {"type": "text"}, {"type": "text", "text": 5}, [[]]])
def test_odd_parts_are_read_over(part: object) -> None:
    answer, heard = reader()
    answer.feed(chunk({"content": [part, {"type": "image_url"}, {"type": "thinking", "thinking": part}]}))
    assert heard.text == ""


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [chunk({"content": "."}, "stop"), chunk({"content": "."}) + DONE])
def test_a_last_event_without_its_blank_line_counts(last: bytes, end: bytes) -> None:
    answer, heard = reader()
    answer.feed(chunk({"content": "so"}) + last.rstrip() + end)
    assert answer.end()
    assert answer.end()
    assert heard.text == "so."
    assert answer.completion() == Completion("stop", Usage())


@pytest.mark.parametrize("last", [b"data: [DON", chunk({"content": "lost"}, "stop")[:-4], b"data:", b": x"])
def test_a_last_event_that_was_cut_in_its_middle_is_a_broken_answer(last: bytes) -> None:
    answer, heard = reader()
    answer.feed(chunk({"content": "so"}) + last)
    assert not answer.end()
    assert heard.text == "so"
    with pytest.raises(ModelError, match="ended its answer before"):
        answer.completion()


def test_an_error_in_a_last_event_without_its_blank_line_is_told() -> None:
    answer, _ = reader()
    answer.feed(b'data: {"error": {"type": "overloaded_error", "message": "Overloaded"}}')
    with pytest.raises(ModelError, match="Overloaded"):
        answer.end()


def test_empty_and_odd_deltas_are_read_over() -> None:
    answer, heard = reader()
    answer.feed(
        chunk({"role": "assistant", "content": ""}) + chunk({"content": None}) + chunk({"content": 5})
    )
    answer.feed(b'data: {}\n\ndata: {"choices": [null]}\n\ndata: {"choices": 1}\n\ndata:\n\n')
    assert heard.deltas == []


@pytest.mark.parametrize(
    ("finish", "stop_reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "toolUse"),
        ("function_call", "toolUse"),
        ("eos", "stop"),
    ],
)
def test_finish_reasons_are_mapped(finish: str, stop_reason: str) -> None:
    answer, _ = reader()
    answer.feed(chunk({"content": "x"}) + chunk({}, finish))
    assert answer.completion().stop_reason == stop_reason


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 2}, Usage(10, 2)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(6, 0, 4)),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4}, Usage(6, 0, 4)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cache_write_tokens": 3}}, Usage(7, 0, 0, 3)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(0, 0, 9)),
        ({"prompt_tokens": 2**64 - 1, "completion_tokens": -1}, Usage()),
        ({"prompt_tokens": None, "completion_tokens": "7", "prompt_tokens_details": None}, Usage()),
    ],
)
def test_usage_is_mapped(usage: dict[str, Any], expected: Usage) -> None:
    answer, _ = reader()
    answer.feed(chunk({"content": "x"}, "stop") + chunk(usage=usage) + DONE)
    assert answer.completion() == Completion("stop", expected)


def test_nothing_counts_after_done() -> None:
    answer, heard = reader()
    assert answer.feed(chunk({"content": "x"}) + DONE + chunk({"content": "y"})) is True
    assert heard.text == "x"
    assert answer.completion() == Completion("stop", Usage())


def test_thinking_without_an_answer_is_called_what_it_is() -> None:
    answer, _ = reader()
    answer.feed(chunk({"reasoning": "hm"}) + chunk({}, "length") + DONE)
    with pytest.raises(ModelError, match="used up its whole answer for thinking"):
        answer.completion()


def test_a_tool_call_that_nobody_offered_is_an_error() -> None:
    answer, _ = reader()
    answer.feed(chunk({"tool_calls": [{"index": 0}]}) + chunk({}, "tool_calls") + DONE)
    with pytest.raises(ModelError, match="asked for a tool"):
        answer.completion()


@pytest.mark.parametrize("finish", ["network_error", "insufficient_system_resource"])
def test_a_provider_that_gives_up_broke_off(finish: str) -> None:
    answer, _ = reader()
    answer.feed(chunk({"content": "x"}) + chunk({}, finish))
    with pytest.raises(ModelError) as caught:
        answer.completion()
    assert caught.value.kind is ModelErrorKind.BROKEN_OFF


@pytest.mark.parametrize("data", [b"data: [1]\n\n", b"data: nonsense\n\n", b'data: "text"\n\n'])
def test_data_that_is_no_chunk_is_named(data: bytes) -> None:
    answer, _ = reader()
    with pytest.raises(ModelError, match="no OpenAI-compatible answer"):
        answer.feed(data)


@given(texts=st.lists(st.text(max_size=8), max_size=12), cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_any_split_gives_the_same_answer(texts: list[str], cuts: list[int]) -> None:
    stream = b"".join(chunk({"content": text}) for text in texts) + chunk({"content": "."}, "stop") + DONE
    answer, heard = reader()
    start = 0
    for end in [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]:
        answer.feed(stream[start:end])
        start = end
    assert [delta.text for delta in heard.deltas] == [*filter(None, texts), "."]
    assert answer.completion() == Completion("stop", Usage())
