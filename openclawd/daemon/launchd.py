"""Being a job of launchd, which knows two ways to end only: well, and to be started again.

launchd.plist(5): `KeepAlive = {SuccessfulExit: false}` starts a job again after any exit code but 0, for
ever. There is no code that says "leave me alone", so an end that another start cannot mend has to look like
success.

It may listen for its job (`Sockets`), so that nobody is refused after a crash, and hands the sockets over
once a process: launch_activate_socket(3). The next generation, which is the same process, has them from the
one before.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

# The name in the property list's `Sockets`.
LISTENERS: Final = "Listeners"

REFUSED: Final = "Ending with 0 in place of"
"""How a refusal begins to say so: `launchctl print` shows the 0 alone."""

# Where the property lists of the machine's jobs lie.
DAEMONS: Final = Path("/Library/LaunchDaemons")

# What people start in the terminal of an app has the app's name: `application.com.example.Editor.1234.5678`.
_APP: Final = "application."


def job_name(environ: Mapping[str, str]) -> str | None:
    """The label of the job that we are, from XPC_SERVICE_NAME; None when launchd did not start us."""
    name = environ.get("XPC_SERVICE_NAME", "")
    return None if name in {"", "0"} or name.startswith(_APP) else name


def start_command(name: str, uid: int, daemons: Path = DAEMONS) -> str:
    """How a person starts the job again: launchctl(1) names it by its domain. A job of the machine may run as
    anybody, and only root starts it.
    """
    if (daemons / f"{name}.plist").exists():
        return f"{'sudo ' if uid else ''}launchctl kickstart system/{name}"
    return f"launchctl kickstart gui/{uid}/{name}"


def activated_descriptors(environ: Mapping[str, str]) -> list[int]:
    """What launchd listens on for the job that we are; nothing the second time, and without `Sockets`."""
    if job_name(environ) is None:
        return []
    import ctypes

    library = ctypes.CDLL(None)
    activate = getattr(library, "launch_activate_socket", None)
    return [] if activate is None else given(activate, library.free)


def given(activate: Callable[..., int], free: Callable[..., object]) -> list[int]:
    """The descriptors that `int launch_activate_socket(const char *, int **, size_t *)` answers with, their
    array freed. Its errors all mean that there is nothing for us: no such name, no job, asked before.
    """
    import ctypes

    descriptors, count = ctypes.POINTER(ctypes.c_int)(), ctypes.c_size_t()
    if activate(LISTENERS.encode(), ctypes.byref(descriptors), ctypes.byref(count)) != 0:
        return []
    try:
        return [int(descriptors[index]) for index in range(count.value)]
    finally:
        free(descriptors)
