"""Whether a version on trial is well, by what was seen of it. Pure: who looks, and when, is not its business.

It is compared with the version before: what was wrong then already (a gateway that is not ready because its
disk is full, a method that always fails) speaks against neither. What can pass (no answer, not ready) may
last some seconds; what cannot be taken back (a known device that was turned away) decides at once.
"""

from typing import Final

import attrs

from openclawd.slots.trial import Trial

LOOK_EVERY_S: Final = 0.5
# A busy machine, a full accept queue, a disk that syncs: what lasts longer is no hiccup.
PATIENCE_S: Final = 5.0
# The longest that runs under way may hold a restart up, and the goodbye.
RESTART_PATIENCE_S: Final = 360.0


@attrs.frozen
class Look:
    """What was seen at a moment of `at_s` (a clock that does not jump)."""

    at_s: float
    version: str | None
    """Of the gateway that answers on the local socket; None where none does."""

    life: int | None = None
    """Which life of a gateway that is: when it began."""

    problems: tuple[str, ...] = ()
    """What is wrong now and was not before the switch; it may pass."""

    faults: tuple[str, ...] = ()
    """What has happened since the switch and cannot be taken back."""


@attrs.frozen
class Verdict:
    """`reason` is in words, and empty where it is well."""

    well: bool
    reason: str = ""


class Judge:
    """One trial. `look` is told everything in order, until it says what the verdict is."""

    def __init__(self, trial: Trial, *, began_s: float, old_life: int | None) -> None:
        """`old_life`: the life of the old version's gateway, which is to end; None where none ran."""
        self._trial = trial
        self._old_life = old_life
        self._began_s = began_s
        self._free_since_s = began_s
        self._served_since_s: float | None = None
        self._wrong_since_s: float | None = None
        self._said = ""

    @property
    def serves(self) -> bool:
        """Whether the new version has been seen to serve."""
        return self._served_since_s is not None

    def look(self, look: Look) -> Verdict | None:
        """The verdict; None while it is too early."""
        if look.version == self._trial.from_version:
            return self._old_one_answers(look)
        if look.version == self._trial.to_version:
            if look.faults:
                return Verdict(well=False, reason=look.faults[0])
            if not look.problems:
                return self._is_well(look)
            self._said = look.problems[0]
        elif look.version is not None:
            return Verdict(well=False, reason=f"version {look.version} answers in its place")
        else:
            self._said = look.problems[0] if look.problems else "no gateway answers"
        return self._is_not_well(look)

    def _old_one_answers(self, look: Look) -> Verdict | None:
        trial = self._trial
        if self.serves or (self._old_life is not None and look.life != self._old_life):
            return Verdict(well=False, reason=f"{trial.from_version} runs in place of {trial.to_version}")
        # It drains.
        self._free_since_s = look.at_s
        if look.at_s - self._began_s > RESTART_PATIENCE_S:
            waited = f"{RESTART_PATIENCE_S:.0f} s"
            return Verdict(well=False, reason=f"the gateway has not restarted within {waited}")
        return None

    def _is_well(self, look: Look) -> Verdict | None:
        self._wrong_since_s = None
        if self._served_since_s is None:
            self._served_since_s = look.at_s
        return Verdict(well=True) if look.at_s - self._served_since_s >= self._trial.window_s else None

    def _is_not_well(self, look: Look) -> Verdict | None:
        if self._wrong_since_s is None:
            self._wrong_since_s = look.at_s
        if not self.serves:
            if look.at_s - self._free_since_s <= self._trial.limit_s:
                return None
            return Verdict(
                well=False, reason=f"it did not serve within {self._trial.limit_s} s: {self._said}"
            )
        if look.at_s - self._wrong_since_s <= PATIENCE_S:
            return None
        return Verdict(well=False, reason=f"for {PATIENCE_S:.0f} s: {self._said}")
