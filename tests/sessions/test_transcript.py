"""What a model gets to read of a transcript."""

from typing import Any

from openclawd.agents.model import ModelMessage, Usage
from openclawd.sessions.prompt import build_messages, prompt_tokens, system_prompt
from openclawd.sessions.text import shortened
from openclawd.sessions.transcript import assistant_message, gateway_message, user_message


def answer(text: str, thinking: str = "") -> dict[str, Any]:
    return assistant_message(
        "run", None, text=text, thinking=thinking, usage=Usage(), stop_reason="stop", now_ms=1
    )


def test_neighbours_of_one_role_become_one_message_and_the_gateway_is_left_out() -> None:
    stored = [
        user_message("1", "first", 1),
        user_message("2", "second", 2),
        gateway_message("status: fine", 3),
        answer("both"),
        user_message("3", "third", 4),
    ]
    assert build_messages("be kind", stored) == (
        ModelMessage("system", "be kind"),
        ModelMessage("user", "first\n\nsecond"),
        ModelMessage("assistant", "both"),
        ModelMessage("user", "third"),
    )


def test_a_conversation_that_was_cut_behind_a_question_begins_with_the_next_one() -> None:
    stored = [answer("of which the question is gone"), user_message("2", "and now?", 2)]
    assert build_messages("s", stored)[1:] == (ModelMessage("user", "and now?"),)


def test_only_what_is_sent_costs_anything() -> None:
    assert prompt_tokens(answer("yes", "t" * 100_000)) == prompt_tokens(answer("yes")) > 0
    assert prompt_tokens(answer("", "t" * 100_000)) == 0
    assert prompt_tokens(gateway_message("status: fine", 3)) == 0


def test_the_system_prompt_says_who_and_when() -> None:
    prompt = system_prompt("Molly", 1_795_348_747_000)
    assert "You are Molly" in prompt
    assert "22 November 2026" in prompt


def test_a_title_is_cut_between_words() -> None:
    assert shortened("a  short\nline", 60) == "a short line"
    assert shortened("word " * 30, 20) == "word word word\u2026"
    assert shortened("x" * 100, 20) == "x" * 19 + "\u2026"
    assert shortened("a b c d e", 5) == "a b\u2026"
    assert shortened("a b c", 5) == "a b c"
