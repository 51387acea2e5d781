"""The page without a mouse."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import Visitor
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
    assert any(name.startswith("Main") for name in order), "no chat of the list can be reached"
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


def test_a_command_is_completed_before_it_is_sent(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "commands")
    chat.composer.press_sequentially("/st")
    options = chat.page.get_by_role("listbox", name="Commands").get_by_role("option")
    expect(options).to_have_count(2)
    chat.page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    chat.page.keyboard.press("ArrowUp")
    chat.page.keyboard.press("Enter")
    expect(chat.composer).to_have_value("/status")
    chat.page.keyboard.press("Enter")
    chat.has_answered(re.compile("fake-model"))
    chat.composer.press_sequentially("/")
    expect(options.first).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    expect(chat.composer).to_have_value("/")


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
