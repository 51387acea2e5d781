"""One Chromium for the folder, a fresh profile for each test, and gateways that the tests share."""

import json
from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.chromium import PLAIN_HOST, arguments, find_chromium
from tests.browser.pages import Visitor, visitor_of
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process

# A loaded machine is slow; a page that hangs is found all the same.
PATIENCE_MS = 10_000


# For the package, not the session: Playwright's own loop ends with the last test here, before others begin.
@pytest.fixture(scope="package")
def browser() -> Generator[Browser, None, None]:
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments())
        yield browser
        browser.close()


GatewayStarter = Callable[..., GatewayProcess]


@pytest.fixture
def start_gateway() -> Generator[GatewayStarter, None, None]:
    """As `gateway_process`; what it starts runs until the test ends."""
    with ExitStack() as stack:
        yield lambda *config, **more: stack.enter_context(gateway_process(*config, **more))


# A page whose gateway is taken away complains: visitors leave before gateways end.
@pytest.fixture
def visitor(browser: Browser, start_gateway: GatewayStarter) -> Generator[Visitor, None, None]:
    """Its pages must have behaved: see Witness."""
    with visitor_of(browser) as visitor:
        yield visitor


@pytest.fixture(scope="package")
def provider() -> Generator[ProviderProcess, None, None]:
    with provider_process() as provider:
        yield provider


@pytest.fixture(scope="package")
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    """A gateway with a model that streams, for all tests; each has its own conversation."""
    with gateway_process(provider.config()) as gateway:
        yield gateway


@pytest.fixture
def own_gateway(start_gateway: GatewayStarter, provider: ProviderProcess) -> GatewayProcess:
    """A gateway that a test may stop, kill and rob."""
    return start_gateway(provider.config())


@pytest.fixture
def plain(start_gateway: GatewayStarter) -> tuple[GatewayProcess, str]:
    """A gateway under a name that is no loopback name, over http, and that address: no secure context in the
    browser, and who comes there has to be approved.
    """
    gateway = start_gateway(start=False)
    origin = f"http://{PLAIN_HOST}:{gateway.port}"
    config = {"gateway": {"controlUi": {"allowedOrigins": [origin]}}}
    (gateway.state / "openclaw.json").write_text(json.dumps(config))
    gateway.start()
    return gateway, f"{origin}/"
