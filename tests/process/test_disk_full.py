"""A disk that is full, in a mount namespace of the gateway's own, or takes no writes: what can be served is,
what cannot be kept is refused in words, nothing that was acknowledged is lost, and all is well again when the
disk is.
"""

import resource
import shlex
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.packaging.hidden import why_not
from tests.process.chats import send, settled_history
from tests.support.gateway_process import TOKEN, GatewayProcess, gateway_process
from tests.support.wire_client import Refused, WireClient, wire_client

pytestmark = [
    pytest.mark.process,
    pytest.mark.lifecycle,
    pytest.mark.skipif(why_not() is not None, reason=f"no mount namespaces here: {why_not()}"),
]

SIZE_MB = 4
PATIENCE_S = 15.0


class OnSmallDisk(GatewayProcess):
    """Its state is on a small file system of its own, which starts as a copy of what is in the folder."""

    def on_small_disk(self, *, full: bool) -> None:
        state = shlex.quote(str(self.state))
        steps = [
            "set -e",
            "kept=$(mktemp -d)",
            f'cp -a {state}/. "$kept"',
            f"mount -t tmpfs -o size={SIZE_MB}m,mode=700 none {state}",
            f'cp -a "$kept"/. {state} && rm -r "$kept"',
            f"head -c 99m /dev/zero >{state}/filling 2>/dev/null || true" if full else "",
            'exec "$@"',
        ]
        self.program = (
            *("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", "\n".join(steps), "sh"),
            *(sys.executable, "-m", "openclawd"),
        )

    def inside(self, path: str) -> Path:
        """A file of its state, as it sees it."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root{self.state / path}")

    def fill(self) -> None:
        with self.inside("filling").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        self.inside("filling").unlink()

    def fail_writes(self, *, fail: bool) -> None:
        """Whether each write to a file fails, as on a disk that is gone; what is open stays open."""
        assert self.process is not None
        limit = 0 if fail else resource.RLIM_INFINITY
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


@contextmanager
def small_disk(*, full: bool = False) -> Generator[OnSmallDisk, None, None]:
    with gateway_process() as made:
        made.stop()
        gateway = OnSmallDisk(made.state, "", {})
        gateway.on_small_disk(full=full)
        try:
            gateway.start()
            yield gateway
        finally:
            gateway.kill()


async def told(client: WireClient, *, well: bool) -> list[str]:
    """What health warns of, once it does (or, if all is to be `well`, no longer does)."""
    with trio.fail_after(PATIENCE_S):
        while True:
            warnings = (await client.call("health", {"probe": True})).get("stateWarnings", [])
            if well is not bool(warnings):
                return list(warnings)
            await trio.sleep(0.2)


async def refused(client: WireClient, key: str) -> dict[str, Any]:
    with pytest.raises(Refused) as caught:
        await send(client, key, f"{key} " + "x" * 20_000)
    return dict(caught.value.error)


async def recovers(gateway: OnSmallDisk, client: WireClient, mend: Callable[[], None]) -> None:
    """What was refused and is sent again is accepted once."""
    error = await refused(client, "too-late")
    assert error["code"] == "UNAVAILABLE"
    assert error["retryable"] is True
    assert str(gateway.state) not in error["message"]
    (warning,) = await told(client, well=False)
    assert warning.startswith("Nothing can be kept")
    before = await client.call("chat.history", {"sessionKey": "main"})
    assert "too-late" not in str(before)
    mend()
    await told(client, well=True)
    assert (await send(client, "too-late", "it fits now"))["status"] == "started"
    rows = await settled_history(client)
    asked = [row["content"][0]["text"] for row in rows if row["role"] == "user"]
    assert asked == ["accepted", "it fits now"]
    assert [row["role"] for row in rows].count("assistant") == 2


async def test_a_disk_that_fills_up_stops_only_what_must_be_kept() -> None:
    with small_disk() as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            await send(client, "first", "accepted")
            await settled_history(client)
            gateway.fill()
            await recovers(gateway, client, gateway.make_room)


async def test_a_disk_that_takes_no_writes_stops_only_what_must_be_kept() -> None:
    with small_disk() as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            await send(client, "first", "accepted")
            await settled_history(client)
            gateway.fail_writes(fail=True)
            await recovers(gateway, client, partial(gateway.fail_writes, fail=False))


async def test_a_gateway_starts_on_a_full_disk_lets_its_owner_in_and_waits_for_room() -> None:
    with small_disk(full=True) as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            assert (await refused(client, "first"))["message"].startswith("the disk is full")
            gateway.make_room()
            await told(client, well=True)
            await send(client, "first", "accepted")
            rows = await settled_history(client)
    assert [row["role"] for row in rows] == ["user", "assistant"]


async def test_an_answer_for_which_there_is_no_room_is_told_once_when_there_is() -> None:
    with small_disk() as gateway:
        async with wire_client(gateway.port) as client:
            await client.connect(token=TOKEN)
            await send(client, "first", "accepted")
            gateway.fill()
            with trio.move_on_after(1):
                await client.event("chat", runId="first", state="final")
            gateway.make_room()
            rows = await settled_history(client)
            assert [row["role"] for row in rows] == ["user", "assistant"]
