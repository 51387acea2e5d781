"""A unit file on the disk: what would change there, and whose words stand there now.

The last line of a file that was written here says what stood above it then. So a file that somebody has
edited, or written by hand, is known, and is not replaced before they have seen what would be lost.
"""

import hashlib
from pathlib import Path
from typing import Final, Literal

import attrs

from openclawd.slots.durable import remove_durably, write_durably

State = Literal["absent", "same", "ours", "yours"]

_MARK: Final = "# Written by `openclawd gateway install`: "
# Enough to tell an edit; nobody forges it.
_DIGITS: Final = 16


@attrs.frozen
class UnitFile:
    """One file, and the `text` that is to stand there."""

    path: Path
    text: str

    @property
    def marked(self) -> str:
        """The text as it is written."""
        return f"{self.text}\n{_MARK}{digest_of(self.text)}\n"

    def present(self) -> str | None:
        """What stands there; None where there is nothing. Raises OSError."""
        try:
            return self.path.read_text(errors="replace")
        except FileNotFoundError:
            return None

    def state(self) -> State:
        """ "yours": somebody else's words, which `diff` shows. Raises OSError."""
        present = self.present()
        if present is None:
            return "absent"
        if present in (self.marked, self.text):
            return "same"
        return "ours" if self.is_ours(present) else "yours"

    def is_ours(self, present: str) -> bool:
        """Whether these are words of this program, of any version, as they were written."""
        text, mark, digest = present.rpartition(_MARK)
        return bool(mark) and digest.strip() == digest_of(text.removesuffix("\n"))

    def diff(self) -> str:
        """What would change, as `diff -u` shows it; empty when nothing would. Raises OSError."""
        import difflib

        before = self.present()
        if self.state() == "same":
            return ""
        lines = difflib.unified_diff(
            (before or "").splitlines(keepends=True),
            self.marked.splitlines(keepends=True),
            str(self.path) if before is not None else "/dev/null",
            str(self.path),
        )
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def write(self) -> None:
        """Put it there, durably. Raises OSError."""
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_durably(self.path, self.marked.encode())

    def remove(self) -> None:
        """Take it away, durably. Raises OSError."""
        remove_durably(self.path)


def digest_of(text: str) -> str:
    """What tells these words from edited ones."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
