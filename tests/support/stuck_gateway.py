"""A gateway whose event loop SIGHUP blocks for good, for the watchdog's tests."""

import sys
import time

from openclawd.cli.main import main
from openclawd.daemon.house import House


async def blocked(*_: object) -> None:
    """Read the configuration for ever."""
    time.sleep(3600)  # noqa: ASYNC251  that is the fault


House.reload = blocked  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    sys.exit(main())
