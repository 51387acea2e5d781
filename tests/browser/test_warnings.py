"""What is wrong with the gateway is said above the conversation, calmly, for as long as it is wrong."""

import json
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.pages import ChatPage, Visitor
from tests.browser.test_looks import SCREENS, assert_readable
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

BROKEN = '{"gateway": {"port": "not a number"}}'


def warnings(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("status", name="Warnings")


def write(gateway: GatewayProcess, text: str) -> str:
    """Put it in the place of the config file; what was there."""
    file = gateway.state / "openclaw.json"
    before = file.read_text()
    file.write_text(text)
    return before


def test_a_broken_config_file_is_told_until_it_is_mended(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway)
    expect(warnings(chat)).to_be_empty()
    good = write(own_gateway, BROKEN)
    expect(warnings(chat)).to_contain_text("The config file cannot be used, the last good one is in force")
    expect(warnings(chat)).to_contain_text("gateway.port")
    warnings(chat).get_by_text("What to do").click()
    expect(warnings(chat).get_by_text("openclawd config validate")).to_be_visible()
    write(own_gateway, good)
    expect(warnings(chat)).to_be_empty()


def test_a_warning_that_was_put_away_stays_away_until_it_is_another(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway)
    chat.witness.allow_a_gateway_that_is_away()
    good = write(own_gateway, BROKEN)
    dismiss = warnings(chat).get_by_role("button", name="Dismiss")
    dismiss.focus()
    chat.page.keyboard.press("Enter")
    expect(warnings(chat)).to_be_empty()
    expect(chat.composer).to_be_focused()
    with chat.page.expect_event("websocket") as opened:
        chat.page.reload()
    opened.value.wait_for_event("framereceived", lambda text: '"event":"health"' in text)
    chat.is_online()
    expect(warnings(chat)).to_be_empty()
    write(own_gateway, "{")
    expect(warnings(chat)).to_contain_text("cannot be used")
    write(own_gateway, good)
    expect(warnings(chat)).to_be_empty()
    write(own_gateway, BROKEN)
    expect(warnings(chat)).to_contain_text("gateway.port")


@pytest.mark.parametrize("screen", SCREENS)
def test_warnings_are_readable(visitor: Visitor, own_gateway: GatewayProcess, screen: str) -> None:
    look: dict[str, Any] = {"reduced_motion": "reduce", **SCREENS[screen]}
    chat = visitor.chat(own_gateway, **look)
    chat.say("\n".join(f"- line {number}" for number in range(80)))
    answer = chat.has_answered("line 79")
    write(own_gateway, json.dumps({"gateway": {"port": "a very long word " * 12}}))
    warnings(chat).get_by_text("What to do").click()
    expect(answer.get_by_text("line 79", exact=True)).to_be_in_viewport()
    assert_readable(chat.page)
