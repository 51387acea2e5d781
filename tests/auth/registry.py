"""A registry of devices over a store in memory, with a clock that stands still."""

from collections.abc import Callable

import attrs
import trio

from openclawd.auth.devices import Devices
from openclawd.auth.holders import Holder
from openclawd.auth.pairing import PairingAsk
from tests.auth.memory_store import MemoryStore

OWNER = Holder(("operator.admin",))

ASK = PairingAsk(
    device_id="d1",
    public_key="k1",
    client_id="cli",
    client_mode="cli",
    role="operator",
    scopes=("operator.read",),
    display_name="Laptop",
    platform="linux",
    remote_ip="192.168.1.20",
)


@attrs.define
class Clock:
    now: int = 1_000_000

    def __call__(self) -> int:
        return self.now


def counting_bytes() -> Callable[[int], bytes]:
    drawn = iter(range(1, 10_000))
    return lambda length: next(drawn).to_bytes(length, "big")


async def registry(store: MemoryStore | None = None, clock: Clock | None = None) -> Devices:
    devices = Devices(
        store if store is not None else MemoryStore(),
        now_ms=clock if clock is not None else Clock(),
        random_bytes=counting_bytes(),
        new_lock=trio.Lock,
    )
    await devices.load()
    return devices


async def issued(devices: Devices, scopes: tuple[str, ...] = ("operator.read",)) -> str:
    token = await devices.tokens.issue("d1", "operator", scopes)
    assert token is not None
    return token.token
