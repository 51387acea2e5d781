"""Which service a command means, and the words for what systemd or launchd says against it."""

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import attrs

from openclawd.cli.failure import Failure, look_at, reason_of
from openclawd.config.paths import profile_of
from openclawd.daemon.exit_codes import ExitCode
from openclawd.service.addressed import settings_of_system_unit
from openclawd.service.ends import why
from openclawd.service.launchctl import LaunchctlRefused
from openclawd.service.launchd_job import LaunchdJob, agent, daemon, whose
from openclawd.service.plist import agent_file, label_of
from openclawd.service.program import config_home, home_of
from openclawd.service.standing import Condition
from openclawd.service.surroundings import Surroundings, look
from openclawd.service.systemctl import NoManager, Systemctl, SystemctlRefused
from openclawd.service.systemd_service import SystemdService, system_service, user_service

Service: TypeAlias = SystemdService | LaunchdJob


@attrs.frozen(eq=False, repr=False)
class Chosen:
    """The service that a command is about, and the environment in which its gateway is found."""

    service: Service
    system: bool
    profile: str | None
    around: Surroundings
    environ: Mapping[str, str]


def with_profile(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment that `--profile` means. Raises ConfigError for a name that is none."""
    from openclawd.config.paths import resolve_paths

    name = getattr(arguments, "profile", None)
    chosen = environ if name is None else {**environ, "OPENCLAW_PROFILE": name}
    resolve_paths(chosen)
    return chosen


def chosen(
    arguments: argparse.Namespace, environ: Mapping[str, str], *, system: bool | None = None
) -> Chosen:
    """By `--system` (or `system`, which leaves nothing to find out), `--profile` and the machine.

    Raises ConfigError for a profile that is none, and Failure where it is root's and this is not root.
    """
    environ = with_profile(arguments, environ)
    around = look(environ)
    profile = profile_of(environ)
    if system is None:
        system = bool(getattr(arguments, "system", False))
        system = system or (around.uid == 0 and _is_machines(profile, environ))
    if system and around.uid != 0:
        raise Failure("The machine's services are root's to change.", cure=f"sudo {as_typed()}")
    if system:
        environ = {**dict(settings_of_system_unit(profile)), **environ}
    if around.manager == "launchd":
        label = label_of(profile)
        home = home_of(environ)
        job = daemon(label) if system else agent(home, label, whose(home))
        return Chosen(job, system, profile, around, environ)
    service = system_service(profile) if system else user_service(profile, config_home(environ))
    return Chosen(service, system, profile, around, environ)


@contextmanager
def said_plainly() -> Iterator[None]:
    """What systemd, launchd or the disk refuses, as a Failure."""
    try:
        yield
    except (SystemctlRefused, LaunchctlRefused) as refused:
        raise Failure(str(refused), cure=refused.cure) from refused
    except PermissionError as error:
        raise Failure(f"{error.filename}: {reason_of(error)}.", cure=f"As root: sudo {as_typed()}") from error
    except OSError as error:
        if error.filename is None:
            raise
        cure = look_at(Path(error.filename).parent, error)
        raise Failure(f"{error.filename}: {reason_of(error)}.", cure=cure) from error


def is_there(service: Service) -> bool:
    """Whether it is installed; nothing is where nobody answers."""
    try:
        return service.is_installed
    except (NoManager, SystemctlRefused):
        return False


def supervising(asked: Chosen, pid: int | None) -> Service | None:
    """The service that runs process `pid`, or would start one where there is none; None where nobody does."""
    if not isinstance(asked.service, SystemdService):
        job = asked.service.job() if asked.service.is_installed else None
        return asked.service if job is not None and (pid is None or job.pid == pid) else None
    if pid is None:
        found = is_there(asked.service) and not asked.service.is_stopped
        return asked.service if found else None
    from openclawd.cli.service_unit import unit_of

    unit = unit_of(pid)
    if unit is None:
        return None
    name = unit.name.removesuffix(".service")
    return attrs.evolve(asked.service, name=name, systemctl=Systemctl(of_user=unit.of_user))


def as_typed() -> str:
    """This command line as a person typed it."""
    return shlex.join(["openclawd", *sys.argv[1:]])


def about(asked: Chosen, command: str) -> str:
    """`command` for the gateway of this service, as it is typed in this terminal."""
    sudo = "sudo " if asked.system and asked.around.behind_sudo is not None else ""
    profile = "" if asked.profile is None else f"OPENCLAW_PROFILE={asked.profile} "
    return f"{sudo}{profile}{command}"


def refuse_as_usage(text: str, cure: str) -> Failure:
    """For a command line that means nothing."""
    return Failure(text, cure=cure, exit_code=ExitCode.USAGE)


def _is_machines(profile: str | None, environ: Mapping[str, str]) -> bool:
    """Whether root means the machine's service: there is one, and none of root's own."""
    own = (
        user_service(profile, config_home(environ)).file,
        agent_file(home_of(environ), label_of(profile)),
    )
    return not any(each.exists() for each in own) and bool(settings_of_system_unit(profile))


def started(asked: Chosen) -> bool:
    """Have it run; False where it ran already. Raises Failure with the gateway's last words when it does not
    start, and what `said_plainly` reads.
    """
    service = asked.service
    if not isinstance(service, SystemdService):
        from openclawd.cli.launchd_start import serving_after

        return serving_after(service.start, service, asked.environ)
    try:
        return service.start()
    except SystemctlRefused as refused:
        if not is_there(service):
            raise
        raise not_started(service, refused) from refused


def not_started(service: SystemdService, refused: SystemctlRefused) -> Failure:
    """With what the gateway itself has said, which is where the reason is."""
    standing = service.standing()
    if standing is None or standing.condition in (Condition.RUNNING, Condition.RELOADING):
        return Failure(str(refused), cure=refused.cure)
    end, said = service.last_end(standing)
    ended = why(end, standing.supervisor) if end is not None else "it never ran"
    reason = "\n".join(("The last words:", *said)) if said else str(refused)
    again = "" if standing.condition is Condition.FAILED else " systemd goes on trying."
    profile = service.name.removeprefix("openclawd").removeprefix("-")
    named = f" --profile {profile}" if profile else ""
    return Failure(
        f"The gateway did not start ({ended}).{again} {reason}",
        cure=f"When that is put right: openclawd gateway start{named}. All that it said: {service.journal}",
    )
