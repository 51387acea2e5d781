"""Whether every file of this program is there and is what it should be, those of its libraries among them.

Imports nothing of ours by itself, so that a broken file is something to tell of.
"""

import importlib
import pkgutil
from typing import Final

import openclawd
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.refusal import REINSTALL, StartRefused

# What modules of ours import of others' when they need it first, perhaps days after the start.
LATE_LIBRARIES: Final = (
    "cryptography.exceptions",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.hashes",
    "cryptography.hazmat.primitives.serialization",
    "cryptography.x509.oid",
    "httpx",
    "imagesize",
    "prometheus_client.core",
    "prometheus_client.exposition",
    "prometheus_client.process_collector",
    "pyjson5",
    "sdnotify",
)
# A command is not needed to serve.
_NOT_SERVING: Final = ("openclawd.cli", "openclawd.__main__", "openclawd.control_ui")


def import_everything() -> None:
    """Raises StartRefused when a file of the program, or of a library, is missing or is no program."""
    # Nothing on errors: each is imported again below.
    found = pkgutil.walk_packages(openclawd.__path__, "openclawd.", onerror=lambda _: None)
    ours = (each.name for each in found)
    for name in (*ours, *LATE_LIBRARIES):
        if name.startswith(_NOT_SERVING):
            continue
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a broken file does when it runs
            reason = f"{type(error).__name__}: {error}"
            raise StartRefused(
                ExitCode.UNEXPECTED,
                f"{name} cannot be imported: {reason}\n{REINSTALL}",
            ) from error
