"""Freeze openclawd (see packaging/build, which calls this with the environment to freeze).

What is in dist/ is replaced in one step, and only when something it is made of has changed since.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from openclawd import __version__

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "packaging"
BUILD = ROOT / "build"
MADE = BUILD / "made"
FOLDER = ROOT / "dist" / "openclawd"
FILE = ROOT / "dist" / f"openclawd-{__version__}-{platform.system().lower()}-{platform.machine()}"
# What the binary in dist/ was made of.
STAMP = BUILD / "openclawd.inputs"
SOURCE = BUILD / "build.json"
LOG = BUILD / "pyinstaller.log"
LOCK = "requirements-build.lock"
# All that a build gets of the environment: what else is there must not decide what comes out.
KEPT = ("HOME", "PATH", "SYSTEMROOT", "TMPDIR")


def inputs() -> Iterator[Path]:
    """Every file that decides what comes out."""
    for folder in ("openclawd", "packaging"):
        yield from sorted(
            path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
    yield ROOT / LOCK
    yield ROOT / "LICENSE"
    yield SOURCE


def fingerprint() -> str:
    """A digest of the inputs, and of the Python and the machine that are frozen with them."""
    digest = hashlib.sha256(f"{sys.version} {platform.platform()}".encode())
    for path in inputs():
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(ROOT)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def freeze() -> None:
    """Run PyInstaller; what it said is kept, and shown when it fails."""
    shutil.rmtree(MADE, ignore_errors=True)
    command = (sys.executable, "-P", "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN")
    folders = ("--distpath", MADE, "--workpath", BUILD / "work")
    # The same inputs give the same bytes; stripped libraries are kept for the next time.
    fixed = {
        "LC_ALL": "C.UTF-8",
        "PYINSTALLER_CONFIG_DIR": str(BUILD / "cache"),
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(json.loads(SOURCE.read_text())["epoch"]),
    }
    with LOG.open("wb") as log:
        done = subprocess.run(
            [*command, *folders, TOOLS / "openclawd.spec"],
            cwd=ROOT,
            env={name: os.environ[name] for name in KEPT if name in os.environ} | fixed,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        said = LOG.read_text(errors="replace").splitlines()
        sys.exit("\n".join(said[-15:]) + f"\nPyInstaller failed (all of it: {LOG}).")


def size(path: Path) -> str:
    every = path.rglob("*") if path.is_dir() else (path,)
    return f"{sum(each.lstat().st_size for each in every if not each.is_dir()) / 1e6:.1f} MB"


def build() -> None:
    subprocess.run((sys.executable, "-P", TOOLS / "commit.py", SOURCE), check=True)
    wanted = fingerprint()
    if (FOLDER / "openclawd").exists() and FILE.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return
    started = time.monotonic()
    print("Building dist/openclawd (about half a minute) ...", flush=True)
    freeze()
    STAMP.unlink(missing_ok=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(exist_ok=True)
    (MADE / FOLDER.name).rename(FOLDER)
    (MADE / FILE.name).replace(FILE)
    STAMP.write_text(wanted)
    print(f"dist/openclawd: {size(FOLDER)}; dist/{FILE.name}: {size(FILE)}")
    from scripts.releasing.archive import built  # not for a build that is up to date

    needs = built(FOLDER, __version__).glibc
    print(f"needs glibc {needs} or newer; " if needs else "", end="")
    print(f"{time.monotonic() - started:.0f} s")


def main() -> None:
    try:
        BUILD.mkdir(exist_ok=True)
        # The kernel drops this lock with the process, however it ends.
        with (BUILD / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            build()
    except OSError as error:
        sys.exit(f"Building dist/openclawd failed: {error}.")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
