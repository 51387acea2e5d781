"""Write down what a build is made from: commit.py FILE

A JSON document: `version`; `commit`, the id in git (null where there is none); `changed`, whether the files
that are built are others than the commit's; `epoch`, the second it was made in, and `date`, that one's day
in UTC. SOURCE_DATE_EPOCH goes before git (reproducible-builds.org). A source distribution brings the
document of the commit it was made from.
"""

import argparse
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import openclawd

ROOT = Path(__file__).resolve().parent.parent
# In a source distribution; git does not know it.
BROUGHT = ROOT / "openclawd" / "build.json"
BUILT = ("openclawd", "packaging", "pyproject.toml", "requirements-build.lock", "LICENSE")


def source() -> dict[str, object]:
    """The document."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    return {**_known(), **(_made(int(told)) if told else {}), "version": openclawd.__version__}


def _known() -> dict[str, object]:
    if (head := _git("log", "-1", "--format=%H %ct")) is not None:
        commit, epoch = head.split()
        changed = bool(_git("status", "--porcelain", "--", *BUILT))
        return {"commit": commit, "changed": changed, **_made(int(epoch))}
    if BROUGHT.exists():
        return dict(json.loads(BROUGHT.read_text()))
    return {"commit": None, "changed": False, **_made(int((ROOT / "pyproject.toml").stat().st_mtime))}


def _made(epoch: int) -> dict[str, object]:
    return {"epoch": epoch, "date": f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d}"}


def _git(*words: str) -> str | None:
    """What it says of this folder; None where that is no repository of its own, or where there is no git."""
    if not (ROOT / ".git").exists():
        return None
    try:
        asked = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="packaging/commit.py", description="Write what a build is made from."
    )
    parser.add_argument("file", type=Path)
    parser.parse_args().file.write_text(json.dumps(source()) + "\n")


if __name__ == "__main__":
    main()
