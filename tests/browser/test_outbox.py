"""What is written while the gateway is away: kept, shown as waiting, sent in order and once; and refusals."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.pages import ChatPage, Visitor
from tests.browser.test_attachments import PHOTO, attached, choose, is_drawn, tray
from tests.browser.witness import Switchboard
from tests.support.gateway_process import GatewayProcess
from tests.support.provider_process import ProviderProcess

pytestmark = pytest.mark.browser

WAITS = "Waits for the gateway"


def away(visitor: Visitor, gateway: GatewayProcess, session: str) -> ChatPage:
    """A page whose gateway has just been stopped."""
    chat = visitor.chat(gateway, session)
    chat.witness.allow_a_gateway_that_is_away()
    gateway.stop()
    return chat.is_away()


def kept(chat: ChatPage) -> list[str]:
    """The names under which the browser keeps unsent messages."""
    return [name for name in chat.stored()["local"] if name.startswith("openclawd.outbox ")]


def test_what_is_sent_while_the_gateway_is_away_waits_and_goes_out_in_order_once(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = away(visitor, own_gateway, "offline")
    texts = ["the first of three", "the second of three", "the third of three"]
    for text in texts:
        chat.say(text)
    expect(chat.log.get_by_text(WAITS)).to_have_count(3)
    expect(chat.chat_row("New chat").or_(chat.chat_row("offline"))).to_contain_text("not sent yet")
    own_gateway.start()
    chat.is_online()
    chat.has_answered("You said: the third of three")
    expect(chat.log.get_by_text(WAITS)).to_have_count(0)
    assert [provider.questions[text] for text in texts] == [1, 1, 1]
    order = chat.log.text_content() or ""
    assert [order.index(text) for text in texts] == sorted(order.index(text) for text in texts)
    assert kept(chat) == []


def test_a_waiting_message_survives_the_page(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = away(visitor, own_gateway, "survives")
    choose(chat, PHOTO)
    chat.say("kept over the reload")
    expect(chat.log.get_by_text(WAITS)).to_be_visible()
    chat.composer.fill("and a draft")
    chat.page.wait_for_timeout(200)
    # The page itself cannot be loaded from a gateway that is away: it is closed, and opened again later.
    context = chat.page.context
    chat.page.close()
    own_gateway.start()
    again = ChatPage(context.new_page(), chat.witness)
    again.page.goto(f"{own_gateway.url}?session=survives")
    again.is_online()
    again.has_answered("kept over the reload")
    is_drawn(attached(again).first)
    expect(again.composer).to_have_value("and a draft")
    assert provider.questions["kept over the reload"] == 1
    assert kept(again) == []


def test_a_message_waits_for_a_chat_that_is_not_open(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = away(visitor, own_gateway, "elsewhere")
    chat.say("said in the other chat")
    expect(chat.log.get_by_text(WAITS)).to_be_visible()
    chat.go_to("Main")
    expect(chat.log.get_by_text(WAITS)).to_have_count(0)
    own_gateway.start()
    chat.is_online()
    expect(chat.chat_row("said in the other chat")).to_contain_text("You said:")
    assert provider.questions["said in the other chat"] == 1


def test_a_waiting_message_can_be_edited_and_discarded(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = away(visitor, own_gateway, "second-thoughts")
    choose(chat, PHOTO)
    chat.say("to be editted")
    chat.say("to be thrown away")
    chat.log.get_by_role("button", name="Discard").nth(1).click()
    expect(chat.questions("to be thrown away")).to_have_count(0)
    chat.log.get_by_role("button", name="Edit").click()
    expect(chat.composer).to_have_value("to be editted")
    expect(tray(chat)).to_have_count(1)
    chat.say("to be edited")
    own_gateway.start()
    chat.is_online()
    chat.has_answered("to be edited")
    expect(attached(chat)).to_have_count(1)
    assert provider.questions["to be thrown away"] == provider.questions["to be editted"] == 0


def test_two_tabs_show_the_same_waiting_message_and_it_goes_out_once(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    first = visitor.chat(own_gateway, "two-tabs")
    first.witness.allow_a_gateway_that_is_away()
    second = first.link_again().is_online()
    own_gateway.stop()
    first.is_away()
    second.is_away()
    first.say("from one of two tabs")
    expect(second.questions("from one of two tabs")).to_be_visible()
    expect(second.log.get_by_text(WAITS)).to_be_visible()
    own_gateway.start()
    for tab in (first, second):
        tab.is_online()
        tab.has_answered("You said: from one of two tabs")
        expect(tab.questions("from one of two tabs")).to_have_count(1)
        expect(tab.answers).to_have_count(1)
    assert provider.questions["from one of two tabs"] == 1


def test_a_browser_without_room_says_so_and_sends_all_the_same(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = away(visitor, own_gateway, "no-room")
    chat.page.evaluate(
        "() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }; }"
    )
    chat.say("no room for this")
    expect(chat.log.get_by_text("leave the page open")).to_be_visible()
    own_gateway.start()
    chat.is_online()
    chat.has_answered("You said: no room for this")
    assert provider.questions["no room for this"] == 1


def test_what_the_gateway_refuses_is_told_in_its_words_and_can_be_changed(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "refused")
    chat.say("a nul \0 in it")
    expect(chat.log.get_by_text("Not sent: message must not contain null bytes")).to_be_visible()
    chat.page.reload()
    chat.is_online()
    expect(chat.log.get_by_text("Not sent: message must not contain null bytes")).to_be_visible()
    chat.log.get_by_role("button", name="Edit").click()
    expect(chat.composer).to_have_value("a nul \0 in it")
    chat.say("nothing bad in it")
    chat.has_answered("nothing bad in it")
    chat.say("once more \0")
    chat.log.get_by_role("button", name="Discard").click()
    expect(chat.log.get_by_text("Not sent")).to_have_count(0)
    assert kept(chat) == []


def test_a_gateway_that_has_too_much_to_do_is_asked_again(
    visitor: Visitor, gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    chat.page.goto(f"{gateway.url}?session=busy#token={gateway.token}")
    chat.is_online()
    line.refuse_once("chat.send", {"code": "UNAVAILABLE", "message": "busy", "retryable": True})
    chat.say("please take this")
    chat.has_answered("You said: please take this")
    first, second = line.requests("chat.send")
    assert first == second


def test_what_may_or_may_not_have_arrived_long_ago_is_not_sent_without_asking(
    visitor: Visitor, gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = visitor.chat(gateway, "long-ago")
    day_ago = chat.page.evaluate("Date.now() - 24 * 3600 * 1000")
    entry = {
        "runId": "0123456789abcdef",
        "sessionKey": "agent:main:long-ago",
        "text": "from yesterday",
        "files": [],
        "at": day_ago,
        "order": 0,
        "tried": day_ago,
    }
    chat.page.evaluate(
        "([name, value]) => localStorage.setItem(name, value)",
        ["openclawd.outbox 0123456789abcdef", json.dumps(entry)],
    )
    chat.page.reload()
    chat.is_online()
    expect(chat.log.get_by_text("It may have arrived or not")).to_be_visible()
    chat.page.wait_for_timeout(300)
    assert provider.questions["from yesterday"] == 0
    chat.log.get_by_role("button", name="Send again").click()
    chat.has_answered("You said: from yesterday")


def test_a_draft_is_kept_for_each_chat_over_a_reload_and_a_new_tab(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "draft-a")
    chat.composer.fill("a thought for a")
    chat.go_to("Main")
    expect(chat.composer).to_have_value("")
    draft = chat.chats.get_by_role("link", name=re.compile("draft$"))
    expect(draft).to_have_attribute("href", re.compile("draft-a$"))
    chat.page.go_back()
    expect(chat.composer).to_have_value("a thought for a")
    other = chat.link_again().is_online()
    expect(other.composer).to_have_value("a thought for a")
    other.say("a thought for a, said")
    other.has_answered("a thought for a, said")
    expect(chat.composer).to_have_value("")
    assert not [name for name in chat.stored()["local"] if name.startswith("openclawd.draft ")]


def test_waiting_messages_keep_their_order_when_the_clock_is_set_back(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = away(visitor, own_gateway, "set-back")
    chat.say("before the clock was set")
    chat.page.evaluate("{ const now = Date.now; Date.now = () => now() - 3_600_000; }")
    chat.say("after the clock was set")
    own_gateway.start()
    chat.is_online()
    chat.has_answered("You said: after the clock was set")
    order = chat.log.text_content() or ""
    assert order.index("before the clock") < order.index("after the clock")


def test_a_waiting_message_goes_out_although_the_browsers_memory_was_cleared(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = visitor.chat(own_gateway, "cleared")
    chat.witness.allow_a_gateway_that_is_away()
    other = chat.link_again().is_online()
    own_gateway.stop()
    chat.is_away()
    chat.say("not cleared away")
    expect(other.questions("not cleared away")).to_be_visible()
    other.page.evaluate("localStorage.clear()")
    other.page.close()
    own_gateway.start()
    chat.is_online()
    chat.has_answered("You said: not cleared away")
    assert provider.questions["not cleared away"] == 1


def test_a_tab_that_lags_behind_takes_no_word_from_the_one_that_is_written_in(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "lagging")
    other = chat.link_again().is_online()
    other.page.evaluate("setTimeout(() => { for (const from = Date.now(); Date.now() - from < 400;); })")
    chat.page.bring_to_front()
    chat.composer.press_sequentially("every word of it stays where it was written", delay=5)
    expect(other.composer).to_have_value("every word of it stays where it was written")
    expect(chat.composer).to_have_value("every word of it stays where it was written")
