"""Make an environment match a lock file (see scripts/venv, which calls this).

Guarantees: every package is one that the lock file names, with a hash that it lists (only the setuptools
that builds those that come as source is not pinned); two runs at once do not disturb each other; an
interrupted run is repaired by the next one, because the stamp is written last.
The project itself is not built: a .pth file puts this folder on the path, and bin/openclawd starts it.
"""

import fcntl
import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(sys.argv[2])
PYTHON = VENV / "bin" / "python"
# Beside the environment, not in it: `venv --clear` empties that.
CACHE = ROOT / ".cache"
SETUP_LOG = CACHE / "setup.log"
# What the larger lock file installs, the smaller one needs: they pin the same versions (scripts/lock).
IMPLIED = {"requirements-test.lock": ("requirements.lock",)}


def stamp(lock_name: str) -> Path:
    return VENV / f".installed-{lock_name}"


def python_can_import(module: str) -> bool:
    """Whether the environment holds a Python that runs, is new enough, and finds this module by itself."""
    return python_agrees(f"import sys, {module}; sys.exit(sys.version_info < (3, 11))")


def python_runs_this_folder() -> bool:
    """Whether the environment finds the project here: one that was copied finds where it was."""
    return python_agrees(
        "import sys, os.path as p, openclawd\n"
        "sys.exit(not p.samefile(p.dirname(openclawd.__file__), sys.argv[1]))"
    )


def python_agrees(check: str) -> bool:
    command = (PYTHON, "-P", "-c", check, ROOT / "openclawd")
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def is_installed(lock_name: str) -> bool:
    try:
        return stamp(lock_name).read_bytes() == (ROOT / lock_name).read_bytes()
    except FileNotFoundError:
        return False


def run(*command: str | Path) -> None:
    """Run quietly; what it said goes to the setup log, and to the user only when it fails."""
    with SETUP_LOG.open("ab") as log:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    if done.returncode != 0:
        said = SETUP_LOG.read_text(errors="replace").splitlines()
        errors = [line for line in said if line.startswith("ERROR")] or said
        sys.exit(
            "\n".join(errors[-8:])
            + f"\nSetting up {VENV} failed (all of it: {SETUP_LOG})."
            + "\nCheck the network or the proxy, then run this again."
        )


def make_venv() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        major, minor = sys.version_info[:2]
        cure = (
            f"Install it: sudo apt-get install python{major}.{minor}-venv"
            if Path("/etc/debian_version").exists()
            else "Install the package of your system that holds Python's venv and ensurepip."
        )
        sys.exit(f"This Python ({sys.executable}) comes without venv. {cure}")
    run(sys.executable, "-m", "venv", "--clear", VENV)


def link_project() -> None:
    """Put this folder on the environment's path and the `openclawd` command into its bin."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    asked = subprocess.run([PYTHON, "-c", where], capture_output=True, text=True, check=True)
    (Path(asked.stdout.strip()) / "openclawd-here.pth").write_text(f"{ROOT}\n")
    # Compiled now, so that the first start is as fast as the others.
    run(PYTHON, "-m", "compileall", "-q", ROOT / "openclawd")
    command = VENV / "bin" / "openclawd"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(str(PYTHON))} -P -m openclawd "$@"\n')
    command.chmod(0o755)


def install(lock_name: str) -> None:
    print(f"Setting up {VENV} (once, about half a minute) ...", file=sys.stderr, flush=True)
    SETUP_LOG.unlink(missing_ok=True)
    if not python_can_import("pip"):
        make_venv()
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input")
    # A package that comes as source is built in one way by every pip: the older ones install another list of
    # its files, and no licence.
    run(*pip, "--use-pep517", "--require-hashes", "-r", ROOT / lock_name)
    link_project()
    for name in (lock_name, *IMPLIED.get(lock_name, ())):
        temporary = stamp(name).with_suffix(".new")
        temporary.write_bytes((ROOT / name).read_bytes())
        temporary.replace(stamp(name))


def main() -> None:
    lock_name = sys.argv[1]
    try:
        CACHE.mkdir(exist_ok=True)
        # The kernel drops this lock with the process, however it ends.
        with (CACHE / "venv.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            installed = is_installed(lock_name)
            if installed and not python_runs_this_folder() and python_can_import("pip"):
                # Copied or moved, packages and all.
                link_project()
            if not installed or not python_runs_this_folder():
                install(lock_name)
    except OSError as error:
        sys.exit(f"Setting up {VENV} failed: {error}. This folder must be writable, and hold {lock_name}.")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
