"""The table of paired devices: in memory for the lookups, in the store before anything counts.

The changes of one device follow each other, those of different devices may share one flush to disk.
`new_lock` makes a reusable asynchronous context manager that excludes (a `trio.Lock`).
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from weakref import WeakValueDictionary

from openclawd.auth.device_records import DeviceStore, Unreadable
from openclawd.auth.pairing import PairedDevice
from openclawd.protocol.codec import unstructure


class PairedDevices:
    """The paired ones, and the rows of the store that cannot be read as one."""

    def __init__(
        self, store: DeviceStore, *, new_lock: Callable[[], AbstractAsyncContextManager[object]]
    ) -> None:
        self._store = store
        self._new_lock = new_lock
        # A lock lives as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, AbstractAsyncContextManager[object]] = WeakValueDictionary()
        self._devices: dict[str, PairedDevice] = {}
        self._unreadable: dict[str, Unreadable] = {}

    def restore(self, devices: Mapping[str, PairedDevice], unreadable: Iterable[Unreadable]) -> None:
        """Take what the store held."""
        self._devices = dict(devices)
        self._unreadable = {row.device_id: row for row in unreadable}

    def find(self, device_id: str) -> PairedDevice | None:
        """The device, if it is paired."""
        return self._devices.get(device_id)

    def all(self) -> tuple[PairedDevice, ...]:
        """Every paired device, the newest approval first."""
        return tuple(sorted(self._devices.values(), key=lambda device: device.approved_at_ms, reverse=True))

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Rows that hold no device any more."""
        return tuple(self._unreadable.values())

    def is_unreadable(self, device_id: str) -> bool:
        """Whether the store holds something under that id that cannot be read."""
        return device_id in self._unreadable

    def lock(self, device_id: str) -> AbstractAsyncContextManager[object]:
        """Who changes a device holds it from its look at the device to the end of the change."""
        lock = self._locks.get(device_id)
        if lock is None:
            lock = self._locks[device_id] = self._new_lock()
        return lock

    async def put(self, device: PairedDevice) -> None:
        """Add or replace a device."""
        await self._store.put_device(device.device_id, unstructure(device))
        self._devices[device.device_id] = device
        self._unreadable.pop(device.device_id, None)

    def note(self, device: PairedDevice) -> None:
        """Replace a device in memory alone."""
        self._devices[device.device_id] = device

    async def delete(self, device_id: str) -> None:
        """Forget a device, or what cannot be read under its id."""
        await self._store.delete_device(device_id)
        self._devices.pop(device_id, None)
        self._unreadable.pop(device_id, None)
