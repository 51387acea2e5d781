"""Installing the service with launchd: what is decided and said; service/ has the steps."""

import argparse
import os
import sys

from openclawd.cli.consent import confirmed
from openclawd.cli.failure import Failure
from openclawd.cli.install_program import Facts, Note, installation_for, placed
from openclawd.cli.output import shown
from openclawd.cli.service import Chosen, as_typed
from openclawd.daemon.exit_codes import ExitCode
from openclawd.service.install import PLACES
from openclawd.service.launchd_job import LaunchdJob
from openclawd.service.plist import JobSpec, agent_log, daemon_log
from openclawd.service.program import home_of, running_program


def install(
    arguments: argparse.Namespace,
    asked: Chosen,
    job: LaunchdJob,
    facts: Facts,
    note: Note,
) -> int:
    """Do what is missing. Raises Failure, LaunchctlRefused, OSError."""
    home = home_of(asked.environ)
    user = _user(arguments, asked) if asked.system else None
    program = running_program()
    installation = installation_for(arguments, asked, program)
    words = (str(installation.guard),) if installation is not None else program.words
    spec = JobSpec(
        program=(*words, "gateway", *_flags(arguments)),
        log_file=str(daemon_log(job.label) if asked.system else agent_log(home, job.label)),
        label=job.label,
        environment=_environment(asked),
        user=user,
    )
    if arguments.dry_run:
        facts["job"] = job.target
        facts["program"] = spec.program[0]
        facts["property list"] = str(job.file)
        return ExitCode.OK
    _consent(arguments, job)
    if installation is not None:
        placed(installation, asked, facts, note)
    facts["property list"] = shown(job.file)
    done = job.install(spec)
    words_for = {"unchanged": "runs as it did", "started": "started"}
    facts["service"] = f"{words_for.get(done, 'restarted with the new list')}: {job.target}"
    facts["log"] = "openclawd logs -f"
    return ExitCode.OK


def _user(arguments: argparse.Namespace, asked: Chosen) -> str:
    """Whom a job of the machine runs as: macOS has no user for it, so a person's own."""
    name = arguments.run_as or asked.around.behind_sudo
    if name is None:
        raise Failure(
            "A job of the machine runs as a person: who?",
            cure="sudo openclawd gateway install --system --as USER",
        )
    return str(name)


def _flags(arguments: argparse.Namespace) -> list[str]:
    flags = ["--port", str(arguments.port)] if arguments.port is not None else []
    for name in ("token_file", "password_file"):
        if (file := getattr(arguments, name, None)) is not None:
            flags += [f"--{name.replace('_', '-')}", os.path.abspath(file)]  # noqa: PTH100  links stay links
    return flags


def _environment(asked: Chosen) -> dict[str, str]:
    named = () if asked.system else PLACES
    places = {name: asked.environ[name] for name in named if asked.environ.get(name)}
    return places if asked.profile is None else {**places, "OPENCLAW_PROFILE": asked.profile}


def _consent(arguments: argparse.Namespace, job: LaunchdJob) -> None:
    """A list that does not say where it comes from may be somebody's own."""
    written = job.written()
    if written is None or "openclawd as a job of launchd" in written or arguments.yes:
        return
    print(written, file=sys.stderr)
    if not confirmed(f"{shown(job.file)} was written by somebody else. Replace it?", default=False):
        raise Failure(
            f"{shown(job.file)} was written by somebody else, and stays as it is.",
            cure=f"To replace it: {as_typed()} --yes",
        )
