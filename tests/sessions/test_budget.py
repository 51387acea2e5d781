"""How a context window is shared, and that conversations of any language and length go on."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.agents.model import Completion, Emit, ModelMessage, TextDelta, ThinkingDelta, Usage
from openclawd.sessions.budget import MIN_ANSWER_TOKENS, Budget, tokens_of
from tests.sessions.stage import stage


def user(text: str) -> list[ModelMessage]:
    return [ModelMessage("user", text)]


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 4), ("x", 5), ("x" * 40, 14), ("\u4f60\u597d", 6), ("caf\u00e9 au lait", 8)]
)
def test_ascii_is_four_characters_a_token_and_the_rest_one(text: str, tokens: int) -> None:
    assert tokens_of(text) == tokens


@pytest.mark.parametrize(
    ("window", "max_tokens", "prompt"),
    [
        (128_000, None, 119_808),
        (128_000, 4_096, 123_904),
        (32_768, 32_768, 16_384),
        (8_000, None, 4_000),
        (None, None, 24_576),
    ],
)
def test_the_answer_has_its_share_of_the_window(
    window: int | None, max_tokens: int | None, prompt: int
) -> None:
    assert Budget(window, max_tokens).prompt == prompt


def test_a_limit_as_large_as_the_window_leaves_room_for_the_prompt() -> None:
    assert Budget(32_768, 32_768).answer(user("x" * 3_984)) == 32_768 - 1_000 - 250


def test_a_limit_is_sent_as_configured_where_it_fits_or_the_window_is_unknown() -> None:
    assert Budget(128_000, 4_096).answer(user("x" * 4 * 123_000)) == 4_096
    assert Budget(None, 64_000).answer(user("x" * 4 * 30_000)) == 64_000
    assert Budget(128_000, None).answer(user("x")) is None


def test_one_message_that_fills_the_window_still_asks_for_an_answer() -> None:
    assert Budget(32_768, 32_768).answer(user("x" * 400_000)) == MIN_ANSWER_TOKENS


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_prompt_within_its_share_and_the_answer_never_exceed_the_window(
    window: int, max_tokens: int, chars: int
) -> None:
    budget = Budget(window, max_tokens)
    messages = user("x" * chars)
    limit = budget.answer(messages)
    assert limit is not None
    assert 0 < limit <= max_tokens or window == 1
    if (prompt := tokens_of(messages[0].text)) <= budget.prompt:
        assert prompt + limit <= window
        assert limit >= min(max_tokens, window // 2)


async def test_a_model_is_asked_for_what_its_window_has_left(tmp_path: Path) -> None:
    async with stage(tmp_path, window=32_768, max_tokens=32_768) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
    (request,) = held.model.requests
    assert request.max_tokens is not None
    assert 30_000 < request.max_tokens < 32_768


async def test_stored_thinking_takes_nothing_from_what_a_model_reads(tmp_path: Path) -> None:
    async def thinks(_: str, emit: Emit) -> Completion:
        emit(ThinkingDelta("hm " * 20_000))
        emit(TextDelta("yes"))
        return Completion("stop", Usage())

    async with stage(tmp_path, thinks) as held:
        for number in range(3):
            await held.send(f"question {number}", f"run-{number}")
            await held.ended(f"run-{number}")
    read = [message.text for message in held.model.requests[-1].messages[1:]]
    assert read == ["question 0", "yes", "question 1", "yes", "question 2"]


@pytest.mark.parametrize("letter", ["x" * 4, "\u8a9e"])
async def test_a_conversation_longer_than_the_window_goes_on_with_its_newest(
    tmp_path: Path, letter: str
) -> None:
    async def talks(_: str, emit: Emit) -> Completion:
        emit(TextDelta(letter * 1_200))
        return Completion("stop", Usage())

    async with stage(tmp_path, talks) as held:
        for number in range(6):
            await held.send(f"question {number}", f"run-{number}")
            await held.ended(f"run-{number}")
    system, *read = held.model.requests[-1].messages
    assert system.role == "system"
    assert [message.role for message in read] == ["user", "assistant"] * 3 + ["user"]
    assert read[0].text == "question 2"
    assert sum(tokens_of(message.text) for message in (system, *read)) <= 4_000


async def test_a_message_longer_than_the_window_is_sent_alone(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("before", "run-1")
        await held.ended("run-1")
        await held.send("x" * 100_000, "run-2")
        await held.ended("run-2")
    assert [len(message.text) for message in held.model.requests[-1].messages[1:]] == [100_000]
