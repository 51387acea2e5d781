"""Devices and pairing requests survive a restart."""

import sqlite3
from contextlib import closing
from pathlib import Path

from openclawd.store.database import open_database
from openclawd.store.devices import DeviceStore
from openclawd.store.errors import damaged


async def test_devices_and_requests_are_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with open_database(path) as database:
        store = DeviceStore(database)
        await store.put_device("d1", {"id": "d1", "role": "operator"})
        await store.put_device("d1", {"id": "d1", "role": "node"})
        await store.put_device("d2", {"id": "d2"})
        await store.delete_device("d2")
        await store.put_request("r1", {"requestId": "r1"})
        await store.put_request("r2", {"requestId": "r2"})
        await store.delete_request("r2")
    async with open_database(path) as database:
        devices, requests = await DeviceStore(database).load()
    assert devices == [("d1", b'{"id":"d1","role":"node"}')]
    assert requests == [("r1", b'{"requestId":"r1"}')]


async def test_documents_are_amended_as_they_lie_there_and_what_is_gone_or_damaged_is_left_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.sqlite3"
    async with open_database(path) as database:
        store = DeviceStore(database)
        await store.put_device("d1", {"id": "d1", "label": "phone"})
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("INSERT INTO devices (device_id, document) VALUES ('damaged', '{'), ('list', '[]')")
    async with open_database(path) as database:
        store = DeviceStore(database)
        seen = {"seen": 1}
        await store.amend_devices(
            {name: lambda document: document.update(seen) for name in ("d1", "d2", "damaged", "list")}
        )
    async with open_database(path) as database:
        devices, _ = await DeviceStore(database).load()
    assert devices == [("d1", b'{"id":"d1","label":"phone","seen":1}'), ("damaged", b"{"), ("list", b"[]")]


async def test_nothing_is_amended_in_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with open_database(path) as database:
        store = DeviceStore(database)
        await store.put_device("d1", {"id": "d1"})
        database.found_damaged(damaged(path, "a page of another table"))
        await store.amend_devices({"d1": lambda document: document.update(seen=1)})
        assert await store.load() == ([("d1", b'{"id":"d1"}')], [])


async def test_a_damaged_row_is_given_back_as_it_lies_there(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with open_database(path):
        pass
    with closing(sqlite3.connect(path)) as file, file:
        rows = [("a", "{"), ("b", b"\xff\x00"), ("c", 7), (None, "nobody's"), (b"\xfe", "{}")]
        file.executemany("INSERT INTO devices (device_id, document) VALUES (?, ?)", rows)
    async with open_database(path) as database:
        devices, _ = await DeviceStore(database).load()
    assert sorted(devices) == [
        ("", b"nobody's"), ("a", b"{"), ("b", b"\xff\x00"), ("c", b"7"), ("\ufffd", b"{}"),
    ]  # fmt: skip


async def test_forgetting_what_is_unknown_is_no_error(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        store = DeviceStore(database)
        await store.delete_device("nobody")
        await store.delete_request("nothing")
        assert await store.load() == ([], [])
