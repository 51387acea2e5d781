"""The stock v3 Control UI as it was published, fetched once and kept in the cache folder.

Only the built page is unpacked, and only when the archive is the one whose digest is pinned in
stock_page.json: nothing of the package is ever executed outside the browser.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Final

PIN: Final = json.loads((Path(__file__).parent / "stock_page.json").read_text())
CACHE: Final = Path(__file__).parents[2] / ".cache" / "stock-page"
FETCH_TIMEOUT_S: Final = 120


class NotAvailable(Exception):
    """There is no stock page here, and why."""


def stock_page() -> Path:
    """The folder with the page. Raises NotAvailable."""
    folder: Path = CACHE / PIN["version"]
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            unpacked = _unpack(_fetch(Path(work)), Path(work))
            # Whole or not at all, also when it is interrupted here.
            unpacked.rename(folder)
    return folder


def _fetch(work: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise NotAvailable("the stock page is fetched with npm, which is not on the PATH")
    command = [npm, "pack", f"{PIN['package']}@{PIN['version']}", "--loglevel", "error"]
    command += ["--fetch-retries", "0", "--pack-destination", str(work)]
    try:
        done = subprocess.run(
            command, cwd=work, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotAvailable("npm did not fetch the stock page in time") from error
    archives = [*work.glob("*.tgz")]
    if done.returncode != 0 or len(archives) != 1:
        why = next(iter(done.stderr.splitlines()), f"exit code {done.returncode}")
        raise NotAvailable(f"npm could not fetch the stock page: {why}")
    return archives[0]


def _unpack(archive: Path, work: Path) -> Path:
    with archive.open("rb") as data:
        digest = hashlib.file_digest(data, "sha512").digest()
    found = f"sha512-{base64.b64encode(digest).decode()}"
    if found != PIN["integrity"]:
        raise AssertionError(f"{archive.name} is not the archive that is pinned: {found}")
    folder = PurePosixPath(PIN["folder"])
    with tarfile.open(archive) as tar:
        members = [member for member in tar.getmembers() if folder in PurePosixPath(member.name).parents]
        tar.extractall(work, members=members, filter="data")
    return work / folder
