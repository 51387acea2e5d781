"""What the battery shares: a plain gateway for each module."""

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.process.waiting import Waits, waiting
from tests.reference_client.install import NotAvailable
from tests.support.contract import Contract, published_contract
from tests.support.dying import build
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.wire_client import WireClient


@pytest.fixture(scope="module")
def gateway() -> Generator[GatewayProcess, None, None]:
    """A gateway without a config, its token in the environment; its state lives as long as the module."""
    with gateway_process() as running:
        yield running


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes a process die at one of its calls; the test is skipped where it cannot be built."""
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="session", autouse=True)
def _waits_begin(request: pytest.FixtureRequest) -> None:
    """Where a test will ask for `waits`, the waiting begins with the first test, whichever that is."""
    if any("waits" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("waits")


@pytest.fixture(scope="session", autouse=True)
def contract() -> Contract | None:
    """Hold what wire clients receive against the published contract; None where it cannot be fetched."""
    with suppress(NotAvailable):
        WireClient.contract = published_contract()
    return WireClient.contract


@pytest.fixture(scope="session")
def waits() -> Generator[Waits, None, None]:
    with waiting() as begun:
        yield begun
