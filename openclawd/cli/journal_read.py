"""What the journal has beside the log: the manager's own words about the service, and the gateway's last
words before it had a log. In the form of the log's lines.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from openclawd.daemon.image import environment_of
from openclawd.service.systemd_standing import Journal, entry_of, text_of
from openclawd.service.tool import Ask, ask

_BLOCK_BYTES: Final = 64 * 1024
_OUR_LOGGER: Final = "openclawd"
# syslog(3)
_LEVELS: Final = ("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")
_INFO: Final = 6
# Lines of the log, as they are written to a terminal too (daemon/log_text.py), readable or as JSON.
_LOGGED: Final = re.compile(r'^(?:\d\d:\d\d:\d\d  (?:fatal|error|warn|info|debug) |\{"time":")')


def journal_lines(journal: Journal, wanted: int, asked: Ask = ask) -> tuple[list[bytes], str | None]:
    """The last ones that the log does not have, and where the journal ended then; nothing where it cannot be
    read.
    """
    # Most lines are the log's own.
    told = asked(journal.command(f"--lines={wanted * 4}", *journal.everything))
    printed = told.out.splitlines() if told.code == 0 else []
    last = entry_of(printed[-1]) if printed else None
    return [*_lines(printed)][-wanted:], str(last["__CURSOR"]) if last is not None else None


class FollowedJournal:
    """What is added to it."""

    def __init__(self, journal: Journal, cursor: str | None) -> None:
        """From the `cursor` on, or from now on. Raises OSError where there is no journalctl."""
        begin = ("--lines=0",) if cursor is None else ("--no-tail", f"--after-cursor={cursor}")
        words = journal.command("--follow", *begin, *journal.everything)
        self._descriptor, printed = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._descriptor, False)
        try:
            self._process = subprocess.Popen(  # noqa: S603  a list of words: no shell reads them
                words,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.DEVNULL,
                env=environment_of(os.environ),
            )
        except OSError:
            os.close(self._descriptor)
            raise
        finally:
            os.close(printed)
        self._rest = b""

    def poll(self) -> list[bytes]:
        """The lines that are new; none any more once journalctl has ended."""
        complete: list[bytes] = []
        while True:
            try:
                block = os.read(self._descriptor, _BLOCK_BYTES)
            except BlockingIOError:
                break
            if not block:
                break
            *lines, self._rest = (self._rest + block).split(b"\n")
            complete += lines
        return [*_lines(complete)]

    def close(self) -> None:
        """End journalctl."""
        self._process.kill()
        self._process.wait()
        os.close(self._descriptor)


def line_of(entry: Mapping[str, Any]) -> bytes | None:
    """An entry as a line of the log; None for what the log has itself, and for what is empty."""
    text = text_of(entry).rstrip()
    if not text.strip() or _LOGGED.match(text):
        return None
    manager = entry.get("MESSAGE_ID") is not None or "UNIT" in entry or "USER_UNIT" in entry
    priority = str(entry.get("PRIORITY", ""))
    level = int(priority) if priority.isdigit() and int(priority) < len(_LEVELS) else _INFO
    stamp = str(entry.get("__REALTIME_TIMESTAMP", ""))
    moment = datetime.fromtimestamp(int(stamp) / 1_000_000, UTC) if stamp.isdigit() else datetime.now(UTC)
    return orjson.dumps(
        {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": _LEVELS[level],
            "name": str(entry.get("SYSLOG_IDENTIFIER", "systemd")) if manager else _OUR_LOGGER,
            "message": text,
        }
    )


def _lines(printed: Iterable[str | bytes]) -> Iterator[bytes]:
    for each in printed:
        entry = entry_of(each)
        line = line_of(entry) if entry is not None else None
        if line is not None:
            yield line
