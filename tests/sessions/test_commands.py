"""Which messages are for the gateway, and what it answers."""

from pathlib import Path

import pytest

from openclawd.agents.greeting import NEW_SESSION_PROMPT
from openclawd.sessions.commands import COMMANDS, Command, CommandName, help_text, is_stop, parse_command
from tests.sessions.stage import KEY, stage, texts


@pytest.mark.parametrize(
    "text",
    [
        "/stop",
        "/STOP",
        "stop",
        "Stop!",
        " please   stop. ",
        "Don\u2019t do that",
        "Aufhören!",
        "停止。",
        "стоп",
    ],
)
def test_a_message_that_only_asks_to_stop_is_a_stop(text: str) -> None:
    assert is_stop(text)


@pytest.mark.parametrize(
    "text", ["stop the car at the corner", "/stopwatch", "unstoppable", "", "!", "how do I stop it"]
)
def test_a_message_that_says_more_is_not(text: str) -> None:
    assert not is_stop(text)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/status", Command(CommandName.STATUS)),
        (" /Help ", Command(CommandName.HELP)),
        ("/new", Command(CommandName.NEW)),
        ("/new  Hello there", Command(CommandName.NEW, "Hello there")),
        ("/reset\nfirst line\nsecond", Command(CommandName.RESET, "first line\nsecond")),
        ("/status of my order", None),
        ("/news", None),
        ("/model", Command(CommandName.MODEL)),
        ("/model openai/gpt-5", Command(CommandName.MODEL, "openai/gpt-5")),
        ("/model trains are fun", None),
        ("/models", Command(CommandName.MODELS)),
        ("/models all", None),
        ("/think high", Command(CommandName.THINK, "high")),
        ("/think about my plans", None),
        ("/usage cost", Command(CommandName.USAGE, "cost")),
        ("/compact keep the names", Command(CommandName.COMPACT, "keep the names")),
        ("/whoami", Command(CommandName.WHOAMI)),
        ("/", None),
        ("what is /new", None),
        ("hello", None),
    ],
)
def test_a_command_is_recognised_only_as_what_it_is(text: str, command: Command | None) -> None:
    assert parse_command(text) == command


def test_help_lists_every_command_there_is() -> None:
    assert {command.name for command in COMMANDS} == {*CommandName, "stop"}
    assert all(f"`{command.usage}`" in help_text() for command in COMMANDS)


async def test_status_answers_with_one_final_and_a_full_transcript_message(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("hello", "run-1")
        await held.ended("run-1")
        assert await held.send("/status", "run-2") == {"runId": "run-2", "status": "started"}
        assert held.of("run-2") == [], "the acknowledgement comes first"
        final = await held.ended("run-2")
        told = await held.history()
        assert await held.send("/status", "run-2") == {"runId": "run-2", "status": "ok"}
    assert len(held.of("run-2")) == 1
    assert (final["seq"], final["state"], final["sessionKey"]) == (1, "final", KEY)
    message = final["message"]
    assert message.keys() == {
        *("role", "content", "timestamp", "stopReason", "usage", "api", "provider", "model")
    }
    assert (message["provider"], message["model"], message["stopReason"]) == (
        "openclaw",
        "gateway-injected",
        "stop",
    )
    assert message["usage"]["cost"] == {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0}
    lines = message["content"][0]["text"].splitlines()
    assert lines == [
        "openclawd 1.2.3",
        "Model: scripted/model-1",
        f"Session: {KEY}",
        "Last turn: 10 tokens in, 3 out",
        "Context: 12 of 8000 tokens (0%)",
        "Queue: idle, 0 waiting",
    ]
    assert [role for role, _ in texts(told)] == ["user", "assistant", "assistant"], (
        "the command is not stored"
    )


async def test_a_command_is_answered_while_a_turn_waits_and_is_no_context(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("/help", "run-1")
        await held.send("hello", "run-2")
        await held.ended("run-2")
    assert [message.role for message in held.model.requests[0].messages] == ["system", "user"]


async def test_new_starts_a_conversation_in_which_the_model_speaks_first(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("old words", "run-1")
        await held.ended("run-1")
        before = await held.history()
        await held.send("/new", "run-2")
        await held.ended("run-2")
        after = await held.history()
    assert after["sessionId"] != before["sessionId"]
    assert texts(after) == [("assistant", f"you said {NEW_SESSION_PROMPT} ")]
    assert [message.text for message in held.model.requests[-1].messages[1:]] == [NEW_SESSION_PROMPT]


async def test_words_after_reset_are_the_first_message_of_the_conversation(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("old words", "run-1")
        await held.send("/reset fresh words", "run-2")
        await held.ended("run-2")
        assert texts(await held.history()) == [
            ("user", "fresh words"),
            ("assistant", "you said fresh words "),
        ]


async def test_an_unknown_command_goes_to_the_model(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        await held.send("/bogus cmd", "run-1")
        await held.ended("run-1")
        assert texts(await held.history())[0] == ("user", "/bogus cmd")
