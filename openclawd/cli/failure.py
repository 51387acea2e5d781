"""What a command ends with when it cannot do its work: one sentence, and the one command that helps."""

import errno
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from openclawd.daemon.exit_codes import ExitCode


class Failure(Exception):
    """Shown to the user as it is. `cure` is a command to type, or a short sentence that says what to do.

    `code` and `details` are the gateway's own words for a refusal; only `--json` shows them.
    """

    def __init__(
        self,
        message: str,
        *,
        cure: str | None = None,
        exit_code: int = ExitCode.UNEXPECTED,
        code: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.exit_code = exit_code
        self.code = code
        self.details = details

    def text(self) -> str:
        return self.message if self.cure is None else f"{self.message}\n{self.cure}"

    def document(self) -> dict[str, object]:
        """The same for `--json`."""
        shown = {"message": self.message, "next": self.cure, "code": self.code, "details": self.details}
        return {"error": {key: value for key, value in shown.items() if value is not None}}


def reason_of(error: OSError) -> str:
    """The system's own words; `strerror` holds the caller's where a library has put them there."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def look_at(folder: Path, error: OSError) -> str:
    """The command that shows why nothing can be written there."""
    tool = "df -h" if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS} else "ls -ld"
    return f"{tool} {shlex.quote(str(folder))}"


class NotRunning(Failure):
    """No gateway listens at any of the places where one was looked for."""
