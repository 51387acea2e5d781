"""A version on trial: what the guard goes by at each start, and what came of the last one.

`trial` is lines of `key=value`, for a shell to read. While it is there and `current` leads to `to`, any
supervised start beyond `starts` means that the new version died, and the guard goes back to `from`. Whoever
removes the file decides: what stands in `current` then is what runs.
"""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import attrs
import orjson

from openclawd.slots.durable import remove_durably, write_durably
from openclawd.slots.layout import Installation, is_version

End = Literal["confirmed", "rolled-back", "failed"]
Judge = Literal["guard", "updater", "gateway"]

_ENDS: Final[tuple[End, ...]] = ("confirmed", "rolled-back", "failed")
_JUDGES: Final[tuple[Judge, ...]] = ("guard", "updater", "gateway")
# The guard's shell counts with whole numbers; nobody means more than these.
_MAX_STARTS: Final = 9
_MAX_SECONDS: Final = 10**10
# A line for people; more was not written by us.
_MAX_BYTES: Final = 16 * 1024


@attrs.frozen
class Trial:
    """`from_version` runs or ran; `to_version` is to prove itself."""

    from_version: str
    to_version: str
    starts: int
    """Supervised starts that it still has: none where it begins by a restart in place."""

    began_s: int
    """Unix time."""

    window_s: int
    """How long it is watched once it serves."""

    limit_s: int = 15
    """How long it may take until it serves."""

    word: str | None = None
    """Where who judges and may not write here leaves its word: `word_of`, or that and why it is not well."""

    others: Mapping[str, str] = attrs.field(factory=dict)
    """Keys of other versions, kept as they are."""

    @property
    def word_of(self) -> str:
        """What stands in the file `word` of a gateway that is well."""
        return f"{self.to_version} {self.began_s}"

    def text(self) -> str:
        """The lines of the file."""
        lines = {
            "from": self.from_version,
            "to": self.to_version,
            "starts": str(self.starts),
            "began": str(self.began_s),
            "window": str(self.window_s),
            "limit": str(self.limit_s),
            **({"word": self.word} if self.word is not None else {}),
            **self.others,
        }
        return "".join(f"{key}={value}\n" for key, value in lines.items())


def trial_of(text: str) -> Trial | None:
    """What the lines say; None where they do not make sense, as after a disk that lies. The guard reads them
    in the same way.
    """
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, given, value = line.partition("=")
        if given and key:
            values[key] = value
    from_version, to_version = values.pop("from", ""), values.pop("to", "")
    if not is_version(from_version) or not is_version(to_version) or from_version == to_version:
        return None
    return Trial(
        from_version=from_version,
        to_version=to_version,
        starts=_number(values.pop("starts", ""), _MAX_STARTS, 0),
        began_s=_number(values.pop("began", ""), _MAX_SECONDS, 0),
        window_s=_number(values.pop("window", ""), _MAX_SECONDS, 30),
        limit_s=_number(values.pop("limit", ""), _MAX_SECONDS, 15),
        word=values.pop("word", None),
        others=values,
    )


def read_trial(installation: Installation) -> Trial | None:
    """The trial under way; None where there is none."""
    text = _text(installation.trial)
    return None if text is None else trial_of(text)


def is_well(trial: Trial) -> bool:
    """Whether a gateway that may not end its trial itself has left its word that it is well."""
    told = _text(Path(trial.word)) if trial.word is not None else None
    return told is not None and told.rstrip("\n") == trial.word_of


def write_trial(installation: Installation, trial: Trial) -> None:
    """Durable when this returns. Raises OSError."""
    write_durably(installation.trial, trial.text().encode())


def clear_trial(installation: Installation) -> None:
    """End it, whichever way. Raises OSError."""
    remove_durably(installation.trial)


@attrs.frozen
class Outcome:
    """How an update ended."""

    from_version: str
    to_version: str
    end: End
    at_ms: int
    by: Judge
    reason: str | None = None
    """In words; of all but a confirmed one."""

    def document(self) -> dict[str, object]:
        """As `last.json` and every `--json` has it."""
        reason = {} if self.reason is None else {"reason": self.reason}
        return {
            "from": self.from_version,
            "to": self.to_version,
            "outcome": self.end,
            **reason,
            "atMs": self.at_ms,
            "by": self.by,
        }


def write_outcome(installation: Installation, outcome: Outcome) -> None:
    """Durable when this returns. Raises OSError."""
    write_durably(installation.last, orjson.dumps(outcome.document()))


def read_last(installation: Installation) -> Outcome | None:
    """How the last update ended, whoever ended it: the updater, or the guard behind its back. None before
    the first.
    """
    found = [each for each in (_outcome(installation.last), read_failed(installation)) if each is not None]
    # The updater tells in its own file what the guard did, later; of equals its words are the better ones.
    return max(found, key=lambda each: each.at_ms, default=None)


def read_failed(installation: Installation) -> Outcome | None:
    """The trial that was rolled back, or set aside before it began, as the file `failed` has it."""
    text = _text(installation.failed)
    trial = None if text is None else trial_of(text)
    if trial is None:
        return None
    by: Judge = next((each for each in _JUDGES if each == trial.others.get("by")), "guard")
    return Outcome(
        trial.from_version,
        trial.to_version,
        "failed" if trial.others.get("outcome") == "failed" else "rolled-back",
        _number(trial.others.get("at", ""), _MAX_SECONDS, trial.began_s) * 1000,
        by,
        trial.others.get("reason") or "the reason was not written down",
    )


def write_failed(installation: Installation, trial: Trial, reason: str, by: Judge) -> None:
    """What the guard writes, too. Raises OSError."""
    told = {"reason": " ".join(reason.split()), "by": by, "at": str(math.floor(time.time()))}
    failed = attrs.evolve(trial, others={**trial.others, **told})
    write_durably(installation.failed, failed.text().encode())


def clear_failed(installation: Installation) -> None:
    """Before another trial: what `failed` says then is of that one. Raises OSError."""
    remove_durably(installation.failed)


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode(errors="replace")
    except OSError:
        return None


def _number(text: str, most: int, otherwise: int) -> int:
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 20 else otherwise


def _outcome(path: Path) -> Outcome | None:
    try:
        found = orjson.loads(_text(path) or "")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict):
        return None
    end = next((each for each in _ENDS if each == found.get("outcome")), None)
    at_ms, reason = found.get("atMs"), found.get("reason")
    if end is None or not isinstance(at_ms, int):
        return None
    return Outcome(
        str(found.get("from")),
        str(found.get("to")),
        end,
        at_ms,
        next((each for each in _JUDGES if each == found.get("by")), "updater"),
        reason if isinstance(reason, str) else None,
    )
