"""The documents of devices and requests in their store, and those among them that cannot be read.

A document that cannot be read costs only itself: its device is unknown, so it has to ask again, and its owner
is told of the row and can remove it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

import attrs

from openclawd.auth.pairing import PairedDevice, PairingRequest, read_document
from openclawd.protocol.codec import InvalidValue, NotJson, decode

T = TypeVar("T", PairedDevice, PairingRequest)

# An id and its document, as it lies in the store: JSON, if nothing happened to it.
Row = tuple[str, bytes]
# Changes a document in its place.
Amendment = Callable[[dict[str, object]], None]


class DeviceStore(Protocol):
    """Where the documents live. Each call returns once the change is durable."""

    async def load(self) -> tuple[list[Row], list[Row]]:
        """Devices and requests."""

    async def put_device(self, device_id: str, document: dict[str, object]) -> None:
        """Insert or replace."""

    async def amend_devices(self, amendments: Mapping[str, Amendment]) -> None:
        """Change the documents of devices as they are by then; absent ones stay absent, and a damaged store
        stays as it is.
        """

    async def delete_device(self, device_id: str) -> None:
        """Remove; absent is fine."""

    async def put_request(self, request_id: str, document: dict[str, object]) -> None:
        """Insert or replace."""

    async def delete_request(self, request_id: str) -> None:
        """Remove; absent is fine."""


@attrs.frozen(eq=False, repr=False)
class Unreadable:
    """A row that is no device any more: its id, and what is wrong with it."""

    device_id: str
    problem: str


def read_rows(rows: Iterable[Row], cls: type[T]) -> tuple[dict[str, T], list[Unreadable]]:
    """What the rows hold, by id, and those that hold nothing of the kind."""
    values: dict[str, T] = {}
    unreadable = []
    for row_id, data in rows:
        try:
            values[row_id] = _read(row_id, data, cls)
        except (NotJson, InvalidValue) as error:
            problem = error.text() if isinstance(error, InvalidValue) else f"not JSON: {error}"
            unreadable.append(Unreadable(row_id, problem))
    return values, unreadable


def _read(row_id: str, data: bytes, cls: type[T]) -> T:
    document = decode(data)
    if not isinstance(document, dict):
        raise InvalidValue(("not a JSON object",))
    value = read_document(document, cls)
    if _id_of(value) != row_id:
        raise InvalidValue(("it names another id than its own",))
    return value


def _id_of(value: PairedDevice | PairingRequest) -> str:
    return value.request_id if isinstance(value, PairingRequest) else value.device_id
