"""Why the gateway did not start, in words that end in what helps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openclawd.daemon.exit_codes import ExitCode


class StartRefused(Exception):
    """Nothing was changed and nothing is running; the process ends with `exit_code`."""

    def __init__(self, exit_code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Making `path` must succeed. Raises StartRefused."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StartRefused:
    """The refusal to start without `path`."""
    return StartRefused(
        ExitCode.CONFIG,
        f"{path} cannot be written: {error.strerror or error}.\n"
        "Give it to the user that runs the gateway, or choose another place:"
        " OPENCLAW_STATE_DIR=/path openclawd gateway",
    )
