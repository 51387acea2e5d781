"""Choosing who answers and how hard it thinks; and the quiet figures about what was used."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import GatewayStarter
from tests.browser.pages import ChatPage, Visitor
from tests.browser.test_keyboard import PHONE
from tests.support.gateway_process import GatewayProcess
from tests.support.provider_process import MODEL, ProviderProcess

pytestmark = pytest.mark.browser

THINKER = "vendor/fake-large"
PRICES = {"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75}


@pytest.fixture
def choice(start_gateway: GatewayStarter, provider: ProviderProcess) -> GatewayProcess:
    """Two models that answer, one of which thinks, and a provider without a key."""
    config = provider.config()
    providers: dict[str, Any] = config["models"]["providers"]
    providers["fake"]["models"] = [
        {"id": MODEL, "name": "Fake", "contextWindow": 4000, "cost": PRICES},
        {"id": THINKER, "name": "Fake Large", "contextWindow": 1_000_000, "reasoning": True},
    ]
    providers["openai"] = {
        "baseUrl": "https://api.openai.com/v1",
        "api": "openai-completions",
        "models": [{"id": "locked", "name": "Locked"}],
    }
    return start_gateway(config)


def picker(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("dialog", name="Model")


def open_picker(chat: ChatPage) -> Locator:
    chat.page.get_by_role("button", name=re.compile("^Model")).click()
    expect(picker(chat).get_by_role("option", name=re.compile("Fake Large"))).to_be_visible()
    return picker(chat)


def is_shown(chat: ChatPage, words: str) -> None:
    expect(chat.page.get_by_role("button", name=f"Model: {words}", exact=True)).to_be_visible()


def test_the_models_stand_under_their_providers_and_the_one_in_use_is_marked(
    visitor: Visitor, choice: GatewayProcess
) -> None:
    chat = visitor.chat(choice)
    panel = open_picker(chat)
    expect(panel.get_by_role("group", name="fake")).to_contain_text("Fake Large")
    expect(panel.get_by_role("option", name=re.compile("^Fake 4"))).to_contain_text("in use")
    expect(panel.get_by_role("option", name=re.compile("Default"))).to_have_attribute("aria-selected", "true")


def test_a_chosen_model_answers_in_this_chat_and_no_other(
    visitor: Visitor, choice: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = visitor.chat(choice, "chooses")
    chat.say("before the choice")
    chat.has_answered("You said: before the choice")
    open_picker(chat).get_by_role("option", name=re.compile("Fake Large")).click()
    expect(picker(chat)).to_be_hidden()
    is_shown(chat, THINKER)
    chat.say("after the choice")
    chat.has_answered("You said: after the choice")
    assert [asked["body"]["model"] for asked in provider.asked("after the choice")] == [THINKER]
    chat.page.reload()
    chat.is_online()
    is_shown(chat, THINKER)
    chat.go_to("Main")
    is_shown(chat, MODEL)


def test_a_chat_can_go_back_to_the_default_model(visitor: Visitor, choice: GatewayProcess) -> None:
    chat = visitor.chat(choice, "goes-back")
    open_picker(chat).get_by_role("option", name=re.compile("Fake Large")).click()
    is_shown(chat, THINKER)
    panel = open_picker(chat)
    expect(panel.get_by_role("option", name=re.compile("Fake Large"))).to_have_attribute(
        "aria-selected", "true"
    )
    panel.get_by_role("option", name=re.compile("Default")).click()
    is_shown(chat, MODEL)


def test_a_model_that_cannot_answer_says_why_and_is_not_chosen(
    visitor: Visitor, choice: GatewayProcess
) -> None:
    chat = visitor.chat(choice, "locked-out")
    panel = open_picker(chat)
    option = panel.get_by_role("option", name=re.compile("Locked"))
    expect(option).to_have_attribute("aria-disabled", "true")
    expect(option).to_contain_text("no key for this provider")
    option.click(force=True)
    expect(panel.get_by_role("alert")).to_have_text("Locked cannot answer: no key for this provider.")
    is_shown(chat, MODEL)


def test_thinking_is_offered_where_the_model_thinks(visitor: Visitor, choice: GatewayProcess) -> None:
    chat = visitor.chat(choice, "thinks")
    levels = open_picker(chat).get_by_role("group", name="Thinking")
    expect(levels).to_be_hidden()
    picker(chat).get_by_role("option", name=re.compile("Fake Large")).click()
    is_shown(chat, THINKER)
    open_picker(chat)
    levels.get_by_role("radio", name="high").click()
    is_shown(chat, f"{THINKER} · high")
    chat.page.reload()
    chat.is_online()
    is_shown(chat, f"{THINKER} · high")


def test_a_model_is_chosen_without_a_mouse(visitor: Visitor, choice: GatewayProcess) -> None:
    chat = visitor.chat(choice, "by-keys")
    button = chat.page.get_by_role("button", name=re.compile("^Model"))
    button.focus()
    chat.page.keyboard.press("Enter")
    expect(picker(chat).get_by_role("option", name=re.compile("Fake Large"))).to_be_visible()
    expect(picker(chat).get_by_role("listbox", name="Models")).to_be_focused()
    chat.page.keyboard.press("ArrowDown")
    chat.page.keyboard.press("ArrowDown")
    chat.page.keyboard.press("Enter")
    expect(picker(chat)).to_be_hidden()
    is_shown(chat, THINKER)
    expect(button).to_be_focused()
    chat.page.keyboard.press("Enter")
    expect(picker(chat).get_by_role("radio", name="off")).to_be_visible()
    chat.page.keyboard.press("Tab")
    chat.page.keyboard.press("ArrowRight")
    expect(chat.page.get_by_role("button", name=re.compile("fake-large · \\w+$"))).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(picker(chat)).to_be_hidden()
    expect(button).to_be_focused()


def test_on_a_phone_the_picker_fits_the_screen(visitor: Visitor, choice: GatewayProcess) -> None:
    chat = visitor.chat(choice, "pocket", viewport=PHONE, has_touch=True, is_mobile=True)
    panel = open_picker(chat)
    box = panel.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    assert box["y"] + box["height"] <= PHONE["height"]
    panel.get_by_role("option", name=re.compile("Fake Large")).tap()
    is_shown(chat, THINKER)


def test_an_answer_tells_its_tokens_and_what_it_cost(visitor: Visitor, choice: GatewayProcess) -> None:
    chat = visitor.chat(choice, "costs")
    chat.say("what does this cost")
    answer = chat.has_answered("You said: what does this cost")
    line = re.compile(r"(\d+) tokens.*\$(0\.\d+).*fake-model")
    expect(answer).to_contain_text(line)
    shown = line.search(answer.inner_text().replace("\n", " "))
    assert shown is not None
    assert 0 < float(shown[2]) < 0.01
    chat.page.reload()
    expect(chat.has_answered("You said: what does this cost")).to_contain_text(
        f"{shown[1]} tokens${shown[2]}"
    )


def test_the_use_of_a_chat_stands_in_its_head_and_in_words_in_the_picker(
    visitor: Visitor, choice: GatewayProcess
) -> None:
    chat = visitor.chat(choice, "used")
    chat.say("use some tokens")
    chat.has_answered("You said: use some tokens")
    expect(chat.page.locator("#spent")).to_have_text(re.compile(r"^(\d+|under 1) % · \$0\.\d+$"))
    expect(open_picker(chat)).to_contain_text(
        re.compile(r"This chat: \d+ of 4,000 tokens of context, about \$0\.\d+")
    )
