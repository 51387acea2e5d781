"""The TCP forwarder beside a test that is not async: in a thread of its own."""

import queue
import threading
from collections.abc import Generator
from contextlib import contextmanager

import trio

from tests.support.forwarder import forwarder


@contextmanager
def forwarded(target_port: int) -> Generator[int, None, None]:
    """Forward a port of 127.0.0.1 to `target_port` there until the block ends; gives that port."""
    ready: queue.SimpleQueue[tuple[int, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.SimpleQueue()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with forwarder(target_port) as port:
                ready.put((port, trio.lowlevel.current_trio_token(), scope))
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,), name="forwarder")
    thread.start()
    port, token, scope = ready.get(timeout=10)
    try:
        yield port
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join()
