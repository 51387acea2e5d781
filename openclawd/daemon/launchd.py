"""Being a job of launchd, which knows two ways to end only: well, and to be started again.

launchd.plist(5): `KeepAlive = {SuccessfulExit: false}` starts a job again after any exit code but 0, for
ever. There is no code that says "leave me alone", so an end that another start cannot mend has to look like
success.
"""

from collections.abc import Mapping
from typing import Final

# What people start in the terminal of an app has the app's name: `application.com.example.Editor.1234.5678`.
_APP: Final = "application."


def job_name(environ: Mapping[str, str]) -> str | None:
    """The label of the job that we are, from XPC_SERVICE_NAME; None when launchd did not start us."""
    name = environ.get("XPC_SERVICE_NAME", "")
    return None if name in {"", "0"} or name.startswith(_APP) else name


def start_command(name: str, uid: int) -> str:
    """How a person starts the job again: launchctl(1) names it by its domain."""
    domain = "system" if uid == 0 else f"gui/{uid}"
    return f"launchctl kickstart {domain}/{name}"
