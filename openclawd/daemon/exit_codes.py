"""The one table of exit codes. Commands, unit files and documentation take them from here.

75 and 78 are EX_TEMPFAIL and EX_CONFIG of sysexits.h(3head); 2 is what argparse and most shells use. A
supervisor restarts after 1 and 75 and must leave 78 alone (`RestartPreventExitStatus=78`): starting again
cannot help there. launchd would not leave it alone, so there 0 takes its place (`launchd`). A command that
was interrupted ends with 128 plus the signal's number, as a shell would show it.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """How a process of ours ends."""

    OK = 0
    """Stopped as it was asked to, or the command did its work."""

    UNEXPECTED = 1
    """It did not work: a fault, a gateway that is not running or says no. The message says which."""

    USAGE = 2
    """The command line is wrong."""

    BUSY = 75
    """The port is taken, or another gateway holds the state directory. It may pass."""

    CONFIG = 78
    """The config, the bind address or the auth settings are wrong, or the state cannot be written. It does
    not pass by itself.
    """


_MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.OK: "it was told to stop",
    ExitCode.UNEXPECTED: "a fault; its last words say which",
    ExitCode.USAGE: "its command line is wrong",
    ExitCode.BUSY: "its port is taken, or another gateway has its state",
    ExitCode.CONFIG: "the config, the bind address or the auth settings are wrong,"
    " or the state cannot be written",
}


def meaning(code: int) -> str | None:
    """What it means when a gateway ends so, in words; None for a code that is not ours."""
    return _MEANINGS[ExitCode(code)] if code in _MEANINGS else None
