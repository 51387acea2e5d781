"""Installing the service with launchd: what is decided and said; service/ has the steps."""

import argparse
import os
import pwd
from collections.abc import Mapping
from typing import Final

from openclawd.cli.failure import Failure
from openclawd.cli.install_program import Facts, Note, installation_for, placed
from openclawd.cli.install_rivals import refuse_another_gateway, refuse_taken_port
from openclawd.cli.install_steps import (
    NOT_PASSED_ON,
    as_before,
    consent,
    dashboard,
    dry_run,
    port_of,
    state_words,
)
from openclawd.cli.launchd_start import serving_after
from openclawd.cli.output import shown
from openclawd.cli.service import Chosen, about, refuse_as_usage
from openclawd.config.paths import resolve_paths
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.lock import running_pid
from openclawd.service import account
from openclawd.service.asked_before import asked_of_list
from openclawd.service.install import PLACES
from openclawd.service.launchd_job import LaunchdJob
from openclawd.service.plist import JobSpec, agent_log, daemon_log
from openclawd.service.program import home_of, running_program

_INSTEAD: Final = "What it was edited for may have a place in the config (openclawd config); then: "


def install(
    arguments: argparse.Namespace,
    asked: Chosen,
    job: LaunchdJob,
    facts: Facts,
    note: Note,
) -> int:
    """Do what is missing. Raises Failure, LaunchctlRefused, OSError."""
    as_before(arguments, asked_of_list(job.file))
    program = running_program()
    installation = installation_for(arguments, asked, program)
    user = _user(arguments, asked) if asked.system else None
    environ = _environ(asked, user)
    words = (str(installation.guard),) if installation is not None else program.words
    log = daemon_log(job.label) if asked.system else agent_log(home_of(asked.environ), job.label)
    spec = JobSpec(
        program=(*words, "gateway", *_flags(arguments)),
        log_file=str(log),
        label=job.label,
        environment=_environment(asked),
        user=user,
        guarded=installation is not None,
    )
    wanted = job.wanted(spec)
    facts["property list"] = f"{shown(job.file)} ({state_words(wanted)})"
    job.require_domain()
    known = job.job()
    if known is None or known.pid is None or known.pid != running_pid(resolve_paths(environ).lock_file):
        refuse_another_gateway(environ)
    if known is None:
        refuse_taken_port(environ, port_of(arguments))
    if arguments.dry_run:
        return dry_run(arguments, installation, wanted, facts)
    consent(arguments, wanted, _INSTEAD)
    if installation is not None:
        placed(installation, asked, facts, note)
    else:
        facts["program"] = shown(program.words[0])
    done = serving_after(lambda: job.install(spec), job, environ)
    said = {"unchanged": "runs as it did", "started": "started"}
    facts["service"] = f"{job.target}: {said.get(done, 'restarted with the new list')}"
    facts["log"] = about(asked, "openclawd logs -f")
    facts["chat"] = dashboard(asked, facts)
    for name in NOT_PASSED_ON:
        if asked.environ.get(name):
            set_it = f'openclawd config set env.{name} "${name}"'
            note(
                f"{name} is set in this terminal; the service does not see it. The config has a place:",
                f"{about(asked, set_it)} && {about(asked, 'openclawd gateway restart')}",
            )
    return ExitCode.OK


def _user(arguments: argparse.Namespace, asked: Chosen) -> str:
    """Whom a job of the machine runs as: macOS has no user for it, so a person's own."""
    name = arguments.run_as or asked.around.behind_sudo
    if name is None:
        raise Failure(
            "A job of the machine runs as a person: who?",
            cure="sudo openclawd gateway install --system --as USER",
        )
    if not account.exists(name):
        raise refuse_as_usage(f"--as: there is no user {name}.", "Whom there is: dscl . -list /Users")
    return str(name)


def _environ(asked: Chosen, user: str | None) -> Mapping[str, str]:
    """In which the gateway of the job is found."""
    if user is None:
        return asked.environ
    kept = {name: text for name, text in asked.environ.items() if name not in PLACES}
    return {**kept, "OPENCLAW_HOME": pwd.getpwnam(user).pw_dir}


def _flags(arguments: argparse.Namespace) -> list[str]:
    port = port_of(arguments)
    flags = ["--port", str(port)] if port is not None else []
    for name in ("token_file", "password_file"):
        if (file := getattr(arguments, name, None)) is not None:
            flags += [f"--{name.replace('_', '-')}", os.path.abspath(file)]  # noqa: PTH100  links stay links
    return flags


def _environment(asked: Chosen) -> dict[str, str]:
    named = () if asked.system else PLACES
    places = {name: asked.environ[name] for name in named if asked.environ.get(name)}
    return places if asked.profile is None else {**places, "OPENCLAW_PROFILE": asked.profile}
