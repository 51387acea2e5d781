"""The two reports that started the project, as they were met: a browser, a gateway, a restart, a tunnel.

#28997: after a restart pages come back without their token, every try counts as a failed login, and then the
right token is refused, too. #30469: through a port forward the socket opens and closes, and no log says why.
"""

import json
import signal
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.beside import beside
from tests.browser.conftest import GatewayStarter
from tests.browser.pages import STRONG, ChatPage, Visitor
from tests.support.forwarder import forwarder
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

TABS = 10
STALE_TABS = 3
GUESSES = 30
# As many programs guess from a page of this very browser; each says with what it was closed.
GUESS = """
async (guesses) => Promise.all([...Array(guesses).keys()].map((number) => new Promise((done) => {
  const socket = new WebSocket(location.href.replace(/^http/, "ws").split(/[?#]/)[0]);
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.type === "res") done(frame.error?.details?.code ?? "admitted");
    if (frame.event !== "connect.challenge") return;
    socket.send(JSON.stringify({ type: "req", id: "1", method: "connect", params: {
      minProtocol: 4, maxProtocol: 4, role: "operator", scopes: ["operator.read"], caps: [],
      client: { id: "webchat", version: "1", platform: "web", mode: "webchat" },
      auth: { token: `guess number ${number}` },
    } }));
  };
})))
"""


def limits(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """Who has been wrong, and how often."""
    done = gateway.command("gateway", "limits", "--json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["limits"]
    return rows


def tabs(first: ChatPage, number: int = TABS) -> list[ChatPage]:
    first.witness.allow_a_gateway_that_is_away()
    return [first, *(first.link_again() for _ in range(number - 1))]


def restart(gateway: GatewayProcess, pages: list[ChatPage]) -> None:
    gateway.stop()
    for page in pages:
        page.is_away()
    gateway.start()


def test_28997_ten_tabs_come_back_after_a_restart_and_none_of_them_is_a_failed_login(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    pages = tabs(visitor.chat(own_gateway))
    for page in pages:
        page.is_online()
    restart(own_gateway, pages)
    for page in pages:
        page.is_online()
    assert own_gateway.decisions("refused") == []
    assert [line["credential"] for line in own_gateway.decisions("admitted")] == ["token"] + [
        "device-token"
    ] * (2 * TABS - 1)
    assert limits(own_gateway) == []


def test_28997_ten_tabs_sleep_through_planned_restarts_and_a_kill_without_one_failed_login(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    pages = tabs(visitor.chat(own_gateway))
    for page in pages:
        page.is_online()
    for generation in (2, 3):
        assert own_gateway.process is not None
        own_gateway.process.send_signal(signal.SIGUSR1)
        everybody = generation * TABS
        pages[0].until(lambda all_of_them=everybody: len(own_gateway.decisions("admitted")) == all_of_them)  # type: ignore[misc]
    own_gateway.kill()
    own_gateway.start()
    for page in pages:
        page.is_online()
    pages[0].until(lambda: len(own_gateway.decisions("admitted")) == 4 * TABS)
    assert own_gateway.decisions("refused") == []
    assert limits(own_gateway) == []


def test_28997_ten_tabs_without_a_token_knock_at_no_door_and_all_come_in_with_one_paste(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    pages = tabs(visitor.open(own_gateway.url))
    for page in pages:
        expect(page.gate).to_be_visible()
    own_gateway.stop()
    own_gateway.start()
    assert pages[0].witness.sockets == []
    pages[0].token_field.fill(own_gateway.token)
    pages[0].connect_button.click()
    for page in pages:
        page.is_online()
    assert own_gateway.decisions("refused") == []
    assert limits(own_gateway) == []


def test_28997_tabs_with_a_stale_token_are_one_failure_and_the_right_token_is_taken_at_once(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    pages = tabs(visitor.chat(own_gateway), STALE_TABS)
    # What is left after a reload is the device token alone, and the gateway will have forgotten the device.
    pages[0].page.reload()
    for page in pages:
        page.is_online()
    own_gateway.stop()
    for file in (own_gateway.state / "openclawd").glob("openclawd.sqlite3*"):
        file.unlink()
    own_gateway.start()
    for page in pages:
        expect(page.gate).to_be_visible()
    assert 1 <= len(own_gateway.decisions("refused")) <= STALE_TABS
    assert {row["tries"] - row["triesLeft"] for row in limits(own_gateway)} == {1}
    pages[-1].token_field.fill(own_gateway.token)
    pages[-1].connect_button.click()
    for page in pages:
        page.is_online()
    assert len(own_gateway.decisions("refused")) <= STALE_TABS


def test_28997_after_a_flood_of_wrong_ones_from_the_same_browser_the_right_token_is_taken_at_once(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    gateway = start_gateway(
        {"gateway": {"auth": {"token": STRONG}}}, environment={"OPENCLAW_GATEWAY_TOKEN": ""}
    )
    known = visitor.open(f"{gateway.url}#token={STRONG}").is_online()
    guesser = visitor.open(gateway.url)
    expect(guesser.gate).to_be_visible()
    answers = guesser.page.evaluate(GUESS, GUESSES)
    assert set(answers) == {"AUTH_TOKEN_MISMATCH", "AUTH_RATE_LIMITED"}
    assert 0 in [row["triesLeft"] for row in limits(gateway)]
    known.page.reload()
    known.is_online()
    known.witness.allow_a_gateway_that_is_away()
    restart(gateway, [known])
    known.is_online()
    assert 0 in [row["triesLeft"] for row in limits(gateway)]
    guesser.token_field.fill(STRONG)
    guesser.connect_button.click()
    guesser.is_online()


def test_30469_through_a_port_forward_the_page_connects_survives_a_restart_and_the_log_says_who_came(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    gateway = start_gateway({"gateway": {"bind": "lan"}})
    with beside(forwarder(gateway.port)) as port:
        origin = f"http://localhost:{port}"
        chat = visitor.open(f"{origin}/#token={gateway.token}").is_online()
        chat.witness.allow_a_gateway_that_is_away()
        chat.witness.allow(r"console error: .*net::ERR_(EMPTY_RESPONSE|CONNECTION_\w+).*")
        restart(gateway, [chat])
        chat.is_online()
        chat.page.reload()
        chat.is_online()
        visitor.leave()
    assert gateway.decisions("refused") == []
    assert [line["credential"] for line in gateway.decisions("admitted", origin=origin)] == [
        "token",
        "device-token",
        "device-token",
    ]
    assert limits(gateway) == []


def test_30469_through_a_port_forward_a_wrong_token_is_named_on_the_page_and_in_one_line_of_the_log(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    gateway = start_gateway({"gateway": {"bind": "lan"}})
    with beside(forwarder(gateway.port)) as port:
        chat = visitor.open(f"http://localhost:{port}/#token=wrong", own_time=True)
        expect(chat.page.get_by_role("alert")).to_contain_text("That is not this gateway's token.")
        chat.time_passes()
        visitor.leave()
    (line,) = gateway.decisions("refused")
    assert (line["reason"], line["presented"], line["next"]) == (
        "token_mismatch",
        "token",
        "openclawd dashboard",
    )
    assert gateway.decisions("admitted") == []
