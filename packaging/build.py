"""Freeze openclawd (see packaging/build, which calls this with the environment to freeze).

dist/openclawd/ is replaced in one step, and only when something it is made of has changed since.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
WANTED = ROOT / "dist" / "openclawd"
# What the binary in dist/ was made of.
STAMP = BUILD / "openclawd.inputs"
LOG = BUILD / "pyinstaller.log"
LOCK = "requirements-build.lock"


def inputs() -> Iterator[Path]:
    """Every file that decides what comes out."""
    for folder in ("openclawd", "packaging"):
        yield from sorted(
            path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
    yield ROOT / LOCK
    yield ROOT / "LICENSE"


def fingerprint() -> str:
    """A digest of the inputs, and of the Python and the machine that are frozen with them."""
    digest = hashlib.sha256(f"{sys.version} {platform.platform()}".encode())
    for path in inputs():
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(ROOT)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def freeze(into: Path) -> None:
    """Run PyInstaller; what it said is kept, and shown when it fails."""
    shutil.rmtree(into, ignore_errors=True)
    command = (sys.executable, "-P", "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN")
    folders = ("--distpath", into.parent, "--workpath", BUILD / "work")
    # The same inputs give the same bytes; stripped libraries are kept for the next time.
    fixed = {"PYTHONHASHSEED": "0", "PYINSTALLER_CONFIG_DIR": str(BUILD / "cache")}
    with LOG.open("wb") as log:
        done = subprocess.run(
            [*command, *folders, ROOT / "packaging" / "openclawd.spec"],
            cwd=ROOT,
            env=os.environ | fixed,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        said = LOG.read_text(errors="replace").splitlines()
        sys.exit("\n".join(said[-15:]) + f"\nPyInstaller failed (all of it: {LOG}).")


def add_licences(folder: Path) -> None:
    """Ours at the top, and those of all that is inside in licences/."""
    shutil.copy(ROOT / "LICENSE", folder / "LICENSE")
    for name, text in (*distribution_licences(), *library_licences(folder)):
        place = folder / "licences" / name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(text, place / text.name)


def distribution_licences() -> Iterator[tuple[str, Path]]:
    """Of Python, of the gateway's dependencies, and of PyInstaller, whose loader is in the binary."""
    yield "python", Path(os.__file__).parent / "LICENSE.txt"
    pins = [line.partition("==") for line in (ROOT / "requirements.lock").read_text().splitlines()]
    for name in ("pyinstaller", *(name for name, found, _ in pins if found)):
        try:
            files = distribution(name).files or ()
        except PackageNotFoundError:
            continue  # pinned for another platform
        for file in files:
            if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")):
                yield name, Path(str(file.locate()))


def library_licences(folder: Path) -> Iterator[tuple[str, Path]]:
    """Of the system's libraries that came along, where a package manager that we know has their texts."""
    if shutil.which("dpkg") is None:
        return
    for library in sorted((folder / "_internal").glob("lib*.so*")):
        owner = subprocess.run(
            ("dpkg", "-S", f"*/{library.name}"), capture_output=True, text=True, check=False
        ).stdout.partition(":")[0]
        text = Path("/usr/share/doc") / owner / "copyright"
        if owner and text.exists():
            yield library.name, text


def size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def build() -> None:
    wanted = fingerprint()
    if (WANTED / "openclawd").exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return
    started = time.monotonic()
    print("Building dist/openclawd (about half a minute) ...", flush=True)
    made = BUILD / "made" / "openclawd"
    freeze(made)
    add_licences(made)
    STAMP.unlink(missing_ok=True)
    shutil.rmtree(WANTED, ignore_errors=True)
    WANTED.parent.mkdir(exist_ok=True)
    made.rename(WANTED)
    STAMP.write_text(wanted)
    print(f"dist/openclawd: {size(WANTED) / 1e6:.1f} MB in {time.monotonic() - started:.0f} s")


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
