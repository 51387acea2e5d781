"""Devices and pairing requests survive a restart."""

from pathlib import Path

from openclawd.store.database import open_database
from openclawd.store.devices import DeviceStore


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
        assert await DeviceStore(database).load() == ([{"id": "d1", "role": "node"}], [{"requestId": "r1"}])


async def test_forgetting_what_is_unknown_is_no_error(tmp_path: Path) -> None:
    async with open_database(tmp_path / "state.sqlite3") as database:
        store = DeviceStore(database)
        await store.delete_device("nobody")
        await store.delete_request("nothing")
        assert await store.load() == ([], [])
