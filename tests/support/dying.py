"""A process that dies at one of its calls that change a file (see kill_at_call.c)."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def build(folder: Path) -> Path:
    """The library for LD_PRELOAD. Skips the test where it cannot be had."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the library that kills at a call (Debian: sudo apt-get install gcc)")
    if sys.platform != "linux":
        pytest.skip("LD_PRELOAD and /proc: Linux only")
    built = folder / "kill_at_call.so"
    source = Path(__file__).parent / "kill_at_call.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", built, source, "-ldl"], check=True, timeout=60)
    return built


def watched(library: Path, folder: Path, **more: str) -> dict[str, str]:
    """The environment of a process whose changes of files below `folder` count (see kill_at_call.c)."""
    return {"LD_PRELOAD": str(library), "KILL_FOLDER": str(folder), **more}
