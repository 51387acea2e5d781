"""The Chromium that the tests drive: the machine's own, found by name."""

import os
import shutil
import subprocess
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A name of its own for this machine's loopback: a page opened there is on no secure origin.
PLAIN_HOST: Final = "gateway.test"


def find_chromium() -> str | None:
    """The path of a Chromium that starts: $OPENCLAWD_TEST_CHROMIUM, $CHROMIUM, else one on the PATH."""
    for name in (os.environ.get("OPENCLAWD_TEST_CHROMIUM"), os.environ.get("CHROMIUM"), *NAMES):
        path = shutil.which(name) if name else None
        if path is not None and _starts(path):
            return path
    return None


def arguments() -> list[str]:
    """What it is started with. Chromium does not sandbox for root, and says so by not starting."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return [*sandbox, f"--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1"]


def _starts(path: str) -> bool:
    # Where the package is only a stub for another installer, the command is there and fails.
    try:
        return (
            subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
