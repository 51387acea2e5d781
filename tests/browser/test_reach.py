"""The ways to a gateway: a tunnel (#30469), plain http, no secret, a password, a base path."""

import re
from collections.abc import Generator

import pytest
from playwright.sync_api import expect

from tests.browser.beside import beside
from tests.browser.chromium import PLAIN_HOST
from tests.browser.conftest import GatewayStarter
from tests.browser.pages import ChatPage, Visitor
from tests.browser.proxy import proxy
from tests.support.forwarder import forwarder
from tests.support.gateway_process import GatewayProcess
from tests.support.nginx import NOTHING, nginx

pytestmark = pytest.mark.browser

PASSWORD = "a long sentence, that only the owner knows"
# A page that waits asks again at least as often.
APPROVAL_POLL_MS = 5_000
NO_TOKEN = {"OPENCLAW_GATEWAY_TOKEN": ""}
NO_MODEL = re.compile("not a language model")
APPROVE = re.compile(r"openclawd devices approve ([\w-]+)")


@pytest.fixture
def tunnel(
    visitor: Visitor, start_gateway: GatewayStarter
) -> Generator[tuple[GatewayProcess, str], None, None]:
    """#30469: `bind: lan`, and `ssh -L` from another port."""
    gateway = start_gateway({"gateway": {"bind": "lan"}})
    with beside(forwarder(gateway.port)) as port:
        yield gateway, f"http://localhost:{port}/"
        visitor.leave()


def waiting_request(chat: ChatPage) -> str:
    """The id in the command that the page shows."""
    command = chat.page.get_by_text(APPROVE)
    expect(command).to_be_visible()
    shown = APPROVE.search(command.inner_text())
    assert shown is not None
    return shown[1]


def test_the_page_works_through_a_tunnel(visitor: Visitor, tunnel: tuple[GatewayProcess, str]) -> None:
    gateway, url = tunnel
    chat = visitor.open(f"{url}#token={gateway.token}").is_online()
    chat.say("hello")
    chat.has_answered(NO_MODEL)
    (admitted,) = gateway.decisions("admitted")
    assert admitted["origin"] == url.rstrip("/")
    assert gateway.decisions("refused") == []


def test_through_a_tunnel_without_the_token_the_page_says_what_it_needs(
    visitor: Visitor, tunnel: tuple[GatewayProcess, str]
) -> None:
    gateway, url = tunnel
    chat = visitor.open(url)
    expect(chat.gate).to_be_visible()
    chat.token_field.fill("wrong")
    chat.connect_button.click()
    expect(chat.page.get_by_role("alert")).to_contain_text("That is not this gateway's token.")
    (refused,) = gateway.decisions("refused")
    assert refused["reason"] == "token_mismatch"


def test_a_device_elsewhere_waits_for_its_approval_and_comes_in_by_itself(
    visitor: Visitor, plain: tuple[GatewayProcess, str]
) -> None:
    gateway, url = plain
    chat = visitor.open(f"{url}#token={gateway.token}")
    assert chat.page.evaluate("[isSecureContext, typeof crypto.subtle, typeof navigator.clipboard]") == [
        False,
        "undefined",
        "undefined",
    ]
    expect(chat.page.get_by_role("heading", name="Waiting for approval")).to_be_visible()
    request = waiting_request(chat)
    # Until the gateway has given it a device token, a reload must still know the secret.
    chat.page.reload()
    assert waiting_request(chat) == request
    done = gateway.command("devices", "approve", request)
    assert done.returncode == 0, done.stderr
    chat.is_online()
    assert gateway.token not in str(chat.stored())
    assert {line["reason"] for line in gateway.decisions("refused")} == {"not-paired"}
    chat.page.reload()
    chat.is_online()


def test_a_rejected_device_is_told_so_and_does_not_ask_again(
    visitor: Visitor, plain: tuple[GatewayProcess, str]
) -> None:
    gateway, url = plain
    chat = visitor.open(f"{url}#token={gateway.token}", own_time=True)
    done = gateway.command("devices", "reject", waiting_request(chat))
    assert done.returncode == 0, done.stderr
    chat.time_passes(APPROVAL_POLL_MS)
    expect(chat.page.get_by_role("heading", name="The request was turned down")).to_be_visible()
    expect(chat.page.get_by_role("button", name="Ask again")).to_be_visible()
    asked = len(gateway.decisions("refused"))
    chat.time_passes()
    assert len(gateway.decisions("refused")) == asked


def test_a_connected_page_can_approve_another_browser(
    visitor: Visitor, plain: tuple[GatewayProcess, str]
) -> None:
    gateway, url = plain
    owner = visitor.chat(gateway)
    guest = visitor.open(f"{url}#token={gateway.token}", own_time=True)
    asks = owner.page.get_by_role("region", name="A device waits for approval")
    asks.get_by_role("button", name="Approve").click()
    expect(asks).to_have_count(0)
    guest.time_passes(APPROVAL_POLL_MS)
    guest.is_online()


def test_the_command_is_copied_where_there_is_no_clipboard_api(
    visitor: Visitor, plain: tuple[GatewayProcess, str]
) -> None:
    gateway, url = plain
    chat = visitor.open(f"{url}#token={gateway.token}")
    request = waiting_request(chat)
    chat.page.get_by_role("button", name="Copy the command").click()
    expect(chat.page.get_by_text("Copied")).to_be_visible()
    chat.page.evaluate("document.body.appendChild(document.createElement('textarea')).focus()")
    chat.page.keyboard.press("ControlOrMeta+V")
    expect(chat.page.locator("textarea:focus")).to_have_value(f"openclawd devices approve {request}")


def test_an_origin_that_is_not_allowed_is_told_so_once(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    """The proxy says nothing of the name that it was asked under, so the page loads."""
    gateway = start_gateway()
    with nginx(gateway.port, NOTHING) as port:
        origin = f"http://{PLAIN_HOST}:{port}"
        chat = visitor.open(f"{origin}/#token={gateway.token}", own_time=True)
        command = chat.page.get_by_text(f"openclawd config set openclawd.publicOrigin {origin}")
        expect(command).to_be_visible()
        chat.time_passes()
    assert len(gateway.decisions("refused")) == 1
    assert len(chat.witness.sockets) == 1


def test_without_auth_the_page_connects_at_once(visitor: Visitor, start_gateway: GatewayStarter) -> None:
    gateway = start_gateway({"gateway": {"auth": {"mode": "none"}}}, environment=NO_TOKEN)
    chat = visitor.open(gateway.url).is_online()
    chat.say("hello")
    chat.has_answered(NO_MODEL)
    chat.page.reload()
    chat.is_online()
    assert gateway.decisions("refused") == []


def test_in_password_mode_the_gate_asks_for_the_password(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    auth = {"mode": "password", "password": PASSWORD}
    gateway = start_gateway({"gateway": {"auth": auth}}, environment=NO_TOKEN)
    chat = visitor.open(gateway.url)
    expect(chat.page.get_by_role("heading", name="Enter the gateway's password")).to_be_visible()
    field = chat.page.get_by_label("Password", exact=True)
    expect(field).to_have_attribute("type", "password")
    field.fill("a guess")
    field.press("Enter")
    expect(chat.page.get_by_role("alert")).to_contain_text("That is not this gateway's password.")
    field.fill(PASSWORD)
    field.press("Enter")
    chat.is_online()
    assert PASSWORD not in str(chat.stored())
    assert len(gateway.decisions("refused")) == 1
    chat.page.reload()
    chat.is_online()


def works(chat: ChatPage, home: str) -> None:
    """Everything below `home`, and nothing elsewhere: the page, its files, its socket, a link, a reload."""
    chat.is_online()
    chat.say("hello")
    chat.has_answered(NO_MODEL)
    chat.page.reload()
    chat.has_answered(NO_MODEL)
    chat.new_chat.click()
    assert chat.page.url.startswith(f"{home}?session=")
    chat.page.reload()
    chat.is_online()
    chat.page.goto(f"{home}chat?session=linked")
    chat.is_online()
    expect(chat.chats.locator("a[aria-current]")).to_have_attribute("href", re.compile("linked$"))
    sockets = home.replace("http:", "ws:")
    assert {*chat.witness.sockets} == {sockets}
    assert [url for url in chat.witness.requests if not url.startswith(home.rstrip("/"))] == []


def test_the_page_works_below_a_base_path(visitor: Visitor, start_gateway: GatewayStarter) -> None:
    gateway = start_gateway({"gateway": {"controlUi": {"basePath": "/base"}}})
    home = f"{gateway.url}base/"
    chat = visitor.open(f"{gateway.url}base#token={gateway.token}").is_online()
    assert chat.page.url == home
    works(chat, home)


@pytest.mark.parametrize("strip", [True, False], ids=["stripped", "passed-on"])
def test_the_page_works_behind_a_proxy_with_a_prefix(
    visitor: Visitor, start_gateway: GatewayStarter, strip: bool
) -> None:
    prefix = "/tools/claw"
    gateway = start_gateway({"gateway": {"controlUi": {} if strip else {"basePath": prefix}}})
    with beside(proxy(gateway.port, prefix, strip=strip)) as port:
        home = f"http://127.0.0.1:{port}{prefix}/"
        chat = visitor.open(f"{home}#token={gateway.token}")
        works(chat, home)
        visitor.leave()
