"""A stock v3 Control UI (release 2026.2.26) served by the gateway in place of ours."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import GatewayStarter
from tests.browser.pages import Visitor
from tests.browser.stock_page import NotAvailable, stock_page
from tests.browser.witness import Witness
from tests.support.gateway_process import GatewayProcess
from tests.support.provider_process import ProviderProcess

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def root() -> Path:
    try:
        return stock_page()
    except NotAvailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def stock_gateway(start_gateway: GatewayStarter, provider: ProviderProcess, root: Path) -> GatewayProcess:
    return start_gateway(provider.config(controlUi={"root": str(root)}))


def open_stock_page(visitor: Visitor, gateway: GatewayProcess) -> tuple[Page, Witness]:
    context, witness = visitor.browser_profile()
    witness.lives_at(gateway.url)
    # It wants a typeface from elsewhere; our policy keeps it from asking.
    typeface = r"https://fonts\.googleapis\.com/\S*"
    witness.allow(rf"console error: .*'{typeface}'.*Content Security Policy.*")
    witness.allow(rf"spoke to another host: {typeface}")
    page = context.new_page()
    page.goto(f"{gateway.url}?token={gateway.token}")
    return page, witness


def is_healthy(page: Page) -> None:
    expect(page.get_by_text(re.compile(r"Health\s*OK"))).to_be_visible()


def say(page: Page, text: str) -> None:
    box = page.get_by_role("textbox")
    box.fill(text)
    box.press("Enter")


def test_a_stock_page_connects_and_chats(visitor: Visitor, stock_gateway: GatewayProcess) -> None:
    page, _ = open_stock_page(visitor, stock_gateway)
    is_healthy(page)
    assert "token=" not in page.url
    say(page, "count SLOW=15")
    expect(page.get_by_text("word3")).to_be_visible()
    expect(page.get_by_text("word15")).to_have_count(0)
    expect(page.get_by_text("word15")).to_be_visible()
    page.reload()
    is_healthy(page)
    expect(page.get_by_text("word15")).to_be_visible()
    assert stock_gateway.decisions("refused") == []


def test_a_stock_page_survives_a_restart(visitor: Visitor, stock_gateway: GatewayProcess) -> None:
    page, witness = open_stock_page(visitor, stock_gateway)
    witness.allow_a_gateway_that_is_away()
    is_healthy(page)
    say(page, "before")
    expect(page.get_by_text("You said: before")).to_be_visible()
    stock_gateway.stop()
    expect(page.get_by_text(re.compile(r"Health\s*Offline"))).to_be_visible()
    stock_gateway.start()
    is_healthy(page)
    say(page, "after")
    expect(page.get_by_text("You said: after")).to_be_visible()
    assert stock_gateway.decisions("refused") == []
