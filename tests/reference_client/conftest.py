"""A gateway with a model that streams, and reference clients of it."""

from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.reference_client.client import ReferenceClient, reference
from tests.reference_client.install import NotAvailable, reference_client
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.provider_process import ProviderProcess, provider_process


@pytest.fixture(scope="package")
def provider() -> Generator[ProviderProcess, None, None]:
    try:
        reference_client()
    except NotAvailable as error:
        pytest.skip(str(error))
    with provider_process() as provider:
        yield provider


@pytest.fixture
def gateway(provider: ProviderProcess) -> Generator[GatewayProcess, None, None]:
    with gateway_process(provider.config()) as gateway:
        yield gateway


Connecting = Callable[..., AbstractAsyncContextManager[ReferenceClient]]


@pytest.fixture
def connected(gateway: GatewayProcess, tmp_path: Path) -> Connecting:
    """Start a reference client, by default with the gateway's token, in a folder called `host`."""

    @asynccontextmanager
    async def connect(host: str = "host", **options: object) -> AsyncIterator[ReferenceClient]:
        folder = tmp_path / host
        folder.mkdir(exist_ok=True)
        async with reference(folder) as client:
            await client.start(
                **{
                    "url": f"ws://127.0.0.1:{gateway.port}",
                    "token": gateway.token,
                    "mode": "ui",
                    **_WHO,
                    **options,
                }
            )
            yield client

    return connect


_WHO = {
    "clientName": "openclaw-tui",
    "clientVersion": "1.0.0",
    "platform": "linux",
    "scopes": ["operator.admin", "operator.read", "operator.write", "operator.pairing"],
}
