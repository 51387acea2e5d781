"""Why a service ended, in words for a person who was asleep a minute ago, and the command that helps.

Codes of ours are in the one table (daemon/exit_codes.py). systemd has its own for what goes wrong between the
fork and the program (systemd.exec(5), PROCESS EXIT CODES), launchd answers 78 where it could start nothing at
all, and a shell has 126 and 127.
"""

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from openclawd.daemon.exit_codes import ExitCode, meaning
from openclawd.service.standing import REFUSAL, End, Standing
from openclawd.service.unit import loaded_credentials

_INSTALL: Final = "openclawd gateway install"
# systemd.exec(5): EXIT_CREDENTIALS.
_CREDENTIAL: Final = 243
# Which of systemd's preparations failed.
_PREPARATIONS: Final = {
    200: "its working directory is not there",
    203: "its program cannot be executed: it is missing, or not for this machine",
    206: "its input and output could not be set up",
    209: "its output could not be set up",
    216: "its group does not exist",
    217: "its user does not exist",
    218: "the capabilities of its unit could not be set",
    219: "its control group could not be set up",
    226: "the namespaces of its unit could not be set up: a folder that the unit names is missing, or this"
    " container does not allow them",
    228: "the system-call filter of its unit could not be set",
    233: "its runtime directory could not be made",
    238: "its state directory could not be made",
    240: "its log directory could not be made",
    _CREDENTIAL: "a credential of its unit could not be read",
}
_RESULTS: Final = {
    "watchdog": "its event loop was stuck, and systemd killed it",
    "oom-kill": "the kernel killed it, as memory ran out",
    "timeout": "it took too long to start or to stop, and systemd killed it",
    "resources": "systemd had no means to start it",
    "protocol": "it did not tell systemd that it serves",
    "bad-setting": "its unit has a setting that systemd does not take",
    "error": "systemd cannot read its unit",
    "masked": "somebody has masked its unit",
    REFUSAL: "it could not start, and another start would not help",
}
_SIGNALS: Final = {
    signal.SIGALRM: "it hung in its start, on trial",
    signal.SIGKILL: "somebody killed it, or memory ran out",
    signal.SIGABRT: "it aborted",
    signal.SIGSEGV: "it crashed",
    signal.SIGBUS: "it crashed, perhaps as its files were changed or a disk failed",
    signal.SIGILL: "it is not for this processor",
    signal.SIGSYS: "a call was not allowed to it",
}
_START_LIMIT: Final = "start-limit-hit"


def why(end: End, supervisor: str) -> str:
    """`exit code 78: the config, ... are wrong`, `killed by SIGKILL: memory ran out`."""
    reason = _RESULTS.get(end.result)
    if end.signal is not None:
        try:
            known = signal.Signals(end.signal)
            name, otherwise = known.name, _SIGNALS.get(known)
        except ValueError:
            name, otherwise = f"signal {end.signal}", None
        said = f"ended by {name}"
        reason = reason or otherwise
    elif end.code is not None:
        said = f"exit code {end.code}"
        reason = reason or _of_code(end.code, supervisor)
    else:
        said, reason = (reason or end.result or "it is not known how"), None
    said = f"{said}: {reason}" if reason else said
    return f"{said}; too many starts, given up" if end.result == _START_LIMIT else said


def cure(standing: Standing, *, as_root: bool) -> str:
    """What helps a service that has ended badly; `as_root`: who asks needs no sudo."""
    end = standing.end or End()
    scope = " --system" if not standing.of_user else ""
    sudo = "sudo " if not standing.of_user and not as_root else ""
    manager = "systemctl --user" if standing.of_user else "systemctl"
    if standing.supervisor == "launchd":
        if end.result == REFUSAL:
            return f"{sudo}openclawd gateway check"
        if end.code == ExitCode.BUSY:
            return f"{sudo}openclawd doctor"
        if end.code in (ExitCode.CONFIG, 126, 127):
            return f"{sudo}{_INSTALL}{scope}"
        return f"{sudo}openclawd logs -n 50"
    if end.result == "masked":
        return f"{sudo}{manager} unmask {standing.name}"
    if end.result in {"bad-setting", "error"}:
        return f"{manager} status {standing.name}"
    if end.code in (ExitCode.CONFIG, ExitCode.UNEXPECTED):
        return f"{sudo}openclawd gateway check"
    if end.code == ExitCode.BUSY:
        return f"{sudo}openclawd doctor"
    if end.code in (126, 127, 203, 216, 217):
        return f"{sudo}{_INSTALL}{scope}"
    if end.code == _CREDENTIAL:
        return f"{sudo}{_INSTALL}{scope} --token-file FILE"
    if end.code in _PREPARATIONS:
        return f"{manager} cat {standing.name}"
    if end.result == "oom-kill":
        return f"{'' if as_root else 'sudo '}journalctl -k -n 50"
    return f"{sudo}openclawd logs -n 50"


def unread_credentials(standing: Standing, end: End) -> Iterator[str]:
    """Which of the files that its unit names are not there, as far as we may see."""
    if end.code != _CREDENTIAL or standing.file is None:
        return
    with suppress(OSError):
        # systemctl(1) shows the property as something that cannot be printed.
        for each in loaded_credentials(standing.file.read_text(errors="replace")).values():
            # One without a path is a credential of the system's own.
            if each.startswith("/") and not Path(each).exists():
                yield f"not there: {each}"


def _of_code(code: int, supervisor: str) -> str | None:
    if supervisor == "launchd" and code == ExitCode.CONFIG:
        # Our own 78 is 0 there (daemon/launchd.py).
        return (
            "launchd could not start it: its program or the folder of its log is missing, or not its user's"
        )
    if supervisor == "systemd" and code in _PREPARATIONS:
        return _PREPARATIONS[code]
    if code == 126:
        return "its program may not be executed"
    if code == 127:
        return "its program is not there"
    return meaning(code)
