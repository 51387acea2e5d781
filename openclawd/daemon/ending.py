"""The last words of a gateway that could not start or go on, and its exit code."""

import os
import sys
import traceback
from collections.abc import Iterator, Mapping

from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.launchd import REFUSED, job_name, start_command
from openclawd.daemon.on_trial import on_trial
from openclawd.daemon.supervisor import PartFailed
from openclawd.store.errors import StoreError


def failure_text(error: BaseException) -> str:
    """What went wrong, each thing once."""
    return "\n".join(dict.fromkeys(_sentences(error)))


def refuse(code: ExitCode, text: str, environ: Mapping[str, str]) -> int:
    """Say why on stderr; the exit code, which is another under launchd and in a trial."""
    print(text, file=sys.stderr, flush=True)
    if on_trial() is not None:
        # After this one a supervisor starts the guard, which goes back; after the other one, nothing.
        return ExitCode.UNEXPECTED
    job = job_name(environ)
    if code is not ExitCode.CONFIG or job is None:
        return code
    print(
        f"{REFUSED} {code:d}, or launchd would start this again and again.\n"
        f"When it is put right: {start_command(job, os.getuid())}",
        file=sys.stderr,
        flush=True,
    )
    return ExitCode.OK


def _sentences(error: BaseException) -> Iterator[str]:
    """What went wrong and, of a part that failed for good, why."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _sentences(each)
    elif isinstance(error, StoreError | PartFailed):
        yield str(error)
        if isinstance(error, PartFailed) and error.__cause__ is not None:
            yield from _sentences(error.__cause__)
    else:
        yield "".join(traceback.format_exception_only(error)).strip()
