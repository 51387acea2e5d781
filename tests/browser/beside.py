"""Servers of ours beside a test that is not async: each in a thread of its own."""

import queue
import threading
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager

import trio


@contextmanager
def beside(server: AbstractAsyncContextManager[int]) -> Generator[int, None, None]:
    """Run a server, which gives its port, until the block ends; gives that port."""
    ready: queue.SimpleQueue[tuple[int, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.SimpleQueue()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with server as port:
                ready.put((port, trio.lowlevel.current_trio_token(), scope))
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,), name="server beside the test")
    thread.start()
    port, token, scope = ready.get(timeout=10)
    try:
        yield port
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join()
