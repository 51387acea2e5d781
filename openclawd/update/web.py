"""A repository on the web: plain files below one address.

Nothing that comes from there is trusted before it was verified, and nothing there can take more room or time
than a file of its size may: each request has an end that counts for all of it, from the name's look-up to the
last byte, however slowly it drips. So it runs under trio, one small loop a file, and is cancelled as a whole.
"""

import os
import ssl
from collections.abc import Iterator
from functools import cached_property
from io import BytesIO
from typing import BinaryIO, Final
from urllib.parse import quote, urlsplit

import attrs
import httpx
import trio
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)
from tuf.ngclient import FetcherInterface

from openclawd import __version__
from openclawd.agents.certificates import client_context
from openclawd.update.places import MAX_METADATA_BYTES, Told

_MAX_REDIRECTS: Final = 5


@attrs.frozen
class Patience:
    """How long a file may take: so much, and a second for so many bytes."""

    grace_s: float = 30.0
    bytes_per_s: int = 16 * 1024
    connect_s: float = 10.0

    def for_bytes(self, count: int) -> float:
        return self.grace_s + count / self.bytes_per_s


@attrs.define(eq=False, repr=False, slots=False)
class WebPlace:
    """`url`: what metadata/ and targets/ are below of."""

    url: str
    patience: Patience = Patience()

    @property
    def name(self) -> str:
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    @property
    def metadata_url(self) -> str:
        return f"{self.url.rstrip('/')}/metadata/"

    @cached_property
    def fetcher(self) -> FetcherInterface:
        return _Fetcher(self)

    def has(self, path: str) -> bool:  # noqa: ARG002  a request tells
        return True

    def copy(self, path: str, into: BinaryIO, length: int, told: Told) -> None:
        self.get(f"{self.url.rstrip('/')}/targets/{quote(path)}", into, length, told)

    def get(self, url: str, into: BinaryIO, length: int, told: Told) -> None:
        """Write what lies at `url`, `length` bytes at most."""
        try:
            trio.run(self._get, url, into, length, told)
        except trio.TooSlowError:
            raise SlowRetrievalError(
                f"sent less than {length} bytes in {self.patience.for_bytes(length):.0f} s"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError) as error:
            # ValueError and ImportError: a proxy in the environment that cannot be used.
            raise DownloadError(_words(error)) from error

    async def _get(self, url: str, into: BinaryIO, length: int, told: Told) -> None:
        timeout = httpx.Timeout(self.patience.for_bytes(length), connect=self.patience.connect_s)
        # As it lies there: a size that was signed is that of the file, not of what comes out of it.
        headers = {"user-agent": f"openclawd/{__version__}", "accept-encoding": "identity"}
        with trio.fail_after(self.patience.for_bytes(length)):
            async with httpx.AsyncClient(
                verify=self._certificates, timeout=timeout, headers=headers
            ) as client:
                request = client.build_request("GET", url)
                for _ in range(_MAX_REDIRECTS + 1):
                    response = await client.send(request, stream=True)
                    try:
                        if response.next_request is None:
                            await _receive(response, into, length, told)
                            return
                        request = _followed(request, response.next_request)
                    finally:
                        await response.aclose()
        raise DownloadError(f"sends us on more than {_MAX_REDIRECTS} times")

    @cached_property
    def _certificates(self) -> ssl.SSLContext:
        return client_context(os.environ)


class _Fetcher(FetcherInterface):
    """What TUF asks for metadata."""

    def __init__(self, place: WebPlace) -> None:
        self._place = place

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """With the patience for a file of that size, which the interface's own has no word of."""
        into = BytesIO()
        self._place.get(url, into, max_length, lambda _: None)
        return into.getvalue()

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter((self.download_bytes(url, MAX_METADATA_BYTES),))


async def _receive(response: httpx.Response, into: BinaryIO, length: int, told: Told) -> None:
    if response.status_code != httpx.codes.OK:
        raise DownloadHTTPError(f"answers {response.status_code}", response.status_code)
    done = 0
    failure: Exception | None = None
    # Left at its end or by a cancellation that begins in the innermost read: httpx reads through three async
    # generators, and whichever of them is left otherwise is for the garbage collector to close.
    with trio.CancelScope() as rest:
        async for chunk in response.aiter_raw():
            if failure is not None:
                continue
            try:
                done += len(chunk)
                _require_at_most(length, done)
                into.write(chunk)
                told(done)
            except (DownloadLengthMismatchError, OSError) as error:
                failure = error
                rest.cancel()
    if failure is not None:
        raise failure


def _require_at_most(length: int, done: int) -> None:
    if done > length:
        raise DownloadLengthMismatchError(f"sends more than {length} bytes")


def _followed(request: httpx.Request, onward: httpx.Request) -> httpx.Request:
    """The request that a redirect asks for, unless it leads out of the encryption, or to no server."""
    if onward.url.scheme not in (request.url.scheme, "https"):
        raise DownloadError(f"sends us from {request.url.scheme}: to {onward.url.scheme}:")
    return onward


def _words(error: Exception) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "does not answer"
    if isinstance(error, httpx.ConnectError):
        return f"cannot be reached ({error})" if str(error) else "cannot be reached"
    if isinstance(error, httpx.RemoteProtocolError):
        return "broke off in the middle of an answer"
    if isinstance(error, httpx.HTTPError):
        return f"broke off ({type(error).__name__})"
    # Of a proxy's address, which may hold a password.
    return "cannot be asked: its address, or the proxy of the environment, is not like https://host"
