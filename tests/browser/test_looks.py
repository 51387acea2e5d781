"""How the page sits on the screen: no sideways scrolling, readable colours, no needless movement."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import GatewayStarter
from tests.browser.pages import Visitor
from tests.browser.test_attachments import NOTES, PHOTO, choose
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

# WCAG 2.2, 1.4.3
READABLE = 4.5
# Narrower than this nobody can hit with a thumb: WCAG 2.2, 2.5.8
TARGET_PX = 24

SCREENS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "wide": {"viewport": {"width": 1280, "height": 800}},
}
EVERYTHING = (
    "look\n# A heading\n> a quotation\n\n- [a link](https://elsewhere.invalid)\n"
    "| a | table | with | many | columns | that | do | not | fit | on | a | phone |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    "| 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 |\n"
    "```py\n# a comment\nprint('" + "a very long line of code " * 12 + "')\n```\n" + "longword" * 40
).replace("\n\n", "\n")

on_every_screen = pytest.mark.parametrize("screen", SCREENS)

MEASURE = (Path(__file__).parent / "measure.js").read_text()

MOVING = """
() => document.getAnimations()
  .filter((each) => each.playState === "running" && each.effect.getComputedTiming().duration > 0)
  .map((each) => each.animationName ?? each.transitionProperty)
"""


def measure(page: Page) -> dict[str, Any]:
    page.evaluate("document.fonts.ready")
    found: dict[str, Any] = page.evaluate(MEASURE)
    return found


def assert_readable(page: Page) -> None:
    """By day and by night."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = measure(page)
        assert found["texts"], "nothing was measured"
        assert (found["background"] < 0.2) is (scheme == "dark")
        assert found["sideways"] == [], "the page scrolls sideways"
        faint = [
            f"{row['text']!r}: {row['contrast']:.2f}" for row in found["texts"] if row["contrast"] < READABLE
        ]
        assert faint == [], scheme
        small = [row for row in found["targets"] if row["width"] < TARGET_PX or row["height"] < TARGET_PX]
        assert small == []


@on_every_screen
def test_the_conversation_is_readable(visitor: Visitor, gateway: GatewayProcess, screen: str) -> None:
    chat = visitor.chat(gateway, f"looks-{screen}", reduced_motion="reduce", **SCREENS[screen])
    chat.say(EVERYTHING)
    chat.has_answered("longword")
    assert_readable(chat.page)
    chat.page.keyboard.press("ControlOrMeta+K")
    expect(chat.page.get_by_role("searchbox", name="Search chats")).to_be_focused()
    assert_readable(chat.page)


@on_every_screen
def test_what_one_writes_and_chooses_is_readable(
    visitor: Visitor, gateway: GatewayProcess, screen: str
) -> None:
    chat = visitor.chat(gateway, f"chooses-{screen}", reduced_motion="reduce", **SCREENS[screen])
    choose(chat, PHOTO, NOTES)
    chat.composer.fill("/")
    expect(chat.page.get_by_role("listbox", name="Commands").get_by_role("option").first).to_be_visible()
    assert_readable(chat.page)
    chat.say("with files")
    chat.has_answered("with files")
    chat.page.get_by_role("button", name=re.compile("^Model")).click()
    expect(chat.page.get_by_role("option", name=re.compile("Default"))).to_be_visible()
    assert_readable(chat.page)
    chat.page.keyboard.press("Escape")
    chat.page.get_by_role("button", name="Open notes.md").click()
    expect(chat.page.get_by_role("dialog")).to_contain_text("with a line")
    assert_readable(chat.page)


@on_every_screen
def test_the_chats_and_their_menus_are_readable(
    visitor: Visitor, gateway: GatewayProcess, screen: str
) -> None:
    chat = visitor.chat(gateway, f"menus-{screen}", reduced_motion="reduce", **SCREENS[screen])
    name = f"list me on a {screen}"
    chat.say(name)
    chat.has_answered("You said:")
    menu = chat.page.get_by_role("button", name="Chats", exact=True)
    if menu.is_visible():
        menu.click()
    more = chat.chat_row(name).get_by_role("button", name=re.compile("^More for"))
    more.focus()
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_role("menuitem", name="Rename")).to_be_focused()
    assert_readable(chat.page)
    chat.page.keyboard.press("ArrowDown")
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_role("group", name=re.compile("^Delete"))).to_be_visible()
    assert_readable(chat.page)


@on_every_screen
def test_what_waits_is_readable(visitor: Visitor, own_gateway: GatewayProcess, screen: str) -> None:
    chat = visitor.chat(own_gateway, "waits", reduced_motion="reduce", **SCREENS[screen])
    chat.witness.allow_a_gateway_that_is_away()
    own_gateway.stop()
    chat.is_away()
    chat.say("this waits")
    expect(chat.log.get_by_text("Waits for the gateway")).to_be_visible()
    assert_readable(chat.page)


@on_every_screen
def test_the_gate_is_readable(visitor: Visitor, gateway: GatewayProcess, screen: str) -> None:
    chat = visitor.open(f"{gateway.url}#token=wrong", reduced_motion="reduce", **SCREENS[screen])
    expect(chat.page.get_by_role("alert")).to_be_visible()
    assert_readable(chat.page)


@on_every_screen
def test_the_devices_are_readable(visitor: Visitor, plain: tuple[GatewayProcess, str], screen: str) -> None:
    gateway, url = plain
    look: dict[str, Any] = {"reduced_motion": "reduce", **SCREENS[screen]}
    guest = visitor.open(f"{url}#token={gateway.token}", **look)
    expect(guest.page.get_by_role("heading", name="Waiting for approval")).to_be_visible()
    guest.page.get_by_text("not encrypted").click()
    assert_readable(guest.page)
    chat = visitor.chat(gateway, **look)
    menu = chat.page.get_by_role("button", name="Chats", exact=True)
    if menu.is_visible():
        menu.click()
    expect(chat.devices_entry).to_contain_text("1 waiting")
    assert_readable(chat.page)
    chat.devices_entry.click()
    expect(chat.devices.get_by_role("button", name="Approve")).to_be_visible()
    assert_readable(chat.page)
    chat.devices.get_by_role("button", name="Rename").click()
    assert_readable(chat.page)
    chat.page.keyboard.press("Escape")
    chat.devices.get_by_role("button", name="Remove").click()
    assert_readable(chat.page)


@on_every_screen
def test_the_gate_of_who_has_to_wait_is_readable(
    visitor: Visitor, start_gateway: GatewayStarter, screen: str
) -> None:
    limit = {"maxAttempts": 1, "windowMs": 1_000, "lockoutMs": 600_000}
    gateway = start_gateway({"gateway": {"auth": {"rateLimit": limit}}})
    chat = visitor.open(f"{gateway.url}#token=one", reduced_motion="reduce", **SCREENS[screen])
    expect(chat.page.get_by_role("alert")).to_contain_text("That is not")
    chat.token_field.fill("two")
    chat.token_field.press("Enter")
    expect(chat.page.get_by_role("alert")).to_contain_text("Too many wrong tries")
    assert_readable(chat.page)


def test_nothing_moves_for_who_asked_for_less_motion(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "still", reduced_motion="reduce", **SCREENS["phone"])
    chat.say("count SLOW=30")
    expect(chat.answers).to_contain_text("word2")
    assert chat.page.evaluate(MOVING) == []
    chat.page.get_by_role("button", name="Chats", exact=True).click()
    assert chat.page.evaluate(MOVING) == []


def test_who_scrolls_back_a_little_while_an_answer_grows_is_left_there(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "reader", **SCREENS["phone"])
    chat.say("\n".join(f"- line {number}" for number in range(80)))
    chat.has_answered("line 79")
    chat.say("count SLOW=40")
    expect(chat.answers.last).to_contain_text("word3")
    place = chat.log.evaluate("(element) => { element.scrollTop -= 30; return element.scrollTop; }")
    expect(chat.page.get_by_role("button", name="Latest")).to_be_visible()
    chat.has_answered("word40")
    assert chat.log.evaluate("(element) => element.scrollTop") == place


def test_a_long_answer_is_followed_to_its_end_unless_one_scrolls_back(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "long", **SCREENS["phone"])
    chat.say("\n".join(f"- line {number}" for number in range(80)))
    answer = chat.has_answered("line 79")
    expect(answer.get_by_text("line 79", exact=True)).to_be_in_viewport()
    chat.log.evaluate("(element) => { element.scrollTop = 0; }")
    latest = chat.page.get_by_role("button", name="Latest")
    expect(latest).to_be_visible()
    latest.click()
    expect(answer.get_by_text("line 79", exact=True)).to_be_in_viewport()
    expect(latest).to_be_hidden()


def test_on_a_phone_a_long_title_leaves_the_model_its_name(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "long-title", **SCREENS["phone"])
    chat.say("a title of many words that goes on and on and on")
    chat.has_answered("on and on")
    word = chat.page.locator("#model-word")
    expect(word).to_have_text("fake-model")
    assert word.evaluate("(word) => word.scrollWidth <= word.clientWidth")


def test_right_to_left_text_begins_at_the_right(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "right-to-left")
    chat.say("שלום עולם")
    said = chat.questions("שלום עולם")
    expect(said).to_have_css("direction", "rtl")
    chat.composer.fill("مرحبا")
    expect(chat.composer).to_have_css("direction", "rtl")


def test_the_message_box_stays_above_a_keyboard_that_covers_the_page(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "covered", **SCREENS["phone"])
    chat.page.evaluate("""() => {
      Object.defineProperty(visualViewport, "height", {value: 500, configurable: true});
      visualViewport.dispatchEvent(new Event("resize"));
    }""")
    box = chat.composer.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 500
    chat.page.evaluate("delete visualViewport.height; visualViewport.dispatchEvent(new Event('resize'))")
    box = chat.composer.bounding_box()
    assert box is not None
    assert box["y"] > 500
