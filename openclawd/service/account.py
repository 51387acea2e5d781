"""The user that the system's service runs as."""

import pwd
import shutil
from typing import Final

from openclawd.service.tool import Ask, ask
from openclawd.service.unit import OWN_USER

HOME: Final = "/var/lib/openclawd"
_COMMENT: Final = "openclawd"
_NO_SHELL: Final = "/usr/sbin/nologin"


class NoAccount(Exception):
    """There is no such user, and none can be made. The text says why; `cure` is the command that helps."""

    def __init__(self, text: str, cure: str) -> None:
        super().__init__(text)
        self.cure = cure


def exists(name: str) -> bool:
    """Whether the system knows a user of this name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def make_own(asked: Ask = ask) -> bool:
    """Have a user of our own, who can log in nowhere; whether one was made. Raises NoAccount."""
    if exists(OWN_USER):
        return False
    said = ""
    for words in _commands():
        told = asked(words)
        if told.code == 0 and exists(OWN_USER):
            return True
        said = said or told.said
    useradd = f"sudo useradd --system --user-group --home-dir {HOME} --shell {_NO_SHELL} {OWN_USER}"
    raise NoAccount(f"The user {OWN_USER} could not be made: {said or 'no program here does that'}.", useradd)


def _commands() -> list[tuple[str, ...]]:
    """What is there where systemd is; then what is there elsewhere."""
    line = f'u {OWN_USER} - "{_COMMENT}" {HOME} {_NO_SHELL}'
    add = (
        "--system",
        "--user-group",
        "--home-dir",
        HOME,
        "--shell",
        _NO_SHELL,
        "--comment",
        _COMMENT,
        OWN_USER,
    )
    commands = (("systemd-sysusers", "--inline", line), ("useradd", *add))
    return [words for words in commands if shutil.which(words[0]) is not None]
