"""What a service was installed with: `gateway install` without a word of it leaves it as it is.

A newer file is installed over an older one by `gateway install` alone. Were the port, the secret or the
person taken out of the unit then, another gateway would run, or the same one where nobody looks for it.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs

from openclawd.service.plist_file import list_in, person_in
from openclawd.service.unit import OWN_USER, credential_name, loaded_credentials

_USER: Final = re.compile(r"^User=(\S+)$", re.MULTILINE)
_START: Final = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)


@attrs.frozen
class AskedBefore:
    """By the names of the flags; None where one was not given. Files are absolute paths."""

    run_as: str | None = None
    port: str | None = None
    token_file: str | None = None
    password_file: str | None = None


def asked_of_unit(file: Path) -> AskedBefore:
    """Of a unit that was written here; nothing of one that is not there, or cannot be read."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return AskedBefore()
    user, start = _USER.search(text), _START.search(text)
    files = loaded_credentials(text)
    return AskedBefore(
        user[1] if user is not None and user[1] != OWN_USER else None,
        _after("--port", start[1].split() if start is not None else ()),
        files.get(credential_name("token")),
        files.get(credential_name("password")),
    )


def asked_of_list(file: Path) -> AskedBefore:
    """Of a property list."""
    job = list_in(file) or {}
    words = [str(each) for each in job.get("ProgramArguments") or ()]
    return AskedBefore(
        person_in(job),
        _after("--port", words),
        _after("--token-file", words),
        _after("--password-file", words),
    )


def _after(flag: str, words: Sequence[str]) -> str | None:
    return next((value for word, value in pairwise(words) if word == flag), None)
