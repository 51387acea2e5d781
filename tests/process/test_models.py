"""Several providers behind one gateway: Anthropic's wire, pictures, thinking, costs, fallbacks, keys."""

import base64
from collections.abc import Generator
from typing import Any

import pytest

from tests.process.chats import history, send, story, text_of
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.pictures import picture
from tests.support.provider_process import KEY, ProviderProcess, provider_process
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = pytest.mark.process

PNG = base64.b64encode(picture("png", 3, 2)).decode()
SHAKY = {"primary": "down/plain", "fallbacks": ["strange/plain", "open/plain"]}
PRICES = {"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75}
CLAUDE = {
    "id": "claude-sonnet-4-5",
    "name": "Claude",
    "reasoning": True,
    "input": ["text", "image"],
    "contextWindow": 200_000,
    "maxTokens": 16_000,
    "cost": PRICES,
}
PLAIN = {"id": "plain", "name": "Plain", "contextWindow": 8_000}
V4 = (4, 4)
NOBODY = "http://127.0.0.1:1/v1"


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    config = {
        "models": {
            "providers": {
                "claude": {
                    "baseUrl": provider.url,
                    "apiKey": KEY,
                    "api": "anthropic-messages",
                    "models": [CLAUDE],
                },
                "open": {"baseUrl": f"{provider.url}/v1", "apiKey": KEY, "models": [PLAIN]},
                "down": {"baseUrl": NOBODY, "models": [PLAIN]},
                "strange": {"baseUrl": f"{provider.url}/v1", "apiKey": "sk-wrong-wrong", "models": [PLAIN]},
            }
        },
        "agents": {
            "defaults": {"model": {"primary": "claude/claude-sonnet-4-5"}},
            "list": [
                {"id": "main", "default": True},
                {
                    "id": "shaky",
                    "model": {"primary": "down/plain", "fallbacks": ["strange/plain", "open/plain"]},
                },
            ],
        },
    }
    with gateway_process(config) as running:
        yield running


async def answered(
    client: WireClient, run_id: str, message: str, session: str, **more: Any
) -> dict[str, Any]:
    """Send, wait; the last chat event."""
    await send(client, run_id, message, session, **more)
    last: dict[str, Any] = (await story(client, run_id))[-1]["payload"]
    return last


async def test_a_picture_goes_to_anthropic_and_the_answer_has_its_price(
    gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    key = "agent:main:picture"
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=V4)
        files = [{"type": "image", "mimeType": "image/png", "fileName": "cat.png", "content": PNG}]
        final = await answered(client, "pic-1", "CACHED what is this", key, attachments=files)
        said = (await client.call("chat.history", {"sessionKey": key}))["messages"]
        usage = await client.call("sessions.usage", {"key": key})
    assert text_of(final["message"]) == "You said: CACHED what is this [with image/png]"
    (chat,) = provider.asked("CACHED what is this")
    assert chat["path"] == "/v1/messages"
    assert chat["headers"]["x-api-key"] == KEY
    counted = said[-1]["usage"]
    assert counted["cacheRead"] > counted["cacheWrite"] > 0
    cost = sum(counted[kind] * price for kind, price in PRICES.items()) / 1_000_000
    assert counted["cost"]["total"] == pytest.approx(cost)
    assert usage["totals"]["totalCost"] == pytest.approx(cost)
    assert usage["totals"]["totalTokens"] == counted["totalTokens"]


async def test_thinking_is_chosen_for_one_message(gateway: GatewayProcess, provider: ProviderProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=V4)
        await answered(client, "think-1", "THINK hard", "agent:main:think", thinking="high")
        await answered(client, "think-2", "hardly", "agent:main:think")
        messages = await history(client, "agent:main:think")
    hard, hardly = provider.asked("THINK hard") + provider.asked("hardly")
    assert hard["body"]["thinking"]["type"] == "enabled"
    assert "thinking" not in hardly["body"]
    thought = [part for part in messages[1]["content"] if part["type"] == "thinking"]
    assert thought[0]["thinking"] == "Let me think."


async def test_a_session_keeps_the_model_that_was_chosen_for_it(
    gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    key = "agent:main:chosen"
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=V4)
        await client.call("sessions.patch", {"key": key, "model": "open/plain"})
        await answered(client, "chosen-1", "to the other one", key)
        files = [{"content": PNG, "fileName": "cat.png"}]
        await answered(client, "chosen-2", "and this", key, attachments=files)
    (first,) = provider.asked("to the other one")
    assert first["path"] == "/v1/chat/completions"
    (second,) = provider.asked("and this")
    told = second["body"]["messages"][-1]["content"]
    assert told == "[attached: cat.png, which is not shown here: this model takes no images]\n\nand this"


async def test_the_next_model_answers_for_a_provider_that_does_not(gateway: GatewayProcess) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=V4)
        final = await answered(client, "shaky-1", "anybody there?", "agent:shaky:main")
        said = (await client.call("chat.history", {"sessionKey": "agent:shaky:main"}))["messages"]
        listed = (await client.call("models.list", {"agentId": "shaky"}))["models"]
    assert text_of(final["message"]) == "You said: anybody there?"
    assert (said[-1]["provider"], said[-1]["model"]) == ("open", "plain")
    kinds = [line["kind"] for line in gateway.decisions("model replaced by its fallback")]
    assert kinds == ["unreachable", "bad_key"]
    rows = {row["provider"]: row for row in listed}
    assert rows["down"]["tags"] == ["default"]
    assert rows["strange"]["unavailableReason"] == "auth-failed"
    assert rows["open"]["available"] is True


async def test_models_are_listed_in_the_form_of_each_generation(gateway: GatewayProcess) -> None:
    rows: dict[int, dict[str, Any]] = {}
    for generation in (3, 4):
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN, protocol=(generation, generation))
            rows[generation] = (await client.call("models.list", {}))["models"][0]
    v3 = {
        "id": "claude-sonnet-4-5",
        "name": "Claude",
        "provider": "claude",
        "contextWindow": 200_000,
        "reasoning": True,
        "input": ["text", "image"],
    }
    assert rows[3] == v3
    levels = [{"id": level, "label": level} for level in ("off", "minimal", "low", "medium", "high")]
    assert rows[4] == {
        **v3,
        "tags": ["default"],
        "available": True,
        "thinkingLevels": levels,
        "thinkingDefault": "off",
        "supportsTools": False,
    }


async def test_where_keys_come_from_is_told_and_no_key(provider: ProviderProcess) -> None:
    environment = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.url}
    config = {
        "models": {"providers": {"openai": {"baseUrl": "https://api.openai.com/v1", "models": [PLAIN]}}}
    }
    with gateway_process(config, environment=environment) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN, protocol=V4)
            status = await client.call("models.authStatus", {})
            with pytest.raises(Refused, match="preparedOnly or refresh"):
                await client.call("models.list", {"preparedOnly": True, "refresh": True})
            patched = {"key": "agent:main:main", "model": "anthropic/claude-haiku-4-5"}
            await client.call("sessions.patch", patched)
            final = await answered(client, "env-1", "hello", "agent:main:main")
    assert text_of(final["message"]) == "You said: hello"
    assert KEY not in str(status)
    rows = {row["provider"]: row for row in status["providers"]}
    assert (rows["openai"]["status"], rows["anthropic"]["status"]) == ("missing", "static")
    assert rows["anthropic"]["apiKey"] == {"source": "env", "envVar": "ANTHROPIC_API_KEY"}


async def test_a_file_that_cannot_be_read_is_refused_before_anything_is_accepted(
    gateway: GatewayProcess,
) -> None:
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=V4)
        file = {"mimeType": "application/pdf", "content": base64.b64encode(b"%PDF-1.7").decode()}
        with pytest.raises(Refused, match=r"attachments\[0\].content: a file of this kind"):
            await send(client, "pdf-1", "read this", "agent:main:pdf", attachments=[file])
        assert await history(client, "agent:main:pdf") == []


async def test_a_conversation_is_summed_up_by_its_model(
    gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    key = "agent:main:long"
    async with wire_client(gateway.port) as client:
        await client.connect(token=TOKEN, protocol=V4)
        await answered(client, "long-1", "my cat is called Mia", key)
        assert (await client.call("sessions.compact", {"key": key}))["compacted"] is True
        await answered(client, "long-2", "who is my cat?", key)
    (asked,) = provider.asked("who is my cat?")
    (only,) = asked["body"]["messages"]
    assert only["content"][0]["text"].startswith("Summary of the conversation until now:\n\nYou said:")
