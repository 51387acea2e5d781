"""The service that runs the gateway of a state directory, of whatever supervisor, if there is one."""

import pwd
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from openclawd.config.paths import Paths, profile_of, resolve_paths
from openclawd.config.problems import ConfigError
from openclawd.daemon.lock import running_pid
from openclawd.service import launchd_standing, systemd_standing
from openclawd.service.control_group import service_around
from openclawd.service.launchctl import Launchctl, LaunchctlRefused
from openclawd.service.launchd_job import agent, daemon, whose
from openclawd.service.plist import label_of
from openclawd.service.program import config_home, home_of
from openclawd.service.standing import Condition, Standing
from openclawd.service.surroundings import Surroundings, look, obstacle
from openclawd.service.systemctl import Systemctl, SystemctlRefused
from openclawd.service.systemd_standing import Journal
from openclawd.service.tool import Ask, ask
from openclawd.service.unit import unit_name


def find_service(
    paths: Paths, environ: Mapping[str, str], pid: int | None, asked: Ask = ask, root: Path = Path("/")
) -> Standing | None:
    """How the service is. `pid` is the gateway that runs for `paths`, if one does.

    What runs decides: whoever has the process. Otherwise the unit of the profile, if its state is this one.
    """
    surroundings = look(environ, root)
    named = profile_of(environ)
    if surroundings.manager == "systemd":
        found = [*_units(unit_name(named), pid, asked, root)]
        if not surroundings.user_manager:
            found += _asleep(f"{unit_name(named)}.service", environ, surroundings, root)
        lingers = surroundings.lingers
        found = [attrs.evolve(each, lingers=lingers) if each.of_user else each for each in found]
    elif surroundings.manager == "launchd":
        found = [*_jobs(label_of(named), environ, asked)]
    else:
        return None
    if pid is not None and (running := next((each for each in found if each.pid == pid), None)) is not None:
        return running
    return next((each for each in found if _is_of(each, paths, environ)), None)


def journal_of(paths: Paths, environ: Mapping[str, str], asked: Ask = ask) -> Journal | None:
    """Where systemd keeps what it and the gateway of these paths say; None where it runs no such gateway."""
    standing = find_service(paths, environ, running_pid(paths.lock_file), asked)
    if standing is None or standing.supervisor != "systemd":
        return None
    return Journal(standing.name, standing.of_user)


def _units(name: str, pid: int | None, asked: Ask, root: Path) -> Iterator[Standing]:
    """Those that it may be, a user's first."""
    own, named = service_around(pid, root / "proc") if pid is not None else None, f"{name}.service"
    for unit in dict.fromkeys(each for each in (own, named) if each is not None):
        for of_user in (True, False):
            with suppress(SystemctlRefused):
                shown = Systemctl(of_user, asked).show(unit, *systemd_standing.PROPERTIES)
                standing = systemd_standing.standing_of(shown, of_user=of_user)
                # A terminal that is a service itself (cron, a desktop's) has a gateway in it, and is none.
                if standing is not None and (unit == named or standing.pid == pid):
                    yield standing


def _asleep(unit: str, environ: Mapping[str, str], around: Surroundings, root: Path) -> Iterator[Standing]:
    """A user's unit whose manager does not run: by its file."""
    file = config_home(environ) / "systemd/user" / unit
    advice = obstacle(around, system=False)
    if advice is None or not (root / str(file).lstrip("/")).is_file():
        return
    wanted = file.parent / "default.target.wants" / unit
    yield Standing(
        supervisor="systemd",
        name=unit,
        of_user=True,
        condition=Condition.STOPPED,
        enabled=(root / str(wanted).lstrip("/")).is_symlink(),
        file=file,
        lingers=around.lingers,
        wakes=advice.command,
    )


def _jobs(label: str, environ: Mapping[str, str], asked: Ask) -> Iterator[Standing]:
    home = home_of(environ)
    uid = whose(home)
    for installed in (
        agent(home, label, uid, Launchctl(f"gui/{uid}", asked)),
        daemon(label, Launchctl("system", asked)),
    ):
        try:
            job = installed.job()
        except LaunchctlRefused:
            job = None
        standing = launchd_standing.standing_of(installed, job)
        if standing is not None:
            yield standing


def _is_of(standing: Standing, paths: Paths, environ: Mapping[str, str]) -> bool:
    """Whether the gateway that it would start is the one of these paths, or the only one that is here."""
    kept = {name: environ[name] for name in ("OPENCLAW_PROFILE",) if name in environ}
    home = _home_of(standing.user) if standing.user is not None else environ.get("HOME")
    state_dir = standing.state_dir
    if state_dir is None and home is not None:
        with suppress(ConfigError):
            state_dir = resolve_paths({**kept, "HOME": home}).state_dir
    if state_dir == paths.state_dir:
        return True
    # Who has no gateway of their own, and did not say which they mean, means the machine's.
    named = any(environ.get(name) for name in ("OPENCLAW_STATE_DIR", "OPENCLAW_HOME"))
    return not standing.of_user and not named and not _exists(paths.own_dir)


def _home_of(user: str) -> str | None:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return None


def _exists(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:
        return True  # which this user may not look at
