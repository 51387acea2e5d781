"""How one gets in: the gate, links with a token, wrong tokens, and what the browser keeps."""

import pytest
from playwright.sync_api import expect

from tests.browser.pages import Visitor
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser


def refusals(gateway: GatewayProcess) -> int:
    return len(gateway.decisions("refused"))


def test_without_a_credential_the_gate_asks_and_no_handshake_is_tried(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    before = refusals(gateway)
    chat = visitor.open(gateway.url, own_time=True)
    expect(chat.gate).to_be_visible()
    expect(chat.composer).to_be_hidden()
    chat.time_passes()
    assert chat.witness.sockets == []
    assert refusals(gateway) == before


def test_the_gate_is_ready_for_the_paste(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.open(gateway.url)
    expect(chat.token_field).to_be_focused()


def test_pasting_the_token_connects(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.open(gateway.url)
    chat.token_field.fill(gateway.token)
    chat.connect_button.click()
    chat.is_online()
    assert len(chat.witness.sockets) == 1


def test_pasting_the_whole_dashboard_link_connects(visitor: Visitor, gateway: GatewayProcess) -> None:
    printed = gateway.command("dashboard", "--no-open").stdout
    link = next(word for word in printed.split() if "#token=" in word)
    chat = visitor.open(gateway.url)
    chat.token_field.fill(f"  {link}\n")
    chat.token_field.press("Enter")
    chat.is_online()


def test_a_wrong_token_is_refused_in_one_sentence_after_one_handshake(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    before = refusals(gateway)
    chat = visitor.open(gateway.url, own_time=True)
    chat.token_field.fill("not-the-token")
    chat.connect_button.click()
    expect(chat.page.get_by_role("alert")).to_contain_text("That is not this gateway's token.")
    expect(chat.token_field).to_be_focused()
    chat.time_passes()
    assert len(chat.witness.sockets) == 1
    assert refusals(gateway) == before + 1
    chat.token_field.fill(gateway.token)
    chat.connect_button.click()
    chat.is_online()


@pytest.mark.parametrize("mark", ["#", "?"])
def test_a_token_in_the_address_is_taken_and_stripped(
    visitor: Visitor, gateway: GatewayProcess, mark: str
) -> None:
    chat = visitor.open(f"{gateway.url}{mark}token={gateway.token}").is_online()
    assert chat.page.url == gateway.url
    chat.page.goto("about:blank")
    chat.page.go_back()
    chat.is_online()
    assert chat.page.url == gateway.url
    assert chat.page.evaluate("history.length") <= 3


def test_other_parts_of_the_address_stay(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.open(f"{gateway.url}?session=kept&token={gateway.token}").is_online()
    assert chat.page.url == f"{gateway.url}?session=kept"


def test_only_the_device_and_its_token_stay_in_the_browser(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway)
    stored = chat.stored()
    assert set(stored["local"]) == {"openclawd.device", "openclawd.deviceToken"}
    assert gateway.token not in str(stored)


def test_the_device_token_lets_the_next_visit_in(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway)
    other = chat.link_again().is_online()
    device = gateway.decisions("admitted")[-1]
    assert device["credential"] == "device-token"
    other.page.reload()
    other.is_online()
    assert gateway.token not in str(other.stored())


def test_a_token_given_in_one_tab_opens_the_gate_of_the_other(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    first = visitor.open(gateway.url)
    second = first.link_again()
    expect(second.gate).to_be_visible()
    first.token_field.fill(gateway.token)
    first.connect_button.click()
    first.is_online()
    second.is_online()
