"""Make every file of a release from the binary in dist/ (see packaging/package, which calls this).

The same commit gives the same bytes on the same system: every time in an archive is the commit's.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import openclawd

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
TOOLS = ROOT / "packaging"
BINARY = DIST / "openclawd"
SYSTEM = platform.system().lower()
MACHINE = platform.machine()
# They are uploaded as they are, whatever the umask.
FOR_ALL = 0o444


def source_date() -> str:
    """When what is packaged was made, as seconds since 1970: what the binary says (commit.py)."""
    return str(json.loads((BINARY / "_internal" / "openclawd" / "build.json").read_text())["epoch"])


def run(*command: str | Path) -> str:
    """What the command printed. Its errors are shown, and end this."""
    ended = subprocess.run(
        (sys.executable, "-P", *command),
        cwd=ROOT,
        env=os.environ | {"SOURCE_DATE_EPOCH": source_date(), "PYTHONHASHSEED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        sys.exit(f"{ended.stdout}{command[0]} failed; see above.")
    return ended.stdout


def package(into: Path) -> list[Path]:
    """The files of the release, in `into`."""
    made = [*one_file(into)]
    manual, sbom = (
        into / "openclawd.1",
        into / f"openclawd-{openclawd.__version__}-{SYSTEM}-{MACHINE}.cdx.json",
    )
    run(TOOLS / "manual.py", manual)
    run(TOOLS / "sbom.py", BINARY, sbom)
    made += (manual, sbom)
    # In this environment, whose tools are pinned. The wheel is made from the sdist.
    run("-m", "build", "--no-isolation", "--outdir", into, ROOT)
    version = openclawd.__version__
    made += (into / f"openclawd-{version}.tar.gz", into / f"openclawd-{version}-py3-none-any.whl")
    if shutil.which("dpkg-deb") is None:
        print("No .deb: there is no dpkg-deb here. Debian has it; elsewhere the package is called dpkg.")
    else:
        made.append(into / run(TOOLS / "deb.py", BINARY, manual, sbom, into).strip())
    return made


def one_file(into: Path) -> list[Path]:
    """The download, as packaging/build left it in dist/."""
    built = DIST / f"openclawd-{openclawd.__version__}-{SYSTEM}-{MACHINE}"
    if not built.exists():
        print(f"No single file to download: packaging/build made no {built.relative_to(ROOT)}.")
        return []
    if into != DIST:
        shutil.copy2(built, into)
    return [into / built.name]


def sums(files: list[Path]) -> str:
    """As sha256sum(1) writes and checks them."""
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="packaging/package", description="Make every file of a release.")
    parser.add_argument("--into", type=Path, default=DIST, metavar="FOLDER", help="default: dist")
    into = parser.parse_args().into.resolve()
    into.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    files = package(into)
    (into / "SHA256SUMS").write_text(sums(files))
    for file in (*files, into / "SHA256SUMS"):
        file.chmod(file.stat().st_mode | FOR_ALL)
    for file in files:
        print(f"{file.stat().st_size / 1e6:8.2f} MB  {file.name}")
    print(f"{into}: {len(files)} files and SHA256SUMS in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
