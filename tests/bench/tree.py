"""The sources that are measured: this folder, or a commit checked out beside it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]
_GIT_TIMEOUT_S: Final = 60


class CannotCompare(Exception):
    """The commit cannot be had, or cannot run here; the message says why."""


@attrs.frozen
class Tree:
    """A folder that holds the package, and what the report calls it."""

    folder: Path
    name: str

    def prepare(self) -> None:
        """Compile it, so that no start pays for that. Raises CannotCompare when another one would run."""
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", self.folder / "openclawd"],
            check=False,
            timeout=_GIT_TIMEOUT_S,
        )
        asked = subprocess.run(
            [sys.executable, "-P", "-c", "import openclawd; print(openclawd.__file__)"],
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_TIMEOUT_S,
        )
        found = asked.stdout.strip()
        if not found or not Path(found).is_relative_to(self.folder):
            raise CannotCompare(f"{self.name} does not import: {asked.stderr.strip() or found}")


def working_tree() -> Tree:
    """This folder as it is, with the commit it is based on; without git, just this folder."""
    commit = _git("rev-parse", "--short", "HEAD")
    if commit is None:
        return Tree(ROOT, "this folder")
    changed = _git("status", "--porcelain", "--", "openclawd")
    return Tree(ROOT, f"{commit} with changes" if changed else commit)


@contextmanager
def checked_out(commit: str) -> Generator[Tree, None, None]:
    """`commit` in a temporary worktree. Raises CannotCompare."""
    name = _git("rev-parse", "--short", "--verify", "--quiet", f"{commit}^{{commit}}")
    if name is None:
        raise CannotCompare(f"{commit} is no commit of this repository")
    with tempfile.TemporaryDirectory(prefix="openclawd-bench-") as folder:
        place = Path(folder) / "tree"
        if _git("worktree", "add", "--detach", str(place), name) is None:
            raise CannotCompare(f"git could not check {name} out")
        try:
            yield Tree(place, name)
        finally:
            _git("worktree", "remove", "--force", str(place))


def _git(*arguments: str) -> str | None:
    try:
        asked = subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_TIMEOUT_S,
        )
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
