"""The page without a mouse."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.pages import ChatPage, Visitor
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}


def name_of_focus(page: Page) -> str:
    name: str = page.evaluate(
        "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
    )
    return name


def test_tab_goes_from_the_chats_over_the_conversation_to_the_message_and_send(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "tabs")
    chat.say("count SLOW=60")
    expect(chat.answers).to_contain_text("word2")
    chat.composer.fill("the next")
    chat.page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
    # Where a focus navigation starts is the last click or focus; the top of the page is before everything.
    chat.page.evaluate(
        "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')"
    )
    order: list[str] = []
    while not order or (order[-1] != "Queue" and len(order) < 40):
        chat.page.keyboard.press("Tab")
        order.append(name_of_focus(chat.page))
    wanted = ["Skip to the message box", "New chat", "Conversation", "Message", "Stop", "Queue"]
    assert [name for name in order if name in wanted] == wanted
    assert len([name for name in order if name.startswith("count SLOW=60")]) == 1, "Tab stops at one chat"
    chat.page.keyboard.press("Shift+Tab")
    chat.page.keyboard.press("Enter")
    chat.has_answered("stopped")


def test_the_skip_link_goes_to_the_message_box(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "skips")
    link = chat.page.get_by_role("link", name="Skip to the message box")
    link.focus()
    expect(link).to_be_in_viewport()
    chat.page.keyboard.press("Enter")
    expect(chat.composer).to_be_focused()


def test_the_message_box_has_the_focus_and_keeps_it(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "focus")
    expect(chat.composer).to_be_focused()
    chat.page.keyboard.type("first line")
    chat.page.keyboard.press("Shift+Enter")
    chat.page.keyboard.type("second line")
    expect(chat.composer).to_have_value("first line\nsecond line")
    chat.page.keyboard.press("Enter")
    expect(chat.questions("first line second line")).to_be_visible()
    chat.has_answered("second line")
    expect(chat.composer).to_have_value("")
    expect(chat.composer).to_be_focused()


def options(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("listbox", name="Commands").get_by_role("option")


def test_a_command_is_completed_before_it_is_sent(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "commands")
    chat.composer.press_sequentially("/st")
    status = options(chat).filter(has_text="/status")
    expect(options(chat)).to_have_count(2)
    expect(status).to_contain_text("the model, the session and the gateway")
    while status.get_attribute("aria-selected") == "false":
        chat.page.keyboard.press("ArrowDown")
    chat.page.keyboard.press("Enter")
    expect(chat.composer).to_have_value("/status")
    expect(options(chat)).to_have_count(0)
    chat.page.keyboard.press("Enter")
    chat.has_answered(re.compile("fake-model"))


def test_all_commands_of_the_gateway_are_offered_and_put_away_with_escape(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "all-commands")
    chat.composer.press_sequentially("/")
    for command in ("/new", "/compact", "/model", "/think", "/usage", "/whoami", "/help"):
        expect(options(chat).filter(has=chat.page.get_by_text(command, exact=True))).to_have_count(1)
    chat.page.keyboard.press("ArrowUp")
    expect(options(chat).last).to_have_attribute("aria-selected", "true")
    expect(options(chat).last).to_be_in_viewport()
    chat.page.keyboard.press("Escape")
    expect(options(chat)).to_have_count(0)
    expect(chat.composer).to_have_value("/")


def test_what_may_stand_behind_a_command_is_offered(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "arguments")
    chat.composer.press_sequentially("/mode")
    # The list comes from the gateway; until it is there, Tab leaves the field.
    expect(options(chat).first).to_be_visible()
    chat.page.keyboard.press("Tab")
    expect(chat.composer).to_have_value("/model ")
    expect(options(chat)).to_contain_text(["fake/fake-model"])
    chat.page.keyboard.press("Tab")
    expect(chat.composer).to_have_value("/model fake/fake-model")
    chat.page.keyboard.press("Enter")
    chat.has_answered("fake-model")


def test_a_command_whose_argument_may_be_missing_is_sent_without_it(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "no-argument")
    chat.composer.press_sequentially("/usage ")
    expect(options(chat)).to_have_text(["off", "tokens", "full", "cost"])
    chat.page.keyboard.press("Enter")
    expect(chat.composer).to_have_value("")
    expect(chat.questions("/usage")).to_be_visible()
    chat.has_answered("Usage")


def test_the_gate_is_passed_without_a_mouse(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.open(gateway.url)
    expect(chat.gate).to_be_visible()
    expect(chat.page.get_by_role("link", name="Skip to the message box")).to_have_count(0)
    chat.page.keyboard.press("ControlOrMeta+K")
    expect(chat.token_field).to_be_focused()
    for _ in range(4):
        chat.page.keyboard.press("Tab")
        if chat.page.evaluate("document.activeElement.tagName") == "INPUT":
            break
    chat.page.keyboard.insert_text(gateway.token)
    chat.page.keyboard.press("Enter")
    chat.is_online()
    expect(chat.composer).to_be_focused()


def test_the_chats_of_a_phone_open_and_close(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "phone", viewport=PHONE, has_touch=True, is_mobile=True)
    menu = chat.page.get_by_role("button", name="Chats", exact=True)
    sheet = chat.page.get_by_role("navigation", name="Chats")
    expect(sheet).to_be_hidden()
    menu.focus()
    chat.page.keyboard.press("Enter")
    expect(sheet).to_be_visible()
    expect(menu).to_have_attribute("aria-expanded", "true")
    expect(chat.page.get_by_role("button", name="Close the chats")).to_be_focused()
    # What lies under the sheet is out of reach while it is open.
    for _ in range(12):
        chat.page.keyboard.press("Tab")
        assert not chat.page.evaluate("document.querySelector('main').contains(document.activeElement)")
    chat.page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(menu).to_be_focused()
    expect(menu).to_have_attribute("aria-expanded", "false")
