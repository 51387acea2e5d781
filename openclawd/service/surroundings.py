"""Where this machine stands: what starts services here, for whom, and what to do where nothing does.

Only files are looked at, so that it can be told where no manager answers: sd_booted(3) for systemd, what
containers leave behind, the kernel's name under WSL, logind's folders for a user's manager and lingering.
"""

import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import attrs

from openclawd.service.systemctl import runtime_folder

Manager = Literal["systemd", "launchd", "none"]

# Hyper-V's own words in the kernel's release: `5.15.167.4-microsoft-standard-WSL2`.
_WSL: Final = ("microsoft", "wsl")
_INSTALL: Final = "openclawd gateway install"


@attrs.frozen
class Advice:
    """A sentence, and the command that helps."""

    text: str
    command: str


@attrs.frozen
class Surroundings:
    """What was found."""

    manager: Manager
    init: str
    """The name of process 1."""

    wsl: bool
    container: str | None
    """docker, podman, lxc, ...; None outside of one."""

    user: str
    uid: int
    behind_sudo: str | None
    """Who called sudo, where somebody did."""

    user_manager: bool
    """Whether this user has a manager of services that can be reached."""

    lingers: bool
    """Whether that one starts at the boot, and stays when nobody is logged in (loginctl(1))."""


def look(environ: Mapping[str, str], root: Path = Path("/")) -> Surroundings:
    """At the files of a machine; those below `root` for another one's."""
    uid = os.geteuid()
    user = _name(uid)
    caller = environ.get("SUDO_USER", "")
    runtime = runtime_folder(environ, root)
    return Surroundings(
        manager=_manager(root),
        init=_text(root / "proc/1/comm").strip() or "unknown",
        wsl=any(word in _text(root / "proc/sys/kernel/osrelease").lower() for word in _WSL),
        container=_container(root, environ),
        user=user,
        uid=uid,
        behind_sudo=caller if uid == 0 and caller not in {"", "root"} else None,
        user_manager=_exists(root / str(runtime).lstrip("/") / "systemd" / "private"),
        lingers=_exists(root / "var/lib/systemd/linger" / user),
    )


def obstacle(found: Surroundings, *, system: bool) -> Advice | None:
    """Why a service cannot be installed here, and what to do; None when it can."""
    if found.manager == "none":
        return _no_manager(found)
    if found.manager == "launchd":
        return None if system or found.uid else _of_nobody_at_the_screen(found)
    if system:
        return (
            None
            if found.uid == 0
            else Advice("A service of the system is root's to install.", f"sudo {_INSTALL} --system")
        )
    if found.behind_sudo is not None:
        return Advice(
            "Under sudo this would be a service of root, with root's own conversations."
            f" For {found.behind_sudo}: without sudo. For the machine, as a user of its own: with --system.",
            f"sudo {_INSTALL} --system",
        )
    if found.user_manager:
        return None
    if found.uid == 0:
        return Advice("There is no service manager of root's own here.", f"{_INSTALL} --system")
    if found.lingers:
        return Advice(
            f"{found.user}'s service manager does not run, although it should since the boot.",
            f"sudo systemctl start user@{found.uid}.service",
        )
    return Advice(
        f"No service manager runs for {found.user}: it comes with a log-in of its own (su and sudo -u are"
        f" none), or with the boot once lingering is on. After that: {_INSTALL}",
        f"sudo loginctl enable-linger {found.user}",
    )


def _of_nobody_at_the_screen(found: Surroundings) -> Advice:
    """root, whose job launchd would never start."""
    whom = found.behind_sudo
    without = f" For {whom} while they are logged in at the screen: without sudo." if whom is not None else ""
    named = "" if whom is not None else " --as USER"
    return Advice(
        f"As root this would be a job of root, who never logs in at the screen.{without} From the boot on,"
        f" as {whom or 'a person'}: with --system.",
        f"{'sudo ' if whom is not None else ''}{_INSTALL} --system{named}",
    )


def lasting(found: Surroundings) -> Advice | None:
    """What a user's service still needs so that it is there after a log-out and after a boot."""
    if found.manager != "systemd" or found.lingers:
        return None
    if found.wsl:
        return Advice(
            "Windows may end what runs here when the last terminal is closed, this user's services as well.",
            f"loginctl enable-linger {found.user}",
        )
    return Advice(
        "It ends when you log out, and is not there after a boot before you log in.",
        f"loginctl enable-linger {found.user}",
    )


def _no_manager(found: Surroundings) -> Advice:
    if found.wsl and found.container is None:
        return Advice(
            "WSL runs without systemd here. Switch it on, run `wsl.exe --shutdown`, open a new terminal, and"
            " install again.",
            r"printf '[boot]\nsystemd=true\n' | sudo tee -a /etc/wsl.conf",
        )
    if found.container is not None:
        return Advice(
            f"This is a container ({found.container}), and process 1 ({found.init}) starts no services: what"
            " runs the container keeps it alive. Let its command be the gateway, with its state on a volume,"
            " and have a token made there once, without which nobody outside is served.",
            "openclawd gateway token rotate && openclawd gateway --bind lan",
        )
    return Advice(
        f"Neither systemd nor launchd runs here (process 1 is {found.init}). What starts services here can"
        " start the gateway: it stays in the foreground, stops on SIGTERM, and is not to be started again"
        " after exit code 78.",
        "openclawd gateway",
    )


def _manager(root: Path) -> Manager:
    if sys.platform == "darwin" and root == Path("/"):
        return "launchd"
    return "systemd" if (root / "run/systemd/system").is_dir() else "none"


def _container(root: Path, environ: Mapping[str, str]) -> str | None:
    if said := _text(root / "run/systemd/container").strip() or environ.get("container", ""):
        # WSL says so of itself; it is no container in any other respect.
        return None if said == "wsl" else said
    if (root / "run/.containerenv").exists():
        return "podman"
    return "docker" if (root / ".dockerenv").exists() else None


def _exists(path: Path) -> bool:
    """Also where nobody may look."""
    try:
        return path.exists()
    except OSError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
