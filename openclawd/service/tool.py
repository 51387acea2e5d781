"""Asking a program of the system (systemctl, journalctl, launchctl), which may be absent, slow, or say no."""

import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import attrs

from openclawd.daemon.image import environment_of

# They answer within milliseconds; a person waits.
PATIENCE_S: Final = 5.0

ABSENT: Final = 127
"""The code where there is no such program, as a shell has it."""

TIMED_OUT: Final = 124
"""The code where it did not answer, as timeout(1) has it."""


@attrs.frozen
class Told:
    """How a program ended, and what it said."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def said(self) -> str:
        """Its complaint in one line, or what it printed."""
        return " ".join((self.err.strip() or self.out.strip()).split())


Ask: TypeAlias = Callable[[Sequence[str]], Told]


def ask(words: Sequence[str], patience_s: float = PATIENCE_S) -> Told:
    """Run it to its end; never raises. It gets no input, and its words are not read by a shell."""
    try:
        ended = subprocess.run(  # noqa: S603  a list of words: no shell reads them
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience_s,
            check=False,
            # Its texts are read by us; what it prints for people we say ourselves.
            env=environment_of(os.environ) | {"LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""},
        )
    except subprocess.TimeoutExpired:
        return Told(TIMED_OUT, err=f"{words[0]} did not answer within {patience_s:g} s")
    except OSError as error:
        return Told(ABSENT, err=f"{words[0]}: {error.strerror or error}")
    return Told(
        ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
    )
