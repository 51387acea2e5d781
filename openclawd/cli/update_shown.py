"""How an update looks: while it goes on, when it has ended, and later."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from openclawd.cli.failure import Failure
from openclawd.cli.output import duration, print_facts, print_json
from openclawd.cli.update_line import update_line
from openclawd.daemon.exit_codes import ExitCode
from openclawd.slots.document import document_of
from openclawd.slots.layout import Installation
from openclawd.slots.progress import Phase, Progress, ProgressFile

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from openclawd.update.run import Result

_WORDS: Final[Mapping[Phase, str]] = {
    Phase.CHECKING: "Looking for a version",
    Phase.DOWNLOADING: "Downloading {to}",
    Phase.UNPACKING: "Unpacking {to}",
    Phase.EXAMINING: "{to} examines whether it could serve here",
    Phase.SWITCHING: "Putting {to} in its place",
    Phase.RESTARTING: "The gateway restarts into {to}",
    Phase.TRIAL: "{to} is watched",
}


class Shown:
    """Tells everybody: the file for other processes, and whoever waits for this command."""

    def __init__(self, installation: Installation, *, quiet: bool) -> None:
        self._file = ProgressFile(installation)
        self._quiet = quiet
        self._phase: Phase | None = None
        self._bar: tuple[Bar, TaskID] | None = None

    def __enter__(self) -> "Shown":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_bar()

    def tell(self, progress: Progress) -> None:
        """Called as often as there is something new."""
        self._file.tell(progress)
        if self._quiet:
            return
        if progress.phase is not self._phase:
            self._phase = progress.phase
            self._end_bar()
            words = _WORDS.get(progress.phase)
            if words is not None:
                print(words.format(to=progress.to_version or "it") + "...", file=sys.stderr, flush=True)
        if progress.phase is Phase.DOWNLOADING and progress.total_bytes and sys.stderr.isatty():
            self._show_bar(progress.done_bytes or 0, progress.total_bytes)

    def _show_bar(self, done: int, total: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
            from rich.progress import Progress as Bar

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            bar = Bar(*columns, console=Console(stderr=True), transient=True)
            bar.start()
            self._bar = bar, bar.add_task("", total=total)
        shown, task = self._bar
        shown.update(task, completed=done)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None


def print_result(installation: Installation, result: "Result | None", *, as_json: bool) -> int:
    """Say how it ended; the exit code. Raises Failure where the new version does not run."""
    from openclawd.update.run import Waiting

    current = installation.current_version()
    if result is None:
        document: dict[str, object] = {"ok": True, "outcome": "current", "version": current}
        said = f"There is nothing newer than {current}, which is installed."
    elif isinstance(result, Waiting):
        trial = result.trial
        document = {"ok": True, "outcome": "waiting", "from": trial.from_version, "to": trial.to_version}
        said = f"{trial.to_version} is in its place. Its trial begins with: openclawd gateway start"
    elif result.end == "confirmed":
        document = {"ok": True, **result.document()}
        said = (
            f"{result.to_version} runs, and stays. Back to {result.from_version}: openclawd update rollback"
        )
    else:
        raise Failure(
            f"{result.to_version} was not well, and {result.from_version} is back: {result.reason}.",
            cure="What it said: openclawd logs",
            code=result.end,
            details=result.document(),
        )
    if as_json:
        print_json(document)
    else:
        print(said)
    return ExitCode.OK


def status_of(installation: Installation) -> dict[str, Any]:
    """Which versions there are, what goes on, and what came of the last update; as JSON has it."""
    return {
        "root": str(installation.root),
        "version": installation.current_version(),
        "versions": installation.slots(),
        **document_of(installation),
    }


def print_status(found: Mapping[str, Any]) -> None:
    """The same for people."""
    trial, progress, last = found.get("trial"), found.get("progress"), found.get("last")
    others = [each for each in found["versions"] if each not in (found.get("version"), found.get("previous"))]
    print_facts(
        [
            ("version", found.get("version")),
            ("now", _now(found) if trial is not None or progress is not None else None),
            # In the trial of an older one that is the one that runs.
            ("previous", previous if (previous := found.get("previous")) != found.get("version") else None),
            ("also here", ", ".join(others) or None),
            ("last update", _last(last) if last is not None else None),
            ("next", "openclawd update check" if trial is None and progress is None else "openclawd logs -f"),
            ("in", found["root"]),
        ]
    )


def _now(found: Mapping[str, Any]) -> str | None:
    line = update_line({**found, "current": found.get("version")}, time.time() * 1000)
    progress = found.get("progress")
    return line if progress is None else f"{line} (process {progress['pid']})"


def _last(last: Mapping[str, Any]) -> str:
    ago = duration(max(0.0, time.time() * 1000 - last["atMs"]))
    reason = f": {last['reason']}" if last.get("reason") else ""
    return f"{last['from']} to {last['to'] or 'a newer one'}, {last['outcome']} {ago} ago{reason}"
