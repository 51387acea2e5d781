"""A gateway that takes a dozen seconds to start, and as many to stop, while its event loop turns."""

import sys

import trio

from openclawd.cli.main import main
from openclawd.daemon.coordinator import Coordinator
from openclawd.daemon.house import House, Left

TAKES_S = 12.0

_live = House.live


async def slow(house: House, coordinator: Coordinator, **named: object) -> Left | None:
    """As if it had much to convert, and much to write."""
    await trio.sleep(TAKES_S)
    left = await _live(house, coordinator, **named)  # type: ignore[arg-type]
    await trio.sleep(TAKES_S)
    return left


House.live = slow  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    sys.exit(main())
