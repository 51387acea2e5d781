"""A property list on the disk: what it says, what would change there, and whose words stand there now.

As of a unit (unit_file.py), but that XML has its comments before the end.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from openclawd.daemon.person import VARIABLE
from openclawd.service.unit_file import UnitFile, digest_of

_ROOT: Final = "<plist "
_MARK: Final = re.compile(r"<!-- Written by `openclawd gateway install`: ([0-9a-f]{16}) -->\n")


@attrs.frozen
class PlistFile(UnitFile):
    """One list, and the `text` that is to stand there."""

    @property
    def marked(self) -> str:
        """With a line that says what the others were."""
        mark = f"<!-- Written by `openclawd gateway install`: {digest_of(self.text)} -->\n"
        return self.text.replace(_ROOT, f"{mark}{_ROOT}", 1)

    def is_ours(self, present: str) -> bool:
        """Whether these are words of this program, of any version, as they were written."""
        found = _MARK.search(present)
        return found is not None and found[1] == digest_of(_MARK.sub("", present, count=1))


def list_in(file: Path) -> dict[str, Any] | None:
    """What a property list says; None where there is none, or none that can be read."""
    try:
        text = file.read_bytes()
    except OSError:
        return None
    # Most machines have none, and every command of root's looks.
    import plistlib
    from xml.parsers.expat import ExpatError

    try:
        found = plistlib.loads(text)
    except (ValueError, ExpatError):
        return None
    return found if isinstance(found, dict) else None


def person_in(job: Mapping[str, Any]) -> str | None:
    """Whom the gateway of a job of the machine runs as; None where that is not said."""
    environment = job.get("EnvironmentVariables")
    becomes = environment.get(VARIABLE) if isinstance(environment, dict) else None
    found = job.get("UserName") or becomes
    return found if isinstance(found, str) else None
