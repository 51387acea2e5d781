"""How a unit of systemd is: `systemctl show`, and the journal for what that forgets at the next start."""

import json
import os
import re
import shlex
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from openclawd.service.standing import Condition, End, Standing
from openclawd.service.tool import Ask, ask

PROPERTIES: Final = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "UnitFileState",
    "FragmentPath",
    "NeedDaemonReload",
    "MainPID",
    "NRestarts",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainExitTimestampMonotonic",
    "StateChangeTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
    "InvocationID",
    "StatusText",
    "ExecStart",
    "ExecStartPre",
    "Environment",
    "User",
)
# sd-messages(3): a process of a unit has ended; a unit has failed, and why.
_PROCESS_EXIT: Final = "98e322203f7a4ed290d09fe03c09fe15"
_UNIT_FAILED: Final = "d9b373ed55a64feb8242e02dbe79a49c"
# waitid(2), si_code: exited; the others are signals.
_EXITED: Final = 1
_CONDITIONS: Final = {
    "active": Condition.RUNNING,
    "reloading": Condition.RELOADING,
    "activating": Condition.STARTING,
    "deactivating": Condition.STOPPING,
    "failed": Condition.FAILED,
    "inactive": Condition.STOPPED,
}
_ENABLED: Final = ("enabled", "enabled-runtime", "linked", "static")
_EXECUTED: Final = re.compile(r"path=(.+?) ; argv")
_EXITED_WITH: Final = re.compile(r" ; code=exited ; status=(\d+)")
_STATE_DIR: Final = "OPENCLAW_STATE_DIR="


def standing_of(
    shown: Mapping[str, str], *, of_user: bool, now_ms: float | None = None, monotonic_us: float | None = None
) -> Standing | None:
    """By PROPERTIES of `systemctl show`; None where there is no such unit."""
    if shown.get("LoadState", "not-found") == "not-found" or not shown.get("Id"):
        return None
    now_ms = time.time() * 1000 if now_ms is None else now_ms
    # The clock of systemd's time stamps.
    monotonic_us = (
        time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1000 if monotonic_us is None else monotonic_us
    )

    def moment(name: str) -> int | None:
        at_us = _whole(shown.get(f"{name}TimestampMonotonic"))
        return round(now_ms - (monotonic_us - at_us) / 1000) if at_us else None

    load = shown["LoadState"]
    condition = _CONDITIONS.get(shown.get("ActiveState", ""), Condition.STOPPED)
    if condition is Condition.STARTING and shown.get("SubState", "").startswith("auto-restart"):
        condition = Condition.WAITING
    elif load != "loaded" and condition is Condition.STOPPED:
        condition = Condition.FAILED
    running = condition in (Condition.RUNNING, Condition.RELOADING)
    executed = _EXECUTED.search(shown.get("ExecStart", ""))
    return Standing(
        supervisor="systemd",
        name=shown["Id"],
        of_user=of_user,
        condition=condition,
        enabled=shown.get("UnitFileState") in _ENABLED,
        since_ms=moment("ActiveEnter") if running else moment("StateChange"),
        pid=_whole(shown.get("MainPID")) or None,
        starts_again=_whole(shown.get("NRestarts")),
        # masked, bad-setting, error: it cannot even be started.
        end=_end(shown, moment("ExecMainExit")) if load == "loaded" else End(result=load),
        says=shown.get("StatusText") or None,
        file=Path(shown["FragmentPath"]) if shown.get("FragmentPath") else None,
        program=Path(executed[1]) if executed else None,
        state_dir=_state_dir(shown.get("Environment", "")),
        user=shown.get("User") or None,
        stale=shown.get("NeedDaemonReload") == "yes",
    )


def _end(shown: Mapping[str, str], at_ms: int | None) -> End | None:
    """How the process before ended, while there is none now; a new one makes systemd forget it."""
    code, status = _whole(shown.get("ExecMainCode")), _whole(shown.get("ExecMainStatus"))
    result = shown.get("Result", "")
    if at_ms is None or not code or status is None:
        # It never had a process: there were no means for one, what goes before it failed (then with its own
        # code, or systemd's for what that could not be given), or it reached its limit of starts.
        before = _EXITED_WITH.search(shown.get("ExecStartPre", ""))
        failed_with = int(before[1]) if before is not None and result == "exit-code" else 0
        return None if result in {"", "success"} else End(code=failed_with or None, result=result)
    invocation = shown.get("InvocationID") or None
    if code == _EXITED:
        return End(code=status, result=result, at_ms=at_ms, invocation=invocation)
    return End(signal=status, result=result, at_ms=at_ms, invocation=invocation)


@attrs.frozen(eq=False, repr=False)
class Journal:
    """What journald has of one unit; nothing where this user may not read it, or where there is none.

    A user's unit is not always known by journald as such (of a process that has ended already it cannot find
    out), so its lines are found by the name that the unit gives them.
    """

    unit: str
    of_user: bool
    uid: int = attrs.field(factory=os.getuid)
    _ask: Ask = ask

    @property
    def said(self) -> tuple[str, ...]:
        """What matches the lines of its processes."""
        if not self.of_user:
            return (f"_SYSTEMD_UNIT={self.unit}",)
        return (f"SYSLOG_IDENTIFIER={self.unit.removesuffix('.service')}", f"_UID={self.uid}")

    @property
    def managed(self) -> tuple[str, ...]:
        """What matches those of its manager about it; others may not pretend to be that."""
        return (
            (f"USER_UNIT={self.unit}", f"_UID={self.uid}")
            if self.of_user
            else (f"UNIT={self.unit}", "_PID=1")
        )

    @property
    def everything(self) -> tuple[str, ...]:
        """What matches both (journalctl(1): `+`)."""
        return (*self.managed, "+", *self.said)

    def command(self, *words: str) -> tuple[str, ...]:
        """What prints entries, one a line."""
        return ("journalctl", "--quiet", "--no-pager", "--output=json", *words)

    def last_end(self) -> End | None:
        """How its last process that did not end well ended; a manager forgets that when it starts another."""
        end: End | None = None
        results: dict[str, str] = {}
        ids = (f"MESSAGE_ID={_PROCESS_EXIT}", f"MESSAGE_ID={_UNIT_FAILED}")
        # With a guard behind the process a death has three of them.
        for entry in self._entries("--lines=9", *ids, *self.managed):
            run = str(entry.get("USER_INVOCATION_ID" if self.of_user else "INVOCATION_ID", ""))
            if "UNIT_RESULT" in entry:
                results[run] = str(entry["UNIT_RESULT"])
            elif entry.get("COMMAND", "ExecStart") == "ExecStart":
                end = _journaled(entry, run) or end
        return (
            None if end is None else attrs.evolve(end, result=results.get(end.invocation or "", end.result))
        )

    def last_words(self, end: End, most: int = 3) -> list[str]:
        """What the process that ended so had said, without what is only information."""
        if end.at_ms is None:
            return []
        # What was said at the very end may arrive behind the news of it.
        until = f"--until=@{end.at_ms // 1000 + 1}"
        entries = [*self._entries("--lines=60", until, *self.said)]
        last = entries[-1].get("_PID") if entries else None
        said = [text for each in entries if each.get("_PID") == last for text in text_of(each).splitlines()]
        return [line for line in said if line.strip() and not is_information(line)][-most:]

    def _entries(self, *words: str) -> Iterator[dict[str, Any]]:
        """Oldest first."""
        told = self._ask(self.command(*words))
        if told.code == 0:
            yield from (each for line in told.out.splitlines() if (each := entry_of(line)) is not None)


def entry_of(line: str | bytes) -> dict[str, Any] | None:
    """An entry of `--output=json`; None for what is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def text_of(entry: Mapping[str, Any]) -> str:
    """Its message: text, or numbers where it holds bytes that are none (systemd.journal-fields(7))."""
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        return bytes(each for each in message if isinstance(each, int) and 0 <= each < 256).decode(
            errors="replace"
        )
    return message if isinstance(message, str) else ""


# As the gateway writes its log to a terminal (daemon/log_text.py), what it prints at its start, and all of a
# traceback or of the threads' stacks but what they are about.
_INFORMATION: Final = re.compile(
    r"^\d\d:\d\d:\d\d\S*\s+(?:info|debug|trace)\b"
    r"|^\s*(?:Dashboard|Certificate)\b"
    r"|^Fatal Python error: Aborted$"
    r'|^\s+File "|^    |^(?:Current thread|Thread) 0x|^Traceback |^Extension modules: '
)


def is_information(line: str) -> bool:
    """Whether a line of the gateway's output is of no interest to who asks why it ended."""
    return _INFORMATION.match(line) is not None


def _journaled(entry: Mapping[str, Any], run: str) -> End | None:
    how, status = entry.get("EXIT_CODE"), str(entry.get("EXIT_STATUS", ""))
    at_us = _whole(str(entry.get("__REALTIME_TIMESTAMP", "")))
    at_ms = at_us // 1000 if at_us is not None else None
    if how == "exited":
        return End(code=_whole(status), at_ms=at_ms, invocation=run or None)
    if how in {"killed", "dumped"}:
        # Its name, without SIG; where systemd knows none, its number.
        number = _whole(status) or getattr(signal, f"SIG{status}", None)
        return End(signal=number, at_ms=at_ms, invocation=run or None)
    return None


def _state_dir(environment: str) -> Path | None:
    """Of an environment as it is shown: words, quoted as in a shell."""
    try:
        words = shlex.split(environment)
    except ValueError:
        return None
    named = next((word for word in words if word.startswith(_STATE_DIR)), None)
    return Path(named.removeprefix(_STATE_DIR)) if named else None


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
