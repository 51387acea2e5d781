"""Paired devices and pending pairing requests: JSON documents by id. Their meaning is `auth`'s business."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import orjson

from openclawd.store.database import Database


class DeviceStore:
    """Each change is on disk when its call returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """All devices and all pending requests."""

        def job(connection: sqlite3.Connection) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
            devices = connection.execute("SELECT document FROM devices ORDER BY device_id").fetchall()
            requests = connection.execute(
                "SELECT document FROM device_requests ORDER BY request_id"
            ).fetchall()
            return [orjson.loads(row[0]) for row in devices], [orjson.loads(row[0]) for row in requests]

        return await self._database.read(job)

    async def put_device(self, device_id: str, document: Mapping[str, object]) -> None:
        """Add or replace a device."""
        await self._execute(
            "INSERT INTO devices (device_id, document) VALUES (?, ?)"
            " ON CONFLICT (device_id) DO UPDATE SET document = excluded.document",
            (device_id, _text(document)),
        )

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


def _text(document: Mapping[str, object]) -> str:
    return orjson.dumps(document).decode()
