"""The `anthropic-messages` wire against a real server on loopback: what goes out, what comes in."""

from typing import Any

import pytest

from openclawd.agents.anthropic_messages import MessagesModel
from openclawd.agents.entries import ANTHROPIC_MESSAGES
from openclawd.agents.model import Completion, Image, ModelMessage, ModelRequest, Usage
from openclawd.agents.provider import Provider
from openclawd.config.secret import Secret
from tests.agents.asking import KEY, Heard, ask, ask_in_vain, endpoint
from tests.fake_provider import SPLIT_TEXT, FakeProvider, open_fake_provider

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
MARK = {"cache_control": {"type": "ephemeral"}}


async def asked(provider: FakeProvider, text: str, **more: Any) -> Heard:
    return await ask(provider.url, text, api=ANTHROPIC_MESSAGES, **more)


async def body(**more: Any) -> dict[str, Any]:
    """The body of one request."""
    async with open_fake_provider() as provider:
        await asked(provider, "hello", **more)
        found: dict[str, Any] = provider.requests[0].body
        return found


async def conversation(*messages: ModelMessage) -> dict[str, Any]:
    """The body of the request for a whole conversation."""
    async with open_fake_provider() as provider:
        server = Provider(endpoint(provider.url, api=ANTHROPIC_MESSAGES))
        request = ModelRequest(messages, "agent:main:main")
        await MessagesModel(server, "claude").complete(request, Heard().deltas.append)
        await server.aclose()
        found: dict[str, Any] = provider.requests[0].body
        return found


async def test_an_answer_comes_in_pieces_and_ends_with_its_usage() -> None:
    async with open_fake_provider() as provider:
        heard = await asked(provider, "hello there")
    assert heard.text == "You said: hello there"
    assert len(heard.deltas) == 4
    assert heard.completion == Completion("stop", Usage(input=4, output=4))


async def test_the_request_is_what_anthropic_documents() -> None:
    async with open_fake_provider() as provider:
        await asked(provider, "hello")
    [request] = provider.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.body == {
        "model": "fake-model",
        "max_tokens": 8192,
        "system": [{"type": "text", "text": "Be brief.", **MARK}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello", **MARK}]}],
        "stream": True,
    }
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in request.headers


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_base_url_may_have_its_version_or_not(suffix: str) -> None:
    async with open_fake_provider() as provider:
        await ask(provider.url + suffix, "hello", api=ANTHROPIC_MESSAGES)
    assert provider.requests[0].path == "/v1/messages"


async def test_a_server_that_wants_a_bearer_gets_one_by_its_headers() -> None:
    async with open_fake_provider(key="hush-hush") as provider:
        headers = {"Authorization": Secret("Bearer hush-hush")}
        server = Provider(endpoint(provider.url, key=None, api=ANTHROPIC_MESSAGES, extra_headers=headers))
        heard = Heard()
        request = ModelRequest((ModelMessage("user", "hello"),), "agent:main:main")
        await MessagesModel(server, "claude").complete(request, heard.deltas.append)
        await server.aclose()
    assert heard.text == "You said: hello"


async def test_the_system_prompt_and_the_last_two_turns_of_the_user_are_cached() -> None:
    sent = await conversation(
        ModelMessage("system", "Be brief."),
        ModelMessage("user", "one"),
        ModelMessage("assistant", "two"),
        ModelMessage("user", "three"),
        ModelMessage("assistant", "four"),
        ModelMessage("user", "five"),
    )
    blocks = [turn["content"][0] for turn in sent["messages"]]
    assert [block["text"] for block in blocks if "cache_control" in block] == ["three", "five"]
    assert "cache_control" in sent["system"][0]


async def test_images_stand_before_the_words_and_the_mark_behind_both() -> None:
    async with open_fake_provider() as provider:
        heard = await asked(provider, "what is this?", images=(Image("image/png", PNG),))
    picture, words = provider.requests[0].body["messages"][0]["content"]
    assert picture["source"]["media_type"] == "image/png"
    assert words == {"type": "text", "text": "what is this?", **MARK}
    assert provider.requests[0].images == [("image/png", len(PNG))]
    assert heard.text == "You said: what is this? [with image/png]"


async def test_a_picture_without_words_is_sent_without_an_empty_block() -> None:
    sent = await conversation(ModelMessage("user", "", (Image("image/png", PNG),)))
    assert [block["type"] for block in sent["messages"][0]["content"]] == ["image"]


async def test_the_limit_of_the_request_comes_before_the_models_own() -> None:
    assert (await body(max_tokens=7))["max_tokens"] == 7


@pytest.mark.parametrize(
    ("model", "level", "expected"),
    [
        ("claude-sonnet-4-5", "off", {}),
        ("claude-sonnet-4-5", "minimal", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ("claude-sonnet-4-5-20250929", "medium", {"thinking": {"type": "enabled", "budget_tokens": 8192}}),
        ("some-other-model", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("claude-opus-4-6", "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("claude-opus-4-6", "off", {"thinking": {"type": "disabled"}}),
        (
            "claude-sonnet-5-5",
            "xhigh",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "xhigh"}},
        ),
        ("claude-sonnet-5-5", "off", {"thinking": {"type": "between_tools"}}),
        ("claude-haiku-5-5", "off", {"thinking": {"type": "disabled"}}),
        ("claude-opus-5-5", "off", {}),
        ("claude-fable-5-1", "off", {}),
    ],
)
async def test_thinking_is_asked_for_in_the_form_that_the_model_takes(
    model: str, level: str, expected: dict[str, Any]
) -> None:
    sent = await body(model=model, thinking=level, reasons=True, max_tokens=20_000)
    assert {key: sent[key] for key in ("thinking", "output_config") if key in sent} == expected


async def test_a_short_answer_leaves_no_room_for_a_budget() -> None:
    assert "thinking" not in await body(thinking="high", reasons=True, max_tokens=1500)
    assert (await body(thinking="high", reasons=True, max_tokens=5000))["thinking"]["budget_tokens"] == 3976


async def test_a_model_that_is_not_known_to_reason_is_not_told_to() -> None:
    assert "thinking" not in await body(model="claude-opus-4-6", thinking="high")


async def test_thinking_is_told_apart_from_the_answer() -> None:
    async with open_fake_provider() as provider:
        heard = await asked(provider, "THINK")
    assert heard.thinking == "Let me think."
    assert heard.text == "You said: THINK"


async def test_tokens_of_the_cache_are_counted_apart() -> None:
    async with open_fake_provider() as provider:
        heard = await asked(provider, "CACHED one two three four five")
    assert heard.completion is not None
    assert heard.completion.usage == Usage(input=2, output=8, cache_read=4, cache_write=2)


async def test_an_answer_cut_by_its_length_says_so() -> None:
    async with open_fake_provider() as provider:
        heard = await asked(provider, "LENGTH")
    assert heard.completion is not None
    assert heard.completion.stop_reason == "length"


@pytest.mark.parametrize("message", ["SPLIT", "WHOLE", "NO_DONE", "LINGER"])
async def test_servers_that_stream_otherwise_are_understood(message: str) -> None:
    async with open_fake_provider() as provider:
        heard = await asked(provider, message)
    assert heard.text == (SPLIT_TEXT if message == "SPLIT" else f"You said: {message}")
    assert heard.completion is not None
    assert heard.completion.stop_reason == "stop"


@pytest.mark.parametrize("message", ["OVERLOADED_ONCE", "RATE_LIMIT", "FAIL_ONCE", "DROP_ONCE"])
async def test_what_fails_before_the_first_word_is_asked_once_more(message: str) -> None:
    async with open_fake_provider() as provider:
        heard = await asked(provider, message)
    assert heard.text == f"You said: {message}"
    assert len(provider.requests) == 2


async def test_a_base_url_that_is_none_says_what_one_looks_like() -> None:
    error, _ = await ask_in_vain("nonsense", "hello", api=ANTHROPIC_MESSAGES)
    assert "is not an http or https address" in str(error)


async def test_a_server_without_messages_is_told_from_an_unknown_model() -> None:
    async with open_fake_provider() as provider:
        error, _ = await ask_in_vain(provider.url + "/elsewhere", "hello", api=ANTHROPIC_MESSAGES)
    assert f"There is no v1/messages at {provider.url}/elsewhere (HTTP 404)" in str(error)
