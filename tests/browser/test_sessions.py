"""The list of chats: what it tells, how it keeps up by itself, and what one does with a chat."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import ChatPage, Visitor
from tests.browser.test_keyboard import PHONE
from tests.browser.told import make
from tests.browser.witness import Switchboard
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

NAME_FIELD = "Name of the chat"


def named(chat: ChatPage, text: str) -> None:
    """Begin a chat whose name is its first message."""
    chat.say(text)
    chat.has_answered(f"You said: {text}")


def keys(page: Page) -> list[str]:
    """The chats of the list, by their links, in order."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('#chats a')].map((a) => new URL(a.href).searchParams.get('session'))"
    )
    return found


def test_a_chat_is_listed_with_its_title_its_last_message_and_its_age(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "listed")
    named(chat, "how tall is the tower")
    row = chat.chat_row("how tall is the tower")
    expect(row).to_contain_text("You said: how tall is the tower")
    expect(row).to_contain_text("now")
    expect(row.get_by_role("link")).to_have_attribute("aria-current", "page")


def test_the_chat_that_was_used_last_stands_above_the_others(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway, "older")
    named(chat, "the older one")
    chat.new_chat.click()
    named(chat, "the newer one")
    expect(chat.chat_row("the newer one")).to_be_visible()
    assert keys(chat.page)[0] == "agent:main:main"
    assert keys(chat.page)[2] == "agent:main:older"
    chat.go_to("the older one")
    named(chat, "once more")
    expect(chat.page.locator("#chats li").nth(1)).to_contain_text("the older one")


def test_an_answer_in_another_chat_is_told_by_a_dot_and_a_word(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "answers-elsewhere")
    chat.say("count for me SLOW=40")
    expect(chat.answers).to_contain_text("word2")
    chat.go_to("Main")
    row = chat.chat_row("count for me")
    expect(row).to_contain_text("answering")
    expect(row.locator(".dot.wait")).to_be_visible()
    expect(row).to_contain_text("word1 word2 word3")
    expect(row).not_to_contain_text("answering")


def test_an_answer_that_nobody_has_seen_is_marked_until_somebody_looks(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "unseen")
    chat.say("tell me later SLOW=15")
    expect(chat.answers).to_contain_text("word2")
    chat.go_to("Main")
    row = chat.chat_row("tell me later")
    expect(row.get_by_role("link", name=re.compile("unread"))).to_be_visible()
    chat.go_to("tell me later")
    chat.has_answered("word15")
    chat.go_to("Main")
    chat.page.reload()
    chat.is_online()
    expect(row).to_contain_text("word1 word2")
    expect(row.get_by_role("link", name=re.compile("unread"))).to_have_count(0)


def test_the_list_follows_what_happens_elsewhere_without_asking_for_it(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    watcher = visitor.blank()
    watcher.witness.lives_at(gateway.url)
    line = Switchboard(watcher.page)
    watcher.page.goto(f"{gateway.url}#token={gateway.token}")
    watcher.is_online()
    other = visitor.chat(gateway, "begun-elsewhere")
    named(other, "begun on another page")
    expect(watcher.chat_row("begun on another page")).to_contain_text("You said:")
    other.do_with("begun on another page", "Rename")
    other.page.get_by_role("textbox", name=NAME_FIELD).fill("Named elsewhere")
    other.page.keyboard.press("Enter")
    expect(watcher.chat_row("Named elsewhere")).to_be_visible()
    other.do_with("Named elsewhere", "Delete")
    other.page.get_by_role("button", name="Delete", exact=True).click()
    expect(watcher.chat_row("Named elsewhere")).to_have_count(0)
    assert len(line.requests("sessions.list")) == 1


def test_another_chat_is_opened_by_its_link_and_the_way_back_is_the_browsers(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "first-place")
    named(chat, "the first place")
    chat.new_chat.click()
    named(chat, "the second place")
    chat.go_to("the first place")
    expect(chat.title).to_have_text("the first place")
    assert chat.page.url.endswith("?session=agent%3Amain%3Afirst-place")
    chat.page.go_back()
    expect(chat.title).to_have_text("the second place")
    chat.has_answered("You said: the second place")
    chat.page.go_forward()
    expect(chat.title).to_have_text("the first place")
    chat.has_answered("You said: the first place")
    chat.go_to("Main")
    assert "session=" not in chat.page.url


@pytest.mark.parametrize("path", ["?session=stock", "chat?session=stock", "chat?session=Stock"])
def test_a_link_of_a_stock_page_opens_the_same_chat(
    visitor: Visitor, gateway: GatewayProcess, path: str
) -> None:
    chat = visitor.open(f"{gateway.url}{path}#token={gateway.token}").is_online()
    expect(chat.chats.locator("a[aria-current]")).to_have_attribute("href", "?session=agent%3Amain%3Astock")
    assert chat.page.url == f"{gateway.url}{path}"
    chat.page.reload()
    chat.is_online()


def test_a_chat_gets_another_name_in_its_place(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "renamed")
    named(chat, "a clumsy first sentence")
    chat.do_with("a clumsy first sentence", "Rename")
    field = chat.page.get_by_role("textbox", name=NAME_FIELD)
    expect(field).to_be_focused()
    field.fill("Tidy name")
    field.press("Enter")
    expect(chat.title).to_have_text("Tidy name")
    expect(chat.chat_row("Tidy name").get_by_role("link")).to_be_focused()
    chat.page.reload()
    chat.is_online()
    expect(chat.title).to_have_text("Tidy name")
    # Without a name of its own it is called after its first message again.
    chat.do_with("Tidy name", "Rename")
    field.fill("")
    field.press("Enter")
    expect(chat.title).to_have_text("a clumsy first sentence")


def test_a_name_that_another_chat_has_is_refused_in_words(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "takes-a-name")
    named(chat, "has the name")
    field = chat.page.get_by_role("textbox", name=NAME_FIELD)
    chat.do_with("has the name", "Rename")
    field.fill("Only once")
    field.press("Enter")
    expect(chat.title).to_have_text("Only once")
    chat.new_chat.click()
    named(chat, "wants the name")
    chat.do_with("wants the name", "Rename")
    field.fill("Only once")
    field.press("Enter")
    expect(chat.chats.get_by_role("alert")).to_contain_text("label already in use")
    expect(field).to_be_focused()
    field.press("Escape")
    expect(chat.chat_row("wants the name")).to_be_visible()


def test_a_chat_is_deleted_only_after_a_yes(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "deleted")
    named(chat, "soon to be gone")
    question = chat.page.get_by_role("group", name="Delete soon to be gone?")
    chat.do_with("soon to be gone", "Delete")
    expect(question.get_by_role("button", name="Keep")).to_be_focused()
    chat.page.keyboard.press("Enter")
    expect(question).to_have_count(0)
    chat.do_with("soon to be gone", "Delete")
    question.get_by_role("button", name="Delete").click()
    expect(chat.chat_row("soon to be gone")).to_have_count(0)
    expect(chat.title).to_have_text("Main")
    assert "session=" not in chat.page.url
    chat.page.reload()
    chat.is_online()
    expect(chat.chat_row("soon to be gone")).to_have_count(0)


def test_who_looks_at_a_chat_that_is_deleted_elsewhere_is_told(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "pulled-away")
    named(chat, "pulled away")
    other = visitor.chat(gateway)
    other.do_with("pulled away", "Delete")
    other.page.get_by_role("button", name="Delete", exact=True).click()
    expect(chat.log.get_by_text("the chat that was open here has been deleted")).to_be_visible()
    expect(chat.title).to_have_text("Main")


def test_the_main_chat_cannot_be_deleted_and_says_so(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway)
    row = chat.chat_row("Main")
    row.hover()
    row.get_by_role("button", name="More for Main").click()
    item = chat.page.get_by_role("menuitem", name=re.compile("^Delete"))
    expect(item).to_have_attribute("aria-disabled", "true")
    expect(item).to_contain_text("The main chat stays")
    item.click(force=True)
    expect(chat.page.get_by_role("group", name=re.compile("^Delete"))).to_have_count(0)
    chat.page.keyboard.press("Escape")
    row.get_by_role("link").focus()
    chat.page.keyboard.press("Delete")
    expect(chat.chats.get_by_role("alert")).to_contain_text("The main chat stays")


def test_the_chats_are_searched_by_name_and_by_last_message(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway, "searched-1")
    named(chat, "about whales")
    chat.new_chat.click()
    named(chat, "about birds")
    chat.page.keyboard.press("ControlOrMeta+K")
    search = chat.page.get_by_role("searchbox", name="Search chats")
    search.fill("said: about whales")
    expect(chat.page.locator("#chats li")).to_have_count(1)
    search.fill("nothing of the kind")
    expect(chat.page.locator("#chats li")).to_have_count(0)
    expect(chat.chats.get_by_text("No chat has that")).to_be_visible()
    search.fill("WHALES")
    search.press("Enter")
    expect(chat.title).to_have_text("about whales")


def test_the_list_is_worked_without_a_mouse(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "by-keys")
    named(chat, "by keys alone")
    row = chat.chat_row("by keys alone")
    row.get_by_role("link").focus()
    chat.page.keyboard.press("Home")
    expect(chat.chat_row("Main").get_by_role("link")).to_be_focused()
    chat.page.keyboard.press("ArrowDown")
    expect(row.get_by_role("link")).to_be_focused()
    chat.page.keyboard.press("Tab")
    chat.page.keyboard.press("Enter")
    expect(chat.page.get_by_role("menuitem", name="Rename")).to_be_focused()
    chat.page.keyboard.press("ArrowDown")
    expect(chat.page.get_by_role("menuitem", name="Delete")).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(row.get_by_role("button", name="More for by keys alone")).to_be_focused()
    row.get_by_role("link").focus()
    chat.page.keyboard.press("F2")
    chat.page.keyboard.type("Renamed by keys")
    chat.page.keyboard.press("Enter")
    expect(chat.title).to_have_text("Renamed by keys")
    chat.page.keyboard.press("Delete")
    chat.page.keyboard.press("Shift+Tab")
    chat.page.keyboard.press("Enter")
    expect(chat.chat_row("Renamed by keys")).to_have_count(0)


def test_escape_in_the_list_does_not_stop_an_answer(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "not-stopped")
    chat.say("let it run SLOW=30")
    expect(chat.answers).to_contain_text("word2")
    chat.chat_row("let it run").get_by_role("link").focus()
    for key in ("F2", "Delete"):
        chat.page.keyboard.press(key)
        chat.page.keyboard.press("Escape")
    chat.do_with("let it run", "Rename")
    chat.page.keyboard.press("Escape")
    chat.page.get_by_role("button", name=re.compile("^Model")).click()
    chat.page.keyboard.press("Escape")
    expect(chat.has_answered("word30")).not_to_contain_text("stopped")


def test_on_a_phone_a_chat_is_chosen_renamed_and_deleted_in_the_sheet(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "in-the-sheet", viewport=PHONE, has_touch=True, is_mobile=True)
    named(chat, "seen on a phone")
    menu = chat.page.get_by_role("button", name="Chats", exact=True)
    menu.tap()
    row = chat.chat_row("seen on a phone")
    row.get_by_role("button", name="More for seen on a phone").tap()
    chat.page.get_by_role("menuitem", name="Rename").tap()
    chat.page.get_by_role("textbox", name=NAME_FIELD).fill("Pocket size")
    chat.page.keyboard.press("Enter")
    chat.chat_row("Main").get_by_role("link").tap()
    expect(chat.chats).to_be_hidden()
    expect(chat.title).to_have_text("Main")
    menu.tap()
    chat.chat_row("Pocket size").get_by_role("button", name="More for Pocket size").tap()
    chat.page.get_by_role("menuitem", name="Delete").tap()
    chat.page.get_by_role("button", name="Delete", exact=True).tap()
    expect(chat.chat_row("Pocket size")).to_have_count(0)


def test_a_chat_far_down_the_list_opens_with_its_name_and_its_model(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    make(own_gateway, {"key": "agent:main:far", "label": "Far down", "model": "fake/vendor/fake-large"})
    make(own_gateway, *({"key": f"agent:main:near-{n}", "label": f"Near {n}"} for n in range(61)))
    chat = visitor.chat(own_gateway, "far")
    expect(chat.title).to_have_text("Far down")
    expect(chat.page.get_by_role("button", name="Model: vendor/fake-large")).to_be_visible()
    expect(chat.chat_row("Far down").get_by_role("link")).to_have_attribute("aria-current", "page")


def test_what_is_being_written_outlives_the_chat_that_somebody_deletes(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "pulled-away-while-writing")
    named(chat, "pulled away while writing")
    chat.composer.fill("half a letter")
    other = visitor.chat(gateway)
    other.do_with("pulled away while writing", "Delete")
    other.page.get_by_role("button", name="Delete", exact=True).click()
    expect(chat.title).to_have_text("Main")
    expect(chat.composer).to_have_value("half a letter")


def test_a_half_written_name_does_not_bring_a_deleted_chat_back(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "no-way-back")
    named(chat, "no way back")
    other = visitor.chat(gateway)
    chat.go_to("Main")
    chat.do_with("no way back", "Rename")
    chat.page.get_by_role("textbox", name=NAME_FIELD).fill("Risen again")
    other.do_with("no way back", "Delete")
    other.page.get_by_role("button", name="Delete", exact=True).click()
    expect(chat.page.get_by_role("textbox", name=NAME_FIELD)).to_have_count(0)
    expect(chat.chats.locator("#chats a:focus")).to_have_count(1)
    chat.page.reload()
    chat.is_online()
    expect(chat.chat_row("Main")).to_be_visible()
    expect(chat.chat_row("Risen again")).to_have_count(0)


def test_the_focus_goes_on_to_the_next_chat_when_one_is_deleted(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "focus-goes-on")
    named(chat, "focus goes on")
    chat.go_to("Main")
    chat.do_with("focus goes on", "Delete")
    chat.page.get_by_role("button", name="Delete", exact=True).click()
    expect(chat.chat_row("focus goes on")).to_have_count(0)
    expect(chat.chats.locator("#chats a:focus")).to_have_count(1)


def test_a_question_in_the_list_goes_away_when_somebody_turns_to_something_else(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "left-open")
    named(chat, "left open")
    chat.do_with("left open", "Delete")
    # The rows below it move up; the press is for the one that it was on.
    chat.chats.locator("#chats a").last.click()
    expect(chat.page.get_by_role("group", name="Delete left open?")).to_have_count(0)
    expect(chat.chats.locator("#chats a").last).to_have_attribute("aria-current", "page")
    chat.do_with("left open", "Delete")
    chat.new_chat.click()
    named(chat, "not held up by it")
    expect(chat.chat_row("not held up by it")).to_be_visible()
    expect(chat.chat_row("left open")).to_be_visible()
