"""A long conversation: the newest part first, what came before on demand, and the place of who reads."""

import re
from collections.abc import Generator

import pytest
from playwright.sync_api import expect

from tests.browser.pages import ChatPage, Visitor
from tests.browser.told import tell
from tests.browser.witness import Switchboard
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess

pytestmark = pytest.mark.browser

# What the page reads at a time.
PAGE = 60
LINES = [f"line {number} as it was told\n\nand a second paragraph" for number in range(150)]
# The first line is a question, and has an answer.
MESSAGES = len(LINES) + 1
LAST = "line 149 as"
TOP_ELEMENT = """
() => {
  const edge = document.querySelector('#stream').getBoundingClientRect().top;
  const items = [...document.querySelectorAll('#items > *')];
  const first = items.find((one) => one.getBoundingClientRect().bottom > edge + 1);
  return {text: first.textContent, top: Math.round(first.getBoundingClientRect().top)};
}
"""


@pytest.fixture(scope="module")
def told(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    """A gateway with one long conversation, of which nothing is changed."""
    with gateway_process(provider.config()) as gateway:
        tell(gateway, "agent:main:long", LINES)
        yield gateway


def watched(visitor: Visitor, gateway: GatewayProcess, session: str) -> tuple[ChatPage, Switchboard]:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    chat.page.goto(f"{gateway.url}?session={session}#token={gateway.token}")
    return chat.is_online(), line


def lines(chat: ChatPage) -> list[int]:
    """The numbers of the lines that are on the page, in order."""
    return [int(number) for number in re.findall(r"line (\d+) as", chat.page.locator("#items").inner_text())]


def test_the_newest_messages_come_first_and_earlier_ones_on_demand(
    visitor: Visitor, told: GatewayProcess
) -> None:
    chat, line = watched(visitor, told, "long")
    expect(chat.answers.last).to_contain_text(LAST)
    expect(chat.answers.last).to_be_in_viewport()
    assert lines(chat) == list(range(90, 150))
    earlier = chat.page.get_by_role("button", name="Earlier messages")
    while lines(chat)[0] > 0:
        before = lines(chat)[0]
        earlier.click()
        expect(chat.page.locator("#items")).to_contain_text(f"line {max(0, before - 1)} as")
    assert lines(chat)[-149:] == list(range(1, 150))
    expect(earlier).to_be_hidden()
    asked = line.requests("chat.history")
    assert [one.get("offset") for one in asked] == [None, PAGE, 2 * PAGE]
    assert {one["limit"] for one in asked} == {PAGE}


def test_scrolling_up_reads_what_came_before_and_keeps_the_place(
    visitor: Visitor, told: GatewayProcess
) -> None:
    chat, _ = watched(visitor, told, "long")
    expect(chat.answers.last).to_contain_text(LAST)
    chat.log.hover()
    chat.log.evaluate("(element) => { element.scrollTop = 300; }")
    before = chat.page.evaluate(TOP_ELEMENT)
    assert "line 9" in before["text"]
    expect(chat.page.locator("#items")).to_contain_text("line 60 as")
    after = chat.page.evaluate(TOP_ELEMENT)
    assert after["text"] == before["text"]
    assert abs(after["top"] - before["top"]) <= 1
    assert lines(chat) == sorted(set(lines(chat)))


def test_new_messages_do_not_drop_what_was_read_before_them(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    tell(own_gateway, "agent:main:grows", LINES[:100])
    chat, _ = watched(visitor, own_gateway, "grows")
    expect(chat.answers.last).to_contain_text("line 99 as")
    chat.page.get_by_role("button", name="Earlier messages").click()
    expect(chat.page.locator("#items")).to_contain_text("line 1 as")
    tell(own_gateway, "agent:main:grows", ["one more question", "line 100 as it was added"])
    expect(chat.page.locator("#items")).to_contain_text("line 100 as")
    assert lines(chat)[-100:] == list(range(1, 101))
    expect(chat.questions("one more question")).to_have_count(1)


def test_after_a_long_absence_the_newest_part_is_there_without_a_hole(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    tell(own_gateway, "agent:main:away", LINES[:5])
    chat, _ = watched(visitor, own_gateway, "away")
    expect(chat.answers.last).to_contain_text("line 4 as")
    chat.page.context.set_offline(True)
    own_gateway.stop()
    chat.witness.allow_a_gateway_that_is_away()
    chat.witness.allow(r"console error: .*ERR_INTERNET_DISCONNECTED.*")
    own_gateway.start()
    tell(own_gateway, "agent:main:away", ["meanwhile", *LINES[5:90]])
    chat.page.context.set_offline(False)
    chat.is_online()
    expect(chat.answers.last).to_contain_text("line 89 as")
    assert lines(chat) == list(range(30, 90))
    chat.page.get_by_role("button", name="Earlier messages").click()
    expect(chat.page.locator("#items")).to_contain_text("line 5 as")
    assert lines(chat)[-85:] == list(range(5, 90))


def test_earlier_messages_that_cannot_be_read_can_be_asked_for_again(
    visitor: Visitor, told: GatewayProcess
) -> None:
    chat, line = watched(visitor, told, "long")
    expect(chat.answers.last).to_contain_text(LAST)
    line.lose_the_answer_to("chat.history")
    chat.page.get_by_role("button", name="Earlier messages").click()
    again = chat.page.get_by_role("button", name=re.compile("could not be read"))
    expect(again).to_be_visible()
    chat.is_online()
    again.click()
    expect(chat.page.locator("#items")).to_contain_text("line 60 as")
