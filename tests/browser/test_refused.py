"""Every refusal and every close ends in a screen that is true, calm and says what helps; and in no loop."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.beside import beside
from tests.browser.chromium import PLAIN_HOST
from tests.browser.conftest import GatewayStarter
from tests.browser.pages import STRONG, ChatPage, Visitor
from tests.browser.proxy import proxy
from tests.browser.witness import Switchboard
from tests.support.gateway_process import TOKEN, GatewayProcess

pytestmark = pytest.mark.browser

PASSWORD = "a long sentence, that only the owner knows"
NO_TOKEN = {"OPENCLAW_GATEWAY_TOKEN": ""}
# Two tries, one of which is back after three seconds.
FEW_TRIES = {"maxAttempts": 2, "windowMs": 1_000, "lockoutMs": 6_000}
LIMITED: dict[str, Any] = {
    "code": "INVALID_REQUEST",
    "message": "unauthorized: too many failed authentication attempts (retry later)",
    "details": {"code": "AUTH_RATE_LIMITED", "authReason": "rate_limited"},
    "retryable": True,
    "retryAfterMs": 30_000,
}
MINUTE_MS = 60_000
# A page that waits for its approval asks this often, at the most.
QUICKEST_POLL_MS = 2_250
HIDDEN = "Object.defineProperty(document, 'hidden', {get: () => true})"
APPROVE = re.compile(r"openclawd devices approve ([\w-]+)")


def alert(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("alert")


def give(chat: ChatPage, secret: str, *, label: str = "Token") -> None:
    field = chat.page.get_by_label(label, exact=True)
    field.fill(secret)
    field.press("Enter")


def refused_page(
    visitor: Visitor, gateway: GatewayProcess, error: dict[str, Any]
) -> tuple[ChatPage, Switchboard]:
    """A page whose handshakes are refused with `error`, in a time of its own."""
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    line.refuses["connect"] = error
    chat.page.clock.install()
    chat.page.goto(f"{gateway.url}#token={gateway.token}")
    return chat, line


# Too many wrong tries.


def test_who_was_wrong_too_often_waits_a_little_and_the_right_password_comes_in_by_itself(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    auth = {"mode": "password", "password": PASSWORD, "rateLimit": FEW_TRIES}
    gateway = start_gateway({"gateway": {"auth": auth}}, environment=NO_TOKEN)
    chat = visitor.open(gateway.url)
    for guess in ("one", "two"):
        give(chat, guess, label="Password")
        expect(alert(chat)).to_contain_text("That is not this gateway's password.")
    give(chat, PASSWORD, label="Password")
    expect(alert(chat)).to_contain_text("Too many wrong tries from here.")
    expect(chat.page.get_by_role("timer")).to_contain_text(re.compile(r"tries once more by itself in \d s"))
    chat.is_online()
    assert [line["reason"] for line in gateway.decisions("refused")] == [
        "password_mismatch",
        "password_mismatch",
        "rate_limited",
    ]


def test_the_right_token_gets_in_while_wrong_ones_have_to_wait(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    auth = {"token": STRONG, "rateLimit": {"maxAttempts": 2, "windowMs": 1_000, "lockoutMs": 600_000}}
    gateway = start_gateway({"gateway": {"auth": auth}}, environment=NO_TOKEN)
    chat = visitor.open(gateway.url)
    for guess in ("one", "two"):
        give(chat, guess)
        expect(alert(chat)).to_contain_text("That is not this gateway's token.")
    give(chat, "three")
    expect(alert(chat)).to_contain_text("Too many wrong tries from here.")
    expect(chat.page.get_by_text("in 5 min")).to_be_visible()
    expect(chat.token_field).to_be_focused()
    give(chat, STRONG)
    chat.is_online()


def test_a_page_that_has_to_wait_tries_once_by_itself_and_then_leaves_it_to_the_person(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat, line = refused_page(visitor, gateway, LIMITED)
    timer = chat.page.get_by_role("timer")
    expect(timer).to_contain_text(re.compile(r"tries once more by itself in (30|31) s"))
    chat.page.clock.run_for(10_000)
    expect(timer).to_contain_text(re.compile(r"in (20|21) s"))
    assert len(line.requests("connect")) == 1
    chat.page.clock.run_for(22_000)
    expect(timer).to_contain_text(re.compile(r"looks at the next one in (29|30|31) s"))
    chat.time_passes()
    expect(timer).to_contain_text("You can try again now.")
    assert len(line.requests("connect")) == 2
    line.refuses.clear()
    give(chat, gateway.token)
    chat.is_online()


def test_an_old_link_makes_a_known_browser_wait_for_nothing(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    chat.page.goto(f"{gateway.url}#token={gateway.token}")
    chat.is_online()
    line.refuse_once("connect", LIMITED)
    chat.page.goto(f"{gateway.url}?session=kept#token=yesterdays-token")
    chat.is_online()
    presented = [list(params["auth"]) for params in line.requests("connect")]
    assert presented == [["token"], ["token"], ["deviceToken"]]


def test_what_one_types_while_one_waits_stays_in_the_field(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat, line = refused_page(visitor, gateway, LIMITED)
    expect(chat.page.get_by_role("timer")).to_be_visible()
    chat.token_field.fill("half of the tok")
    chat.page.clock.run_for(32_000)
    expect(chat.page.get_by_role("timer")).to_contain_text("looks at the next one")
    assert len(line.requests("connect")) == 2
    expect(chat.token_field).to_have_value("half of the tok")


# Wrong, or void.


def test_a_wrong_token_is_not_kept(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.open(f"{gateway.url}#token=not-the-token")
    expect(alert(chat)).to_contain_text("That is not this gateway's token.")
    assert chat.stored()["session"] == {}
    chat.page.reload()
    expect(chat.gate).to_be_visible()
    assert len(chat.witness.sockets) == 1


def test_an_old_link_does_not_lock_out_a_browser_that_is_known(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway)
    chat.page.goto(f"{gateway.url}?session=kept#token=yesterdays-token")
    chat.is_online()
    assert len(chat.witness.sockets) == 3


@pytest.fixture
def changing(start_gateway: GatewayStarter) -> GatewayProcess:
    """A gateway whose token stands in its config, where it can be changed."""
    return start_gateway({"gateway": {"auth": {"token": TOKEN}}}, environment=NO_TOKEN)


def came_back(chat: ChatPage, gateway: GatewayProcess, admitted: int) -> ChatPage:
    """Wait until the gateway has admitted somebody for the `admitted`th time."""
    chat.until(lambda: len(gateway.decisions("admitted")) >= admitted)
    return chat.is_online()


def do(gateway: GatewayProcess, *command: str) -> str:
    done = gateway.command(*command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_gateway_token_disturbs_no_browser_that_has_its_own(
    visitor: Visitor, changing: GatewayProcess
) -> None:
    chat = visitor.chat(changing)
    chat.composer.fill("half a thou")
    do(changing, "gateway", "token", "rotate")
    came_back(chat, changing, 2)
    assert changing.decisions("admitted")[-1]["credential"] == "device-token"
    assert changing.decisions("refused") == []
    expect(chat.composer).to_have_value("half a thou")


def test_a_device_that_was_removed_is_told_so_and_stays_out_until_a_person_gives_the_token(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway)
    second = chat.link_again().is_online()
    do(own_gateway, "devices", "remove", chat.device_id)
    for tab in (chat, second):
        expect(alert(tab)).to_contain_text("taken off the gateway's list of devices")
        assert "openclawd.deviceToken" not in tab.stored()["local"]
    sockets = len(chat.witness.sockets)
    chat.page.wait_for_timeout(1_000)
    assert len(chat.witness.sockets) == sockets
    give(chat, own_gateway.token)
    chat.is_online()
    second.is_online()
    assert own_gateway.decisions("refused") == []


def test_a_device_token_that_was_replaced_is_renewed_in_silence_where_the_secret_is_still_known(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway)
    before = chat.stored()["local"]["openclawd.deviceToken"]
    do(own_gateway, "devices", "rotate", chat.device_id)
    came_back(chat, own_gateway, 2)
    assert chat.stored()["local"]["openclawd.deviceToken"] != before
    chat.page.reload()
    came_back(chat, own_gateway, 3)
    assert own_gateway.decisions("admitted")[-1]["credential"] == "device-token"
    assert own_gateway.decisions("refused") == []


def test_a_device_token_that_was_replaced_asks_for_the_secret_where_it_is_forgotten(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway)
    chat.page.reload()
    chat.is_online()
    do(own_gateway, "devices", "rotate", chat.device_id)
    expect(alert(chat)).to_contain_text("Give the token again")
    assert own_gateway.decisions("refused") == []
    give(chat, own_gateway.token)
    chat.is_online()


# Waiting for the approval.


def waiting_request(chat: ChatPage) -> str:
    command = chat.page.get_by_text(APPROVE)
    expect(command).to_be_visible()
    shown = APPROVE.search(command.inner_text())
    assert shown is not None
    return shown[1]


@pytest.mark.parametrize("hidden", [False, True], ids=["shown", "hidden"])
def test_a_page_that_waits_does_not_hammer(
    visitor: Visitor, plain: tuple[GatewayProcess, str], hidden: bool
) -> None:
    gateway, url = plain
    chat = visitor.blank()
    chat.witness.lives_at(url)
    if hidden:
        chat.page.add_init_script(HIDDEN)
    chat.page.clock.install()
    chat.page.goto(f"{url}#token={gateway.token}")
    device = chat.page.get_by_text(re.compile("^This browser: Chrome on Linux, "))
    expect(device).to_contain_text(f"{chat.device_id[:4]} {chat.device_id[4:8]}")
    for _ in range(20):
        chat.page.clock.run_for(MINUTE_MS // 20)
        chat.page.wait_for_timeout(50)
    most = MINUTE_MS // QUICKEST_POLL_MS // (10 if hidden else 1)
    assert 2 <= len(chat.witness.sockets) <= 1 + most
    assert len({line["device"] for line in gateway.decisions("refused")}) == 1


def test_a_request_that_was_replaced_is_shown_in_its_place_and_waited_for(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    def pairing(request: str) -> dict[str, Any]:
        details = {"code": "PAIRING_REQUIRED", "reason": "not-paired", "requestId": request}
        return {"code": "NOT_PAIRED", "message": "pairing required", "details": details}

    chat, line = refused_page(visitor, gateway, pairing("the-first"))
    assert waiting_request(chat) == "the-first"
    line.refuses["connect"] = pairing("the-second")
    chat.page.clock.run_for(QUICKEST_POLL_MS * 2)
    expect(chat.page.get_by_text("openclawd devices approve the-second")).to_be_visible()
    expect(chat.page.get_by_text("this is a new one")).to_be_visible()
    line.refuses.clear()
    chat.page.clock.run_for(QUICKEST_POLL_MS * 2)
    chat.is_online()


# No room, no way through.


def test_a_gateway_without_room_is_tried_again_when_it_said(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    line.turns_away = [(1013, "gateway busy; retryAfterMs=60000")] * 2
    chat.page.clock.install()
    chat.page.goto(f"{gateway.url}#token={gateway.token}")
    words = chat.page.get_by_role("region", name="Connection")
    chat.page.clock.run_for(10_000)
    expect(words).to_contain_text("The gateway has no room for now.")
    chat.page.clock.run_for(45_000)
    assert len(line.turns_away) == 1
    chat.time_passes()
    assert line.turns_away == []
    chat.time_passes()
    chat.is_online()
    expect(words).to_have_count(0)


def test_a_proxy_that_passes_no_websocket_on_is_told_with_the_command_that_finds_it(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    with beside(proxy(gateway.port, "/claw", strip=True, sockets=False)) as port:
        home = f"http://127.0.0.1:{port}/claw/"
        chat = visitor.open(f"{home}#token={gateway.token}")
        chat.witness.allow(r"console error: WebSocket connection to .* Unexpected response code: 404")
        words = chat.page.get_by_role("region", name="Connection")
        expect(words).to_contain_text("The page loads, but its connection does not get through.")
        expect(words.get_by_text(f"openclawd doctor --url {home}")).to_be_visible()
        visitor.leave()


# Over plain http, from elsewhere.


def test_without_encryption_the_gate_says_so_and_how_it_is_mended(
    visitor: Visitor, plain: tuple[GatewayProcess, str]
) -> None:
    _, url = plain
    chat = visitor.open(url)
    expect(chat.gate).to_be_visible()
    command = chat.page.get_by_text("openclawd config set gateway.tls.enabled true")
    expect(command).to_be_hidden()
    chat.page.get_by_text("This connection is not encrypted").click()
    expect(command).to_be_visible()
    expect(
        chat.page.get_by_text(re.compile(rf"^ssh -L \d+:localhost:\d+ {re.escape(PLAIN_HOST)}$"))
    ).to_be_visible()


def test_on_this_computer_nothing_is_said_of_encryption(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.open(gateway.url)
    expect(chat.gate).to_be_visible()
    expect(chat.page.get_by_text("not encrypted")).to_have_count(0)


# A proxy that signs people in.


def test_who_comes_past_the_proxy_that_signs_people_in_is_told_so_and_asked_for_no_token(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    trusted = {"userHeader": "x-forwarded-user"}
    config = {
        "gateway": {
            "bind": "lan",
            "trustedProxies": ["192.0.2.1"],
            "auth": {"mode": "trusted-proxy", "trustedProxy": trusted},
        }
    }
    gateway = start_gateway(config, environment=NO_TOKEN)
    chat = visitor.open(gateway.url, own_time=True)
    expect(chat.page.get_by_role("heading", name="The proxy in front did not sign you in")).to_be_visible()
    expect(chat.page.get_by_text("openclawd logs")).to_be_visible()
    chat.time_passes()
    assert len(chat.witness.sockets) == 1
