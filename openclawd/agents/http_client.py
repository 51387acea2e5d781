"""One provider's HTTP client, made on the first call and kept for its connections.

Importing httpx and reading the system's certificates take a tenth of a second, so both happen in a thread
and not at start. Certificates are the system's (`certificates`, which honours SSL_CERT_FILE), proxies the
environment's (HTTPS_PROXY, NO_PROXY); a server on this machine is never asked through a proxy.
"""

import importlib
import os
import ssl
from typing import TYPE_CHECKING, Final

import attrs
import trio

from openclawd import __version__
from openclawd.agents.certificates import client_context
from openclawd.agents.endpoint import CONNECT_TIMEOUT_S, Endpoint
from openclawd.agents.model import ModelError, ModelErrorKind

if TYPE_CHECKING:
    import httpx

# A conversation is at most some MiB.
WRITE_TIMEOUT_S: Final = 30.0
# Longer than a person reads an answer before writing the next message.
_KEEPALIVE_S: Final = 90.0


@attrs.define
class HttpClient:
    """Lends the httpx client of one endpoint to whoever calls."""

    _endpoint: Endpoint
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    _client: "httpx.AsyncClient | None" = attrs.field(default=None, init=False)
    _making: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)

    async def get(self) -> "httpx.AsyncClient":
        """The client; made by the first caller. Raises ModelError for a proxy that cannot be used."""
        async with self._making:
            if self._client is None:
                certificates = await trio.to_thread.run_sync(_load, limiter=self._threads)
                self._client = self._make(certificates)
            return self._client

    async def aclose(self) -> None:
        """Close every connection; a later `get` begins anew."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _make(self, certificates: ssl.SSLContext) -> "httpx.AsyncClient":
        import httpx

        try:
            return httpx.AsyncClient(
                verify=certificates,
                trust_env=not self._endpoint.is_loopback(),
                # Identity: a compressed stream is held back by the compressor.
                headers={"user-agent": f"openclawd/{__version__}", "accept-encoding": "identity"},
                # How long an answer may take is the caller's to say, so reads have no limit here.
                timeout=httpx.Timeout(self.connect_timeout_s, read=None, write=WRITE_TIMEOUT_S),
                limits=httpx.Limits(keepalive_expiry=_KEEPALIVE_S),
            )
        except (ImportError, ValueError, httpx.InvalidURL):
            # Their texts may hold the proxy's password.
            raise ModelError(
                ModelErrorKind.UNREACHABLE,
                f"The proxy in the environment, on the way to {self._endpoint.provider}, cannot be used. Set "
                "HTTPS_PROXY (or ALL_PROXY) to an http:// or https:// address, or name the host in NO_PROXY.",
            ) from None


def _load() -> ssl.SSLContext:
    importlib.import_module("httpx")
    return client_context(os.environ)
