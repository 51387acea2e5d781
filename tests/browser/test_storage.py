"""What the browser keeps of secrets, where, and how long; and what an address can make the page do."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import GatewayStarter
from tests.browser.pages import ChatPage, Visitor
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

SECRET = "openclawd.secret"
DEVICE_TOKEN = "openclawd.deviceToken"
PASSWORD = "a long sentence, that only the owner knows"


# Everything that the browser keeps for this origin, databases and caches too.
KEPT = """
async () => {
  const done = (request) => new Promise((settle) => { request.onsuccess = () => settle(request.result); });
  const all = [{...localStorage}, {...sessionStorage}, document.cookie, history.state, await caches.keys()];
  for (const { name } of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      all.push(await done(database.transaction(store).objectStore(store).getAll()));
    }
    database.close();
  }
  return JSON.stringify(all);
}
"""


def kept(chat: ChatPage) -> str:
    found: str = chat.page.evaluate(KEPT)
    return found


def test_until_there_is_a_device_token_the_secret_is_in_the_tab_alone(
    visitor: Visitor, plain: tuple[GatewayProcess, str]
) -> None:
    gateway, url = plain
    chat = visitor.open(f"{url}#token={gateway.token}")
    expect(chat.page.get_by_role("heading", name="Waiting for approval")).to_be_visible()
    stored = chat.stored()
    assert json.loads(stored["session"][SECRET]) == {"kind": "token", "value": gateway.token}
    assert gateway.token not in str(stored["local"])
    other = chat.link_again()
    expect(other.gate).to_be_visible()
    assert SECRET not in other.stored()["session"]


def test_with_a_device_token_the_secret_is_nowhere(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "kept-nowhere")
    chat.say("hello")
    chat.has_answered("You said: hello")
    assert gateway.token not in kept(chat)
    token = json.loads(chat.stored()["local"][DEVICE_TOKEN])
    assert token["deviceId"] == chat.device_id
    assert token["token"] not in str(chat.stored()["session"])


def test_a_password_is_kept_nowhere_once_it_was_right(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    auth = {"mode": "password", "password": PASSWORD}
    gateway = start_gateway({"gateway": {"auth": auth}}, environment={"OPENCLAW_GATEWAY_TOKEN": ""})
    chat = visitor.open(gateway.url)
    field = chat.page.get_by_label("Password", exact=True)
    field.fill(PASSWORD)
    field.press("Enter")
    chat.is_online()
    assert PASSWORD not in kept(chat)


def test_a_password_in_the_address_is_stripped_and_not_used(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.open(f"{gateway.url}?password=secret&session=kept#password=secret")
    expect(chat.gate).to_be_visible()
    assert chat.page.url == f"{gateway.url}?session=kept"
    assert chat.witness.sockets == []
    assert "secret" not in str(chat.stored()["session"].values())


@pytest.mark.parametrize("mark", ["#", "?"])
def test_no_address_makes_the_page_speak_to_another_gateway(
    visitor: Visitor, gateway: GatewayProcess, mark: str
) -> None:
    elsewhere = "ws://elsewhere.invalid:18789"
    chat = visitor.open(f"{gateway.url}{mark}gatewayUrl={elsewhere}&token={gateway.token}").is_online()
    chat.page.reload()
    chat.is_online()
    # That nothing else was spoken to, the witness says.
    assert {*chat.witness.sockets} == {gateway.url.replace("http:", "ws:")}
    assert "elsewhere" not in kept(chat)


def test_a_damaged_memory_is_the_same_as_none(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway)
    chat.page.evaluate(
        "for (const name of ['device', 'deviceToken']) localStorage.setItem(`openclawd.${name}`, '{broken')"
    )
    chat.page.reload()
    expect(chat.gate).to_be_visible()
    chat.token_field.fill(gateway.token)
    chat.connect_button.click()
    chat.is_online()
