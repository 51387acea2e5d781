"""The dialog "Devices": who is paired, who waits; and what one does about it, by pointer and by keyboard."""

import json
import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.pages import ChatPage, Visitor
from tests.browser.told import pair
from tests.browser.witness import Switchboard
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

Plain = tuple[GatewayProcess, str]
GUEST_POLL_MS = 5_000


def opened(chat: ChatPage) -> ChatPage:
    chat.devices_entry.click()
    expect(chat.devices).to_be_visible()
    return chat


def waits(visitor: Visitor, plain: Plain) -> ChatPage:
    """A browser from elsewhere, in a time of its own, that has to be approved."""
    gateway, url = plain
    guest = visitor.open(f"{url}#token={gateway.token}", own_time=True)
    expect(guest.page.get_by_role("heading", name="Waiting for approval")).to_be_visible()
    return guest


def section(chat: ChatPage, name: str) -> Locator:
    return chat.devices.get_by_role("region", name=name)


def paired(gateway: GatewayProcess) -> dict[str, str]:
    """Names by device."""
    listed = json.loads(gateway.command("devices", "list", "--json").stdout)
    return {device["deviceId"]: device["displayName"] for device in listed["paired"]}


def test_the_list_says_who_is_here_and_which_one_this_browser_is(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway)
    other = visitor.chat(own_gateway)
    opened(chat)
    mine, second = chat.devices.get_by_role("listitem").all()
    expect(mine).to_contain_text("this browser")
    for row, device_id in ((mine, chat.device_id), (second, other.device_id)):
        expect(row).to_contain_text("Chrome on Linux")
        expect(row).to_contain_text(f"Control UI · everything · {device_id[:4]} {device_id[4:8]}")
        expect(row).to_contain_text("Here now")
    expect(second.get_by_text("this browser")).to_be_hidden()
    other.page.close()
    expect(second).to_contain_text("Last here a moment ago")


def test_a_new_device_is_announced_by_a_notice_and_approved_in_the_dialog(
    visitor: Visitor, plain: Plain
) -> None:
    chat = visitor.chat(plain[0])
    opened(chat)
    guest = waits(visitor, plain)
    row = section(chat, "Waiting").get_by_role("listitem")
    expect(row).to_contain_text(
        f"From 127.0.0.1, a page at {plain[1].removesuffix('/')}, "
        f"device {guest.device_id[:4]} {guest.device_id[4:8]}, to be allowed everything."
    )
    row.get_by_role("button", name="Approve").click()
    expect(section(chat, "Waiting")).to_have_count(0)
    expect(section(chat, "Paired").get_by_role("listitem")).to_have_count(2)
    guest.time_passes(GUEST_POLL_MS)
    guest.is_online()
    expect(chat.page.get_by_role("region", name="A device waits for approval")).to_have_count(0)


def test_a_device_that_is_turned_away_leaves_no_second_request(visitor: Visitor, plain: Plain) -> None:
    chat = visitor.chat(plain[0])
    guest = waits(visitor, plain)
    expect(chat.devices_entry).to_contain_text("1 waiting")
    opened(chat)
    section(chat, "Waiting").get_by_role("button", name="Reject").click()
    expect(section(chat, "Waiting")).to_have_count(0)
    guest.time_passes()
    expect(guest.page.get_by_role("heading", name="The request was turned down")).to_be_visible()
    chat.devices.get_by_role("button", name="Close").click()
    expect(chat.devices_entry).to_have_text("Devices")


def test_several_that_wait_are_one_notice(visitor: Visitor, plain: Plain) -> None:
    chat = visitor.chat(plain[0])
    waits(visitor, plain)
    expect(chat.page.get_by_role("region", name="A device waits for approval")).to_be_visible()
    waits(visitor, plain)
    notice = chat.page.get_by_role("region", name="Devices wait for approval")
    expect(notice).to_contain_text("2 devices want to connect")
    expect(chat.page.get_by_role("region", name="A device waits for approval")).to_have_count(0)
    notice.get_by_role("button", name="Show them").click()
    expect(section(chat, "Waiting").get_by_role("listitem")).to_have_count(2)


def test_a_device_gets_a_name_that_everybody_sees(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    chat = opened(visitor.chat(own_gateway))
    other = opened(chat.link_again().is_online())
    chat.devices.get_by_role("button", name="Rename Chrome on Linux").click()
    field = chat.devices.get_by_role("textbox", name="Name of the device")
    expect(field).to_be_focused()
    field.fill("The kitchen")
    field.press("Enter")
    expect(chat.device("The kitchen")).to_contain_text("this browser")
    expect(other.device("The kitchen")).to_be_visible()
    assert list(paired(own_gateway).values()) == ["The kitchen"]


def test_a_device_is_removed_after_a_question_and_is_out_at_once(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway)
    other = visitor.chat(own_gateway)
    opened(chat)
    row = chat.devices.get_by_role("listitem").last
    row.get_by_role("button", name="Remove").click()
    question = chat.devices.get_by_role("group", name="Remove Chrome on Linux?")
    expect(question.get_by_role("button", name="Keep")).to_be_focused()
    question.get_by_role("button", name="Keep").click()
    assert len(paired(own_gateway)) == 2
    row.get_by_role("button", name="Remove").click()
    question.get_by_role("button", name="Remove").click()
    expect(chat.devices.get_by_role("listitem")).to_have_count(1)
    expect(other.page.get_by_role("alert")).to_contain_text("taken off the gateway's list of devices")
    assert list(paired(own_gateway)) == [chat.device_id]


def test_this_browser_can_sign_itself_out(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    chat = opened(visitor.chat(own_gateway))
    chat.devices.get_by_role("button", name="Remove").click()
    expect(chat.devices).to_contain_text("Remove this browser? It is signed out at once")
    chat.devices.get_by_role("group").get_by_role("button", name="Remove").click()
    expect(chat.gate).to_be_visible()
    expect(chat.devices).to_be_hidden()
    assert paired(own_gateway) == {}
    assert own_gateway.token not in str(chat.stored())
    chat.page.reload()
    expect(chat.gate).to_be_visible()


def test_all_of_it_goes_by_keyboard(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    chat = visitor.chat(own_gateway)
    press = chat.page.keyboard.press
    chat.devices_entry.focus()
    press("Enter")
    close = chat.devices.get_by_role("button", name="Close")
    expect(close).to_be_focused()
    # The dialog is there before its rows are.
    rename = chat.devices.get_by_role("button", name="Rename")
    expect(rename).to_be_visible()
    press("Tab")
    expect(rename).to_be_focused()
    press("Enter")
    chat.page.keyboard.type("Desk")
    press("Escape")
    expect(rename).to_be_focused()
    press("Enter")
    chat.page.keyboard.type("Desk")
    press("Enter")
    expect(chat.device("Desk")).to_be_visible()
    expect(rename).to_be_focused()
    press("Tab")
    press("Enter")
    expect(chat.devices.get_by_role("button", name="Keep")).to_be_focused()
    press("Escape")
    expect(chat.devices.get_by_role("button", name="Remove")).to_be_focused()
    press("Escape")
    expect(chat.devices).to_be_hidden()
    expect(chat.devices_entry).to_be_focused()


def test_who_may_not_let_devices_in_does_not_see_them(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    line.scopes = ["operator.read", "operator.write"]
    chat.page.goto(f"{gateway.url}#token={gateway.token}")
    chat.is_online()
    chat.until(lambda: bool(line.requests("sessions.list")))
    expect(chat.devices_entry).to_be_hidden()
    assert line.requests("device.pair.list") == []


def test_the_list_follows_a_restart(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    chat = opened(visitor.chat(own_gateway))
    chat.witness.allow_a_gateway_that_is_away()
    own_gateway.stop()
    own_gateway.start()
    own_gateway.command("devices", "rename", chat.device_id, "Named from afar")
    expect(chat.device("Named from afar")).to_be_visible()


def test_many_devices_are_searched(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    pair(own_gateway, *(f"Machine {number}" for number in range(7)))
    chat = opened(visitor.chat(own_gateway))
    chat.devices.get_by_role("searchbox", name="Search devices").fill("machine 3")
    expect(chat.devices.get_by_role("listitem")).to_have_text(re.compile("Machine 3"))
    chat.devices.get_by_role("searchbox").fill("nobody")
    expect(chat.devices.get_by_text("No device has that in its name.")).to_be_visible()
