"""Paired devices and pending pairing requests: JSON documents by id. Their meaning is `auth`'s business."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from openclawd.store.database import Database

Row = tuple[str, bytes]

# As bytes: what was damaged may not be the text that the column says.
_ROWS: Final = "SELECT CAST({id} AS BLOB), CAST(document AS BLOB) FROM {table} ORDER BY {id}"


class DeviceStore:
    """Each change is on disk when its call returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[list[Row], list[Row]]:
        """All devices and all pending requests as they lie there: an id, and what should be JSON."""

        def job(connection: sqlite3.Connection) -> tuple[list[Row], list[Row]]:
            devices = connection.execute(_ROWS.format(id="device_id", table="devices")).fetchall()
            requests = connection.execute(_ROWS.format(id="request_id", table="device_requests")).fetchall()
            return [_row(row) for row in devices], [_row(row) for row in requests]

        return await self._database.read(job)

    async def put_device(self, device_id: str, document: Mapping[str, object]) -> None:
        """Add or replace a device."""
        await self._execute(
            "INSERT INTO devices (device_id, document) VALUES (?, ?)"
            " ON CONFLICT (device_id) DO UPDATE SET document = excluded.document",
            (device_id, _text(document)),
        )

    async def amend_devices(self, amendments: Mapping[str, Callable[[dict[str, object]], None]]) -> None:
        """Change the documents of devices as they are by then; those that are gone, or damaged, are left as
        they are. Amendments run in the thread of the database. In a damaged file nothing is amended: it is
        not worth the writes of others, which fail with it where it comes upon the damage.
        """
        if self._database.damage is not None:
            return

        def job(connection: sqlite3.Connection) -> None:
            for device_id, amend in amendments.items():
                row = connection.execute(
                    "SELECT CAST(document AS BLOB) FROM devices WHERE device_id = ?", (device_id,)
                ).fetchone()
                document = _document(row[0]) if row is not None else None
                if document is not None:
                    amend(document)
                    connection.execute(
                        "UPDATE devices SET document = ? WHERE device_id = ?", (_text(document), device_id)
                    )

        await self._database.write(job)

    async def delete_device(self, device_id: str) -> None:
        """Forget a device; unknown ones are no error."""
        await self._execute("DELETE FROM devices WHERE device_id = ?", (device_id,))

    async def put_request(self, request_id: str, document: Mapping[str, object]) -> None:
        """Add or replace a pairing request."""
        await self._execute(
            "INSERT INTO device_requests (request_id, document) VALUES (?, ?)"
            " ON CONFLICT (request_id) DO UPDATE SET document = excluded.document",
            (request_id, _text(document)),
        )

    async def delete_request(self, request_id: str) -> None:
        """Forget a pairing request; unknown ones are no error."""
        await self._execute("DELETE FROM device_requests WHERE request_id = ?", (request_id,))

    async def _execute(self, statement: str, parameters: tuple[str, ...]) -> None:
        def job(connection: sqlite3.Connection) -> None:
            connection.execute(statement, parameters)

        await self._database.write(job)


def _row(row: tuple[bytes | None, bytes | None]) -> Row:
    return (row[0] or b"").decode("utf-8", "replace"), row[1] or b""


def _document(data: bytes | None) -> dict[str, object] | None:
    try:
        document = orjson.loads(data or b"")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _text(document: Mapping[str, object]) -> str:
    return orjson.dumps(document).decode()
