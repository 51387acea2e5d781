"""An update from its beginning to its end, by one process of the old version that outlives the restart.

Everything before the switch leaves the installation as it is. The switch is: the trial is written, then
`current` leads to the new version. From there on a trial is under way, and whatever happens to whom (this
process, the gateway, the power), whoever starts the gateway finds it: the guard (slots/guard.sh).
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs

from openclawd.slots.layout import Installation
from openclawd.slots.progress import Phase, Progress
from openclawd.slots.trial import (
    Outcome,
    Trial,
    clear_failed,
    clear_trial,
    is_well,
    read_trial,
    write_outcome,
    write_trial,
)
from openclawd.update.gateway import Before, Gateway, keep_before, kept_before
from openclawd.update.judge import LOOK_EVERY_S, Judge
from openclawd.update.staged import CannotUpdate, Fetch, Staged, Tell
from openclawd.update.verdicts import (
    Clock,
    bring_back,
    confirm,
    is_over,
    may_write,
    roll_back,
    set_aside,
    taken_from_us,
)

# A supervisor starts a gateway again after a tenth of a second, and it serves half a second later.
_COMES_BACK_S: Final = 3.0


@attrs.frozen
class Waiting:
    """The new version is in its place and no gateway runs: the next start is its trial."""

    trial: Trial


Result = Outcome | Waiting


@attrs.frozen(eq=False, repr=False)
class Updater:
    """One update; the lock of the installation (`update_lock`) is held meanwhile."""

    installation: Installation
    gateway: Gateway
    tell: Tell
    examine: Callable[[Staged], None]
    """Raises CannotUpdate where the new program could not serve here."""

    window_s: int
    keep: int
    """How many slots stay."""

    word: str | None = None
    """Where a gateway that may not write here leaves its word that it is well (slots/trial.py)."""

    limit_s: int = 15
    clock: Clock = attrs.field(factory=Clock)

    def update(self, fetch: Fetch, wanted: str | None) -> Result | None:
        """Have `wanted`, or the newest, run; None where there is nothing newer. Raises CannotUpdate where
        nothing has changed, and OSError.
        """
        left = self.settle()
        if isinstance(left, Waiting):
            raise CannotUpdate(
                f"{left.trial.to_version} is in its place, and waits for the gateway's next start",
                "openclawd gateway start",
            )
        current = self.installation.current_version()
        if current is None:
            raise CannotUpdate(
                f"{self.installation.current} leads to no version", "openclawd gateway install"
            )
        self._tell(Phase.CHECKING, current, wanted)
        try:
            staged = fetch(wanted, self.tell)
            if staged is None or staged.version == current:
                return None
            wanted = staged.version
            self._tell(Phase.EXAMINING, current, wanted)
            self.examine(staged)
        except CannotUpdate as error:
            self._failed(current, wanted or "", error.reason)
            raise
        return self._switch(current, staged.version)

    def settle(self) -> Result | None:
        """End what an updater that died has left: undone where it never came to a restart, judged where the
        new version runs. None where nothing was left. Raises OSError.
        """
        installation, trial = self.installation, read_trial(self.installation)
        if trial is None:
            clear_trial(installation)
            return None
        if is_well(trial):
            return self._ended(confirm(installation, trial, keep=self.keep))
        if installation.current_version() != trial.to_version:
            return self._ended(set_aside(installation, trial, "the update was interrupted before the switch"))
        before = self.gateway.before()
        if before is None and trial.starts:
            return Waiting(trial)
        if before is None or before.version != trial.to_version:
            return self._ended(
                roll_back(installation, trial, "the update was interrupted before the restart")
            )
        return self.judge()

    def judge(self) -> Result | None:
        """See the trial that is under way to its end; None where there is none. Raises OSError."""
        trial = read_trial(self.installation)
        if trial is None or is_well(trial) or self.installation.current_version() != trial.to_version:
            return None
        return self._watch(trial, kept_before(self.installation, trial))

    # --- the switch

    def _switch(self, current: str, version: str) -> Result:
        before = self._before()
        trial = Trial(
            from_version=current,
            to_version=version,
            # A restart in place needs no supervisor: one that a supervisor starts again has died.
            starts=0 if before is not None else 1,
            began_s=int(time.time()),
            window_s=self.window_s,
            limit_s=self.limit_s,
            word=self.word,
        )
        self._tell(Phase.SWITCHING, current, version)
        clear_failed(self.installation)
        keep_before(self.installation, trial, before)
        write_trial(self.installation, trial)
        self.installation.swap(version)
        if read_trial(self.installation) is None:
            # Between the two the gateway was started anew, and the guard took the trial for a relic.
            write_trial(self.installation, trial)
        if before is None:
            return self._without_gateway(trial)
        return self._into(trial, before)

    def _before(self) -> Before | None:
        """The gateway that runs; also one that has just died, and that its supervisor starts again."""
        began_s = self.clock.now_s()
        while (before := self.gateway.before()) is None:
            waited_s = self.clock.now_s() - began_s
            if waited_s >= _COMES_BACK_S and (not self.gateway.is_alive() or waited_s >= self.limit_s):
                return None
            self.clock.sleep(LOOK_EVERY_S)
        return before

    def _without_gateway(self, trial: Trial) -> Result:
        """The next start is the trial; unless the old version was started in this very moment."""
        before = self.gateway.before()
        if before is not None and before.version == trial.from_version:
            trial = attrs.evolve(trial, starts=0)
            keep_before(self.installation, trial, before)
            write_trial(self.installation, trial)
            return self._into(trial, before)
        self._tell(Phase.TRIAL, trial.from_version, trial.to_version)
        return Waiting(trial)

    def _into(self, trial: Trial, before: Before) -> Result:
        """Have the old generation become the new version."""
        self._tell(Phase.RESTARTING, trial.from_version, trial.to_version)
        refusal = self.gateway.restart(f"update to {trial.to_version}")
        if refusal is not None:
            return self._ended(roll_back(self.installation, trial, refusal))
        return self._watch(trial, before)

    # --- the trial

    def _watch(self, trial: Trial, before: Before | None) -> Result:
        old_life = before.life if before is not None else None
        judge = Judge(trial, began_s=self.clock.now_s(), old_life=old_life)
        told = False
        while True:
            verdict = judge.look(self.gateway.look(before))
            if judge.serves and not told:
                told = True
                self._tell(Phase.TRIAL, trial.from_version, trial.to_version)
            now = read_trial(self.installation)
            if now is None and not is_over(self.installation, trial):
                # It was taken away, and nobody who may decide has said how it ended.
                write_trial(self.installation, trial)
                now = trial
            if now is None:
                outcome = taken_from_us(self.installation, trial)
                if outcome.end != "confirmed":
                    bring_back(self.gateway, trial, self.clock)
                return self._ended(outcome)
            if now.starts > trial.starts and not self.gateway.is_alive():
                # It was told to stop. The next start goes on with the trial.
                return Waiting(now)
            if verdict is not None and verdict.well:
                return self._ended(confirm(self.installation, trial, keep=self.keep))
            if verdict is not None:
                return self._go_back(trial, verdict.reason)
            self.clock.sleep(LOOK_EVERY_S)

    def _go_back(self, trial: Trial, reason: str) -> Outcome:
        outcome = roll_back(self.installation, trial, reason)
        if not may_write(self.installation):
            # Whoever starts it again as root finds a trial that has no start left.
            self.gateway.kill(trial.to_version)
        elif not bring_back(self.gateway, trial, self.clock):
            outcome = attrs.evolve(outcome, reason=f"{reason}; nobody has started {trial.from_version} yet")
            write_outcome(self.installation, outcome)
        return self._ended(outcome)

    # --- what is told

    def _tell(self, phase: Phase, from_version: str, to_version: str | None) -> None:
        self.tell(Progress(phase, from_version, to_version))

    def _ended(self, outcome: Outcome) -> Outcome:
        phase = Phase(outcome.end)
        self.tell(Progress(phase, outcome.from_version, outcome.to_version, problem=outcome.reason))
        return outcome

    def _failed(self, current: str, wanted: str, reason: str) -> None:
        now_ms = int(time.time() * 1000)
        outcome = Outcome(current, wanted, "failed", now_ms, "updater", reason)
        # On a disk that is full the reason is told all the same.
        with suppress(OSError):
            write_outcome(self.installation, outcome)
        self._ended(outcome)
