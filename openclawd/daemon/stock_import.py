"""The first start beside a stock gateway's state: its paired devices are taken over, once.

Afterwards the registry alone counts: a device that was removed here does not come back because stock's file
still has it. The file stays as it is, so that one can go back to stock any time.
"""

import errno
import logging
from pathlib import Path
from typing import Final

import trio

from openclawd.auth.devices import Devices
from openclawd.store.errors import StoreError
from openclawd.store.facts import Facts

# The fact that says it has been done, and when: milliseconds since 1970.
ADOPTED: Final = "stock devices adopted"
# A device is a kilobyte or two.
_FILE_MAX_BYTES: Final = 16 * 1024 * 1024

_log = logging.getLogger("openclawd.devices")


async def adopt_stock_devices(state_dir: Path, devices: Devices, facts: Facts, now_ms: int) -> None:
    """Take over what `<state>/devices/paired.json` holds, unless that has been done; logs what came of it."""
    file = state_dir / "devices" / "paired.json"
    try:
        if not file.is_file() or await facts.get(ADOPTED) is not None:
            return
    except (OSError, StoreError) as error:
        _warn(file, error)
        return
    # Imported here: most starts have nothing to take over.
    from openclawd.auth.stock_devices import NotStockDevices, read_stock_devices

    try:
        found = read_stock_devices(await trio.to_thread.run_sync(_read, file))
        for device_id, problem in found.unreadable.items():
            fields = {"device": device_id, "problem": problem, "hint": "it has to be paired again"}
            _log.warning("stock device unreadable", extra={"fields": fields})
        count = await devices.adopt(found.devices)
        await facts.put(ADOPTED, str(now_ms).encode())
    except (OSError, NotStockDevices, StoreError) as error:
        _warn(file, error)
        return
    _log.info("stock devices taken over", extra={"fields": {"file": str(file), "devices": count}})


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        text = opened.read(_FILE_MAX_BYTES + 1)
    if len(text) > _FILE_MAX_BYTES:
        raise OSError(errno.EFBIG, f"larger than {_FILE_MAX_BYTES} bytes")
    return text


def _warn(file: Path, error: Exception) -> None:
    problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    fields = {
        "file": str(file),
        "problem": problem,
        "hint": "its devices have to be paired again: openclawd devices list; it is tried at every start",
    }
    _log.warning("stock devices not taken over", extra={"fields": fields})
