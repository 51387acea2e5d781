"""What a place is where releases lie: a repository on the web (web.py), or one in a file (bundle.py)."""

from collections.abc import Callable
from typing import BinaryIO, Final, Protocol

from tuf.ngclient import FetcherInterface

MAX_METADATA_BYTES: Final = 2 * 1024 * 1024
"""No list of releases is larger; a place that sends more is not listened to."""

Told = Callable[[int], None]
"""Called with the number of bytes that have come so far."""


class Place(Protocol):
    """One of the places that are tried in their order."""

    @property
    def name(self) -> str:
        """For people: without a password that an address may hold."""

    @property
    def metadata_url(self) -> str: ...

    @property
    def fetcher(self) -> FetcherInterface:
        """Of metadata: small files."""

    def has(self, path: str) -> bool:
        """Whether a target may be here."""

    def copy(self, path: str, into: BinaryIO, length: int, told: Told) -> None:
        """Write a target's bytes, `length` at most. Raises tuf's DownloadError, and OSError of `into`."""
