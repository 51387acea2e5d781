"""An installation whose versions are two lines of shell that write down that they ran."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from openclawd.slots.guard import guard_text, install_guard
from openclawd.slots.layout import Installation
from openclawd.slots.trial import Trial

OLD, NEW = "0.6.0", "0.7.0"
TOOLS = ("cat", "date", "grep", "ln", "mv", "readlink", "rm")


def installation(root: Path, current: str = OLD, *versions: str) -> Installation:
    """OLD and NEW (or `versions`), the guard, and a folder for updates."""
    found = Installation(root)
    for version in versions or (OLD, NEW):
        add_version(found, version)
    found.swap(current)
    found.update.mkdir()
    install_guard(found, guard_text())
    return found


def add_version(found: Installation, version: str) -> None:
    found.slot(version).mkdir(parents=True)
    program = found.program(version)
    program.write_text(f'#!/bin/sh\necho "{version} $*" >>{found.root}/ran\necho {version}\n')
    program.chmod(0o755)


def trial(starts: int = 0, **more: str) -> Trial:
    return Trial(OLD, NEW, starts, began_s=1_700_000_000, window_s=30, others=more)


def shells() -> list[list[str]]:
    """Every shell of this machine that a guard may meet."""
    found = [[path] for name in ("dash", "bash", "zsh", "ksh") if (path := shutil.which(name))]
    if busybox := shutil.which("busybox"):
        found.append([busybox, "ash"])
    posix = [[*each, "--posix"] for each in found if each[0].endswith("bash")]
    return found + posix or [["/bin/sh"]]


def guard(
    found: Installation,
    *words: str,
    shell: list[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run it as a supervisor would; stdout is the version that was started."""
    return subprocess.run(
        [*(shell or ["/bin/sh"]), str(found.guard), *(words or ("gateway",))],
        env={"PATH": "", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        start_new_session=True,
    )


def ran(found: Installation) -> list[str]:
    """What the versions were started with, so far."""
    file = found.root / "ran"
    return file.read_text().splitlines() if file.exists() else []


def deadly_tools(folder: Path, at: int, *, after: bool) -> dict[str, str]:
    """An environment in which the power goes off at the `at`th call of a tool (from 1), before or `after` it
    has done its work. The whole process group dies.
    """
    folder.mkdir()
    count = folder / "count"
    for name in TOOLS:
        real = shutil.which(name)
        assert real is not None
        tool = folder / name
        die = f"[ $((n + 1)) = {at} ] && kill -9 0"
        lines = [
            "#!/bin/sh",
            f"n=0; [ -f {count} ] && read -r n <{count}",
            f"echo $((n + 1)) >{count}",
            *([] if after else [die]),
            f'{real} "$@"',
            "code=$?",
            *([die] if after else []),
            "exit $code",
        ]
        tool.write_text("\n".join(lines) + "\n")
        tool.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}
