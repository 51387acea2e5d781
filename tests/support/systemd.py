"""A real systemd in namespaces of its own, with the manager of one user, and a script that talks to it.

The system that it runs is the host's /usr and nothing else (boot_systemd.sh); its one user is root, and what
that user's home holds goes away with it. It boots in about a second. Needs root with CAP_SYS_ADMIN, and a
mount of cgroup2 to make a group in (cgroups(7), unshare(1)).
"""

import contextlib
import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

# A boot takes a second; what a script waits for is its own business, within this.
PATIENCE_S = 120.0

_BOOT = Path(__file__).with_name("boot_systemd.sh")
_NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup", "--net")
_ENVIRONMENT = "Environment=HOME=/root XDG_RUNTIME_DIR=/run/user/0"

_UNITS = {
    "boot.target": "[Unit]\nRequires=script.service\n",
    # user@.service without logind and PAM.
    "user.service": f"""
        [Unit]
        DefaultDependencies=no
        [Service]
        Type=notify
        {_ENVIRONMENT}
        ExecStartPre=/bin/mkdir -p -m 0700 /run/user/0
        ExecStart=/usr/lib/systemd/systemd --user
        Delegate=yes
        KillMode=mixed
        """,
    # In a container `exit` ends process 1, and everything with it.
    "script.service": f"""
        [Unit]
        DefaultDependencies=no
        Wants=systemd-journald.service
        Requires=user.service
        After=user.service systemd-journald.service
        SuccessAction=exit-force
        FailureAction=exit-force
        [Service]
        Type=oneshot
        {_ENVIRONMENT}
        ExecStart=/bin/bash -eu /share/script
        StandardOutput=file:/share/output
        StandardError=inherit
        """,
}


@functools.cache
def why_not() -> str | None:
    """Why this machine cannot run one; None when it can."""
    if os.uname().sysname != "Linux":
        return "systemd is for Linux"
    if not Path("/usr/lib/systemd/systemd").exists():
        return "there is no systemd here (Debian: sudo apt-get install systemd)"
    if os.geteuid() != 0:
        return "only root may make the namespaces"
    try:
        said = run_under_systemd("echo alive")
    except (OSError, subprocess.SubprocessError, AssertionError) as error:
        return f"systemd does not boot in namespaces here: {error}"
    return None if said == "alive\n" else f"systemd does not boot in namespaces here: {said}"


def run_under_systemd(
    script: str, shown: Sequence[Path] = (), patience_s: float = PATIENCE_S, kept: Path | None = None
) -> str:
    """Boot, run `script` with bash -eu as root, who has a `systemctl --user` that answers; what it printed.

    It sees `shown` under their own paths, read-only, and what `kept` holds as /share/kept, which is there
    again in the next machine that is given it. What lies in its folder `disk` then is on that one's disk
    before systemd begins, and it boots as far as a server does (multi-user.target). Raises AssertionError
    when the boot fails, and subprocess.TimeoutExpired.
    """
    with tempfile.TemporaryDirectory(prefix="openclawd-systemd-") as name, _cgroup() as group:
        folder = Path(name)
        (folder / "share").mkdir()
        (folder / "share" / "script").write_text(script)
        inside = folder / "share" / "kept"
        inside.mkdir()
        if kept is not None:
            _copy(kept, inside)
        (folder / "units").mkdir()
        for unit, text in _UNITS.items():
            lines = (line.strip() for line in text.strip().splitlines())
            (folder / "units" / unit).write_text("\n".join(lines) + "\n")
        # From within the group, so that it is the root of what the namespace sees.
        enter = 'echo $$ > "$0/cgroup.procs"; exec "$@"'
        ended = subprocess.run(
            ["/bin/sh", "-c", enter, group, "unshare", *_NAMESPACES, _BOOT, folder, *shown],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=patience_s,
            check=False,
        )
        if kept is not None:
            _copy(inside, kept)
        output = folder / "share" / "output"
        assert output.exists(), ended.stdout.decode(errors="replace")
        return output.read_text()


def _copy(source: Path, target: Path) -> None:
    """With owners and modes, which Python's own does not keep."""
    subprocess.run(["cp", "-a", f"{source}/.", target], check=True)


@contextlib.contextmanager
def _cgroup() -> Iterator[Path]:
    """A group of the host's cgroup2, which is empty again at the end."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    found = [Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"]
    assert found, "no cgroup2 is mounted"
    own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    here = found[0] / own.removeprefix("0::").strip("/")
    group = Path(tempfile.mkdtemp(prefix="openclawd-", dir=here))
    # The managers of users make groups of their own below it.
    group.chmod(0o755)
    try:
        yield group
    finally:
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
