"""The page as a person meets it: by its roles, labels and words."""

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.witness import Witness
from tests.support.gateway_process import GatewayProcess

TEN_MINUTES_MS = 600_000
# A handshake on loopback takes a tenth of it.
SETTLING_MS = 300
# 128 bits, as the gateway makes them: a token that no guessing finds.
STRONG = "3f1c9a70d25be84617c0f29d8ab34e65"
STEP_MS = 50
PATIENCE_STEPS = 200


class ChatPage:
    """One tab with the Control UI."""

    def __init__(self, page: Page, witness: Witness) -> None:
        self.page = page
        self.witness = witness
        self.composer = page.get_by_role("textbox", name="Message", exact=True)
        self.send_button = page.get_by_role("button", name=re.compile("^(Send|Queue)$"))
        self.stop_button = page.get_by_role("button", name="Stop", exact=True)
        self.answers = page.get_by_role("article", name="Answer")
        self.log = page.get_by_role("log", name="Conversation")
        self.online = page.get_by_role("main").get_by_text("Online", exact=True)
        self.gate = page.get_by_role("heading", name="Connect to your gateway")
        self.token_field = page.get_by_label("Token", exact=True)
        self.connect_button = page.get_by_role("button", name="Connect", exact=True)
        self.chats = page.get_by_role("navigation", name="Chats")
        self.new_chat = page.get_by_role("button", name="New chat", exact=True)
        self.title = page.get_by_role("heading", level=1)
        self.devices_entry = page.get_by_role("button", name=re.compile("^Devices"))
        self.devices = page.get_by_role("dialog", name="Devices")

    def is_online(self) -> "ChatPage":
        """Wait until the page says that it is connected."""
        expect(self.online).to_be_visible()
        return self

    def is_away(self) -> "ChatPage":
        """Wait until the page says that it is not."""
        expect(self.online).to_have_count(0)
        return self

    def say(self, text: str) -> None:
        """Type a message and press Enter."""
        self.composer.fill(text)
        self.composer.press("Enter")

    def has_answered(self, text: str | re.Pattern[str]) -> Locator:
        """Wait until the last answer, complete, contains `text`."""
        last = self.answers.last
        expect(last).to_contain_text(text)
        expect(self.stop_button).to_be_hidden()
        return last

    def questions(self, text: str) -> Locator:
        """What the person said, where it says exactly `text`."""
        return self.log.get_by_text(text, exact=True)

    def chat_row(self, name: str) -> Locator:
        """The entry of the list of chats whose name begins with `name`."""
        link = self.page.get_by_role("link", name=re.compile(f"^{re.escape(name)}"))
        return self.chats.get_by_role("listitem").filter(has=link)

    def go_to(self, name: str) -> None:
        """Open the chat whose name begins with `name`."""
        self.chat_row(name).get_by_role("link").click()

    def do_with(self, name: str, what: str) -> None:
        """Choose `what` in the menu of a chat."""
        row = self.chat_row(name)
        row.hover()
        row.get_by_role("button", name=re.compile("^More for")).click()
        self.page.get_by_role("menuitem", name=re.compile(f"^{what}")).click()

    def time_passes(self, by_ms: int = TEN_MINUTES_MS) -> None:
        """Every timer of the page that is due by then goes off; what they set off has the time to be seen."""
        self.page.clock.fast_forward(by_ms)
        self.page.wait_for_timeout(SETTLING_MS)

    def device(self, name: str) -> Locator:
        """The entry of the open dialog whose name contains `name`."""
        return self.devices.get_by_role("listitem").filter(has=self.page.get_by_text(name))

    @property
    def device_id(self) -> str:
        """Under which identity the gateway knows this browser."""
        identity: str = json.loads(self.stored()["local"]["openclawd.device"])["deviceId"]
        return identity

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait for what does not show on the page; raises AssertionError when it does not happen."""
        for _ in range(PATIENCE_STEPS):
            if happened():
                return
            self.page.wait_for_timeout(STEP_MS)
        raise AssertionError("it did not happen")

    def stored(self) -> dict[str, dict[str, str]]:
        """What the browser keeps for the page."""
        found: dict[str, dict[str, str]] = self.page.evaluate(
            "({local: {...localStorage}, session: {...sessionStorage}})"
        )
        return found

    def link_again(self) -> "ChatPage":
        """Another tab of the same browser at the same address, as a bookmark opens it."""
        other = ChatPage(self.page.context.new_page(), self.witness)
        other.page.goto(self.page.url)
        return other


class Visitor:
    """A person with a browser: each `open` is a fresh profile."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._visits: list[tuple[BrowserContext, Witness]] = []

    def browser_profile(self, **options: Any) -> tuple[BrowserContext, Witness]:
        """A profile that keeps nothing of the others, and what it does."""
        context = self._browser.new_context(**options)
        witness = Witness(context)
        self._visits.append((context, witness))
        return context, witness

    def blank(self, **options: Any) -> ChatPage:
        """An empty tab."""
        context, witness = self.browser_profile(**options)
        return ChatPage(context.new_page(), witness)

    def open(self, url: str, *, own_time: bool = False, **options: Any) -> ChatPage:
        """A tab at `url`. In its `own_time` the test can let minutes pass: see `time_passes`."""
        chat = self.blank(**options)
        chat.witness.lives_at(url)
        if own_time:
            chat.page.clock.install()
        chat.page.goto(url)
        return chat

    def chat(self, gateway: GatewayProcess, session: str = "", **options: Any) -> ChatPage:
        """A connected tab, by the link with the token, in the conversation `session`."""
        query = f"?session={session}" if session else ""
        return self.open(f"{gateway.url}{query}#token={gateway.token}", **options).is_online()

    def leave(self) -> None:
        """Close everything; raises AssertionError for what the pages did wrong."""
        for context, _ in self._visits:
            context.close()
        for _, witness in self._visits:
            witness.check()


@contextmanager
def visitor_of(browser: Browser) -> Generator[Visitor, None, None]:
    visitor = Visitor(browser)
    try:
        yield visitor
    finally:
        visitor.leave()
