"""The `openai-completions` wire against a real server on loopback: what goes out, what comes in, and when."""

from functools import partial

import pytest
import trio
import trio.testing

from openclawd.agents.model import Completion, Image, TextDelta, Usage
from openclawd.agents.openai_completions import CompletionsModel
from openclawd.agents.provider import Provider
from openclawd.config.secret import Secret
from tests.agents.asking import KEY, Heard, ask, endpoint, question
from tests.fake_provider import SPLIT_TEXT, open_fake_provider

PATIENCE_S = 10.0


async def test_an_answer_comes_in_pieces_and_ends_with_its_usage() -> None:
    async with open_fake_provider() as provider:
        heard = await ask(provider.base_url, "hello there")
    assert heard.text == "You said: hello there"
    assert len(heard.deltas) == 4
    assert heard.completion == Completion("stop", Usage(input=4, output=4))


async def test_the_request_is_what_openai_documents() -> None:
    async with open_fake_provider() as provider:
        await ask(provider.base_url, "hello")
    [request] = provider.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.body == {
        "model": "fake-model",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("openclawd/")
    assert request.headers["accept-encoding"] == "identity"


async def test_a_slash_at_the_end_of_the_base_url_makes_no_difference() -> None:
    async with open_fake_provider() as provider:
        await ask(provider.base_url + "/", "hello")
    assert provider.requests[0].path == "/v1/chat/completions"


async def test_a_local_server_without_a_key_gets_no_authorization() -> None:
    async with open_fake_provider() as provider:
        await ask(provider.base_url, "hello", key=None)
    assert "authorization" not in provider.requests[0].headers


async def test_user_and_password_of_a_base_url_become_basic_authorization() -> None:
    async with open_fake_provider() as provider:
        await ask(f"http://me:p%40ss@127.0.0.1:{provider.port}/v1", "hello", key=None)
    assert provider.requests[0].headers["authorization"] == "Basic bWU6cEBzcw=="


async def test_configured_headers_go_along() -> None:
    async with open_fake_provider() as provider:
        headers = {"X-Title": "openclawd", "X-Team-Key": Secret("hush-hush")}
        server = Provider(endpoint(provider.base_url, extra_headers=headers))
        await CompletionsModel(server, "fake-model").complete(question("hello"), Heard().deltas.append)
        await server.aclose()
    assert provider.requests[0].headers["x-title"] == "openclawd"
    assert provider.requests[0].headers["x-team-key"] == "hush-hush"


async def test_the_limit_of_the_request_comes_before_the_models_own() -> None:
    async with open_fake_provider() as provider:
        server = Provider(endpoint(provider.base_url))
        model = CompletionsModel(server, "fake-model", max_tokens=1000)
        await model.complete(question("hello"), Heard().deltas.append)
        await model.complete(question("hello", max_tokens=7), Heard().deltas.append)
        await server.aclose()
    assert [request.body["max_tokens"] for request in provider.requests] == [1000, 7]


async def test_images_go_as_data_urls_before_the_words() -> None:
    async with open_fake_provider() as provider:
        heard = await ask(provider.base_url, "what is this?", images=(Image("image/gif", b"GIF89a"),))
    assert provider.requests[0].body["messages"][1]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}},
        {"type": "text", "text": "what is this?"},
    ]
    assert heard.text == "You said: what is this? [with image/gif]"


@pytest.mark.parametrize(
    ("model", "reasons", "level", "effort"),
    [
        ("qwen3", True, "high", "high"),
        ("qwen3", True, "off", None),
        ("qwen3", False, "high", None),
        ("gpt-5-mini", True, "off", "minimal"),
        ("gpt-5.2", True, "off", "none"),
        ("gpt-5.2", True, "xhigh", "xhigh"),
        ("gpt-6-sol", True, "off", "none"),
        ("openai/gpt-6.2-sol", True, "off", "low"),
        ("o3", True, "off", "low"),
    ],
)
async def test_thinking_becomes_the_effort_of_a_model_that_reasons(
    model: str, reasons: bool, level: str, effort: str | None
) -> None:
    async with open_fake_provider() as provider:
        await ask(provider.base_url, "hello", model=model, reasons=reasons, thinking=level)
    assert provider.requests[0].body.get("reasoning_effort") == effort


async def test_the_next_turn_reuses_the_connection() -> None:
    async with open_fake_provider() as provider:
        server = Provider(endpoint(provider.base_url))
        for _ in range(3):
            await CompletionsModel(server, "fake-model").complete(question("hello"), Heard().deltas.append)
        await server.aclose()
    assert [request.connection for request in provider.requests] == [1, 1, 1]


async def test_a_connection_that_the_server_closed_meanwhile_is_made_anew() -> None:
    async with open_fake_provider() as provider:
        server = Provider(endpoint(provider.base_url))
        for message in ("CLOSE_AFTER", "hello"):
            heard = Heard()
            await CompletionsModel(server, "fake-model").complete(question(message), heard.deltas.append)
            assert heard.text == f"You said: {message}"
            await trio.testing.wait_all_tasks_blocked()  # until the server has closed its end
        await server.aclose()
    assert [request.connection for request in provider.requests] == [1, 2]


async def test_a_stream_cut_into_single_bytes_is_read_whole() -> None:
    async with open_fake_provider() as provider:
        assert (await ask(provider.base_url, "SPLIT")).text == SPLIT_TEXT


async def test_thousands_of_tiny_deltas_arrive_in_order() -> None:
    async with open_fake_provider() as provider:
        heard = await ask(provider.base_url, "TINY=3000")
    assert heard.text == ("abcdefghijklmnopqrstuvwxyz" * 116)[:3000]
    assert len(heard.deltas) == 3000


async def test_a_delta_larger_than_any_buffer_arrives_whole() -> None:
    async with open_fake_provider() as provider:
        assert (await ask(provider.base_url, "BIG=300000")).text == "x" * 300_000


async def test_reasoning_is_told_apart_from_the_answer() -> None:
    async with open_fake_provider() as provider:
        heard = await ask(provider.base_url, "THINK")
    assert heard.thinking == "Let me think."
    assert heard.text == "You said: THINK"


async def test_tokens_read_from_the_cache_are_counted_apart() -> None:
    async with open_fake_provider() as provider:
        heard = await ask(provider.base_url, "CACHED words for this")
    assert heard.completion == Completion("stop", Usage(input=3, output=6, cache_read=3))


async def test_an_answer_cut_by_its_length_says_so() -> None:
    async with open_fake_provider() as provider:
        heard = await ask(provider.base_url, "LENGTH")
    assert heard.completion is not None
    assert heard.completion.stop_reason == "length"


async def test_a_server_that_does_not_stream_is_understood() -> None:
    async with open_fake_provider() as provider:
        heard = await ask(provider.base_url, "WHOLE")
    assert heard.deltas == [TextDelta("You said: WHOLE")]


async def test_a_finish_reason_is_enough_when_the_stream_is_dropped_after_it() -> None:
    async with open_fake_provider() as provider:
        heard = await ask(provider.base_url, "NO_DONE")
    assert heard.text == "You said: NO_DONE"
    assert heard.completion == Completion("stop", Usage())


async def test_a_body_that_ends_without_the_last_blank_line_is_whole() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        received = b""
        while not received.endswith(b"}"):
            received += await stream.receive_some()
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            b'data: {"choices": [{"delta": {"content": "bye"}, "finish_reason": "stop"}]}'
        )
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, answer, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        heard = await ask(f"http://127.0.0.1:{port}/v1", "hello")
        nursery.cancel_scope.cancel()
    assert heard.text == "bye"
    assert heard.completion == Completion("stop", Usage())


async def test_done_is_the_end_even_if_the_server_leaves_the_body_open() -> None:
    async with open_fake_provider() as provider:
        with trio.fail_after(PATIENCE_S):
            heard = await ask(provider.base_url, "LINGER")
            await provider.requests[0].ended.wait()
    assert heard.text == "You said: LINGER"
    assert provider.requests[0].hung_up


async def test_a_delta_is_emitted_while_the_provider_pauses_after_it() -> None:
    async with open_fake_provider() as provider, trio.open_nursery() as nursery:
        first = trio.Event()
        heard = Heard()

        def emit(delta: object) -> None:
            heard.deltas.append(TextDelta(str(delta)))
            first.set()

        server = Provider(endpoint(provider.base_url))
        model = CompletionsModel(server, "fake-model")
        nursery.start_soon(model.complete, question("HANG_MIDDLE"), emit)
        with trio.fail_after(PATIENCE_S):
            await first.wait()
        assert len(heard.deltas) == 1
        nursery.cancel_scope.cancel()
    await server.aclose()


async def test_cancelling_closes_the_connection_at_once() -> None:
    for message in ("SLOW=1000", "HANG", "HANG_HEAD", "HANG_MIDDLE"):
        async with open_fake_provider() as provider:
            server = Provider(endpoint(provider.base_url))
            model = CompletionsModel(server, "fake-model")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(model.complete, question(message), Heard().deltas.append)
                with trio.fail_after(PATIENCE_S):
                    await provider.until_asked()
                nursery.cancel_scope.cancel()
            with trio.fail_after(PATIENCE_S):
                await provider.requests[0].ended.wait()
            assert provider.requests[0].hung_up
            await server.aclose()


async def test_a_cancelled_turn_leaves_the_provider_usable() -> None:
    async with open_fake_provider() as provider:
        server = Provider(endpoint(provider.base_url))
        model = CompletionsModel(server, "fake-model")
        with trio.CancelScope() as scope:
            await model.complete(question("SLOW"), lambda _: scope.cancel())
        assert scope.cancelled_caught
        heard = Heard()
        await model.complete(question("hello"), heard.deltas.append)
        assert heard.text == "You said: hello"
        await server.aclose()


async def test_turns_run_side_by_side() -> None:
    async with open_fake_provider() as provider:
        server = Provider(endpoint(provider.base_url))
        model = CompletionsModel(server, "fake-model")
        heard = [Heard() for _ in range(20)]
        async with trio.open_nursery() as nursery:
            for number, each in enumerate(heard):
                nursery.start_soon(model.complete, question(f"number {number}"), each.deltas.append)
        assert [each.text for each in heard] == [f"You said: number {number}" for number in range(20)]
        await server.aclose()
