"""What a folder that packaging/build has made says of where it is from."""

import json
from pathlib import Path
from typing import Any, Final

import attrs

from openclawd.update.trust import ROOT_FILE
from scripts.releasing.fault import Fault

_PACKAGE: Final = Path("_internal", "openclawd")


@attrs.frozen
class Origin:
    """`made_s`: the second that all in an archive of it is from, the commit's, so that others get the same
    archive. `root`: whom it believes when it updates; None where it was built without.
    """

    version: str
    commit: str | None
    changed: bool
    made_s: int
    root: bytes | None

    @property
    def is_committed(self) -> bool:
        return self.commit is not None and not self.changed


def origin_of(folder: Path) -> Origin:
    """Raises Fault for a folder that packaging/build has not made."""
    package = folder / _PACKAGE
    try:
        told: dict[str, Any] = json.loads((package / "build.json").read_bytes())
        root = package / "update" / ROOT_FILE
        return Origin(
            told["version"],
            told["commit"],
            told["changed"],
            told["epoch"],
            root.read_bytes() if root.exists() else None,
        )
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise Fault(f"{folder} is not what packaging/build makes; make it: packaging/build") from error
