"""The card of an update: what is newer, how it goes on, how it ended. For administrators, put away once.

What the gateway tells of an update is said in its place here; that it tells so is the business of
tests/process/test_update_methods.py, and of tests/daemon/test_updates.py.
"""

import re
from typing import Any, Final

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.pages import ChatPage, Visitor
from tests.browser.test_looks import SCREENS, assert_readable
from tests.browser.witness import Switchboard
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

STATUS: Final = "openclawd.update.status"
NEWER: Final = {"currentVersion": "0.6.0", "latestVersion": "0.7.0", "channel": "stable"}
HERE: Final = {"version": "0.6.0", "channel": "stable", "auto": "off", "updatesItself": True}
VERSIONS: Final = {"from": "0.6.0", "to": "0.7.0"}
NOTES: Final = "Answers arrive sooner.\nBackups are smaller."
REASON: Final = "/readyz said 503 for 5 s"


def status(*, newer: bool = True, **more: Any) -> dict[str, Any]:
    return {**HERE, "updateAvailable": NEWER if newer else None, "notes": NOTES, **more}


def ended(outcome: str, at_ms: int = 1_000, **more: Any) -> dict[str, Any]:
    return {**VERSIONS, "outcome": outcome, "atMs": at_ms, "by": "updater", **more}


def visit(
    visitor: Visitor, gateway: GatewayProcess, name: str, told: dict[str, Any], **look: Any
) -> tuple[ChatPage, Switchboard]:
    chat = visitor.blank(**look)
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    line.answers[STATUS] = told
    chat.page.goto(f"{gateway.url}?session={name}#token={gateway.token}")
    chat.is_online()
    return chat, line


def card(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("region", name="Update")


def button(chat: ChatPage, name: str) -> Locator:
    return card(chat).get_by_role("button", name=name)


def entry(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("button", name=re.compile("^Update ?(0|under)"))


def step(line: Switchboard, phase: str | None, **more: Any) -> None:
    line.tell("openclawd.update", {"phase": phase, **(VERSIONS if phase else {}), **more})


def test_what_is_newer_is_offered_with_what_is_new_in_it(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat, _ = visit(visitor, gateway, "offered", status())
    expect(card(chat)).to_contain_text("openclawd 0.7.0 is available")
    expect(card(chat)).to_contain_text("Backups are smaller.")
    expect(card(chat)).to_contain_text("0.6.0 runs now")
    expect(chat.composer).to_be_focused()


def test_not_now_is_for_good_for_this_version_and_it_stays_in_the_menu(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat, line = visit(visitor, gateway, "not-now", status())
    button(chat, "Not now").click()
    expect(card(chat)).to_have_count(0)
    expect(chat.composer).to_be_focused()
    chat.witness.allow_a_gateway_that_is_away()
    chat.page.reload()
    chat.is_online()
    expect(entry(chat)).to_contain_text("0.7.0")
    expect(card(chat)).to_have_count(0)
    entry(chat).click()
    expect(button(chat, "Update now")).to_be_focused()
    button(chat, "Not now").click()
    line.answers[STATUS] = status(updateAvailable=NEWER | {"latestVersion": "0.7.1"})
    line.tell("update.available", {"updateAvailable": NEWER | {"latestVersion": "0.7.1"}})
    expect(card(chat)).to_contain_text("0.7.1 is available")


def test_an_update_is_followed_from_its_beginning_to_its_end(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat, line = visit(visitor, gateway, "followed", status())
    line.swallows = "update.run"
    button(chat, "Update now").focus()
    chat.page.keyboard.press("Enter")
    expect(card(chat)).to_contain_text("Looking for the newest version")
    expect(card(chat).get_by_role("button")).to_have_count(0)
    step(line, "downloading", doneBytes=7_000_000, totalBytes=28_000_000)
    expect(card(chat)).to_contain_text("Downloading 0.7.0")
    expect(card(chat)).to_contain_text("7 MB of 28 MB")
    bar = card(chat).get_by_role("progressbar", name="Downloading 0.7.0")
    expect(bar).to_have_js_property("position", 0.25)
    step(line, "downloading", doneBytes=28_000_000, totalBytes=28_000_000)
    expect(bar).to_have_js_property("position", 1)
    for phase, words in (
        ("unpacking", "Unpacking 0.7.0"),
        ("examining", "Checking that 0.7.0 can run here"),
        ("switching", "Putting 0.7.0 in its place"),
        ("restarting", "Restarting into 0.7.0"),
        ("trial", "0.7.0 runs, and is watched"),
    ):
        step(line, phase)
        expect(card(chat)).to_contain_text(words)
    expect(card(chat)).to_contain_text("If it is not well, 0.6.0 comes back by itself.")
    line.answers[STATUS] = status(newer=False, version="0.7.0", last=ended("confirmed"))
    step(line, "confirmed")
    expect(card(chat)).to_contain_text("openclawd 0.7.0 runs, and stays")
    button(chat, "Close").click()
    expect(card(chat)).to_have_count(0)


def test_a_page_that_comes_back_in_the_middle_knows_where_it_is(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    told = status(newer=False, version="0.7.0", trial=VERSIONS)
    chat, line = visit(visitor, gateway, "in-the-middle", told)
    expect(card(chat)).to_contain_text("0.7.0 runs, and is watched")
    line.answers[STATUS] = status(last=ended("rolled-back", reason=REASON))
    step(line, None)
    expect(card(chat)).to_contain_text("0.7.0 was not well, and 0.6.0 is back")


def test_an_update_that_was_rolled_back_is_told_with_its_reason_until_it_was_seen(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    told = status(newer=False, last=ended("rolled-back", reason=REASON))
    chat, line = visit(visitor, gateway, "rolled-back", told)
    expect(card(chat)).to_contain_text("0.7.0 was not well, and 0.6.0 is back")
    expect(card(chat)).to_contain_text(REASON)
    expect(card(chat).get_by_text("openclawd logs")).to_be_visible()
    button(chat, "Close").click()
    expect(card(chat)).to_have_count(0)
    chat.witness.allow_a_gateway_that_is_away()
    chat.page.reload()
    chat.is_online()
    line.tell("update.available", {"updateAvailable": None})
    expect(card(chat)).to_have_count(0)
    line.answers[STATUS] = status(newer=False, last=ended("rolled-back", 2_000, reason="it hung"))
    step(line, "rolled-back")
    expect(card(chat)).to_contain_text("It hung.")


def test_an_update_long_ago_that_was_well_is_no_news(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat, _ = visit(visitor, gateway, "long-ago", status(newer=False, last=ended("confirmed")))
    chat.say("hello")
    chat.has_answered("hello")
    expect(card(chat)).to_have_count(0)
    expect(entry(chat)).to_be_hidden()


def test_why_there_is_no_update_is_said_with_the_command_that_helps(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat, line = visit(visitor, gateway, "refused", status())
    result = {"status": "error", "reason": "the disk of /home is full", "cure": "df -h /home"}
    line.answers["update.run"] = {"ok": False, "result": result, "restart": None}
    button(chat, "Update now").click()
    expect(card(chat)).to_contain_text("The disk of /home is full.")
    expect(card(chat).get_by_text("df -h /home")).to_be_visible()
    button(chat, "Close").click()
    expect(card(chat)).to_contain_text("0.7.0 is available")


def test_a_gateway_that_does_not_replace_itself_says_what_does(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    told = status(updatesItself=False, command="pipx upgrade openclawd")
    chat, _ = visit(visitor, gateway, "pipx", told)
    expect(card(chat).get_by_text("pipx upgrade openclawd")).to_be_visible()
    expect(button(chat, "Update now")).to_have_count(0)
    button(chat, "Not now").click()
    expect(card(chat)).to_have_count(0)


def test_who_is_no_administrator_hears_nothing_of_it(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    line.scopes = ["operator.read", "operator.write"]
    line.answers[STATUS] = status()
    chat.page.goto(f"{gateway.url}?session=no-admin#token={gateway.token}")
    chat.is_online()
    step(line, "downloading")
    chat.say("hello")
    chat.has_answered("hello")
    assert line.requests(STATUS) == []
    expect(card(chat)).to_have_count(0)


def test_a_real_gateway_of_a_source_tree_says_how_it_is_updated(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    line.answers[STATUS] = status()
    chat.page.goto(f"{gateway.url}?session=real#token={gateway.token}")
    chat.is_online()
    expect(button(chat, "Update now")).to_be_visible()
    del line.answers[STATUS]
    button(chat, "Update now").click()
    expect(card(chat)).to_contain_text("This openclawd runs from its source.")
    expect(card(chat).get_by_text(re.compile("^git -C .* pull$"))).to_be_visible()


@pytest.mark.parametrize("screen", SCREENS)
def test_the_card_is_readable(visitor: Visitor, gateway: GatewayProcess, screen: str) -> None:
    look: dict[str, Any] = {"reduced_motion": "reduce", **SCREENS[screen]}
    long = status(notes="A long word: " + "very" * 80 + "\n" + "A line.\n" * 40)
    chat, line = visit(visitor, gateway, f"readable-{screen}", long, **look)
    expect(button(chat, "Update now")).to_be_in_viewport()
    assert_readable(chat.page)
    step(line, "downloading", doneBytes=7_000_000, totalBytes=28_000_000)
    expect(card(chat)).to_contain_text("Downloading")
    assert_readable(chat.page)
    line.answers[STATUS] = status(newer=False, last=ended("rolled-back", reason=REASON * 8))
    step(line, "rolled-back")
    expect(card(chat)).to_contain_text("is back")
    assert_readable(chat.page)
