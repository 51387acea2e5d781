"""Installing the service with systemd: what is decided and said; service/ has the steps."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from openclawd.cli.consent import confirmed
from openclawd.cli.failure import Failure
from openclawd.cli.install_program import Facts, Note, installation_for, placed
from openclawd.cli.output import shown
from openclawd.cli.service import Chosen, as_typed, not_started, refuse_as_usage
from openclawd.daemon.exit_codes import ExitCode
from openclawd.service import account, surroundings
from openclawd.service.install import (
    credentials,
    is_readable_by_service,
    make_environment_file,
    places,
    written_for_systemd,
)
from openclawd.service.program import Program, home_of, running_program
from openclawd.service.systemctl import SystemctlRefused
from openclawd.service.systemd_service import Done, SystemdService
from openclawd.service.tool import ask
from openclawd.service.unit import OWN_USER, PACKAGED_FOR, ServiceSpec, literal, service_text
from openclawd.service.unit_file import UnitFile
from openclawd.slots.layout import Installation

_INSTALL: Final = "openclawd gateway install"
_SYSTEM_CONFIG: Final = Path("/etc")
# Keys and secrets that a terminal may have and a service then lacks.
_NOT_PASSED_ON: Final = (
    "OPENCLAW_GATEWAY_TOKEN",
    "OPENCLAW_GATEWAY_PASSWORD",
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
)


def install(
    arguments: argparse.Namespace, asked: Chosen, service: SystemdService, facts: Facts, note: Note
) -> int:
    """Do what is missing. Raises Failure, SystemctlRefused, OSError."""
    packaged = service.packaged()
    program = running_program()
    installation = installation_for(arguments, asked, program)
    if packaged is not None and installation is None:
        wanted = None
        facts["unit"] = f"{packaged} (the package's)"
    else:
        known = service.systemctl.version() or PACKAGED_FOR
        spec = attrs.evolve(_spec(arguments, asked, program, installation), systemd=known)
        wanted = UnitFile(service.file, service_text(spec))
        facts["unit"] = f"{shown(service.file)} ({_state(wanted)})"
    _refuse_another_gateway(asked)
    if arguments.dry_run:
        return _dry_run(arguments, installation, wanted, facts)
    _consent(arguments, wanted)
    if installation is not None:
        placed(installation, asked, facts, note)
    else:
        facts["program"] = shown(program.words[0])
    if asked.system and wanted is not None and arguments.run_as is None:
        facts["user"] = f"{OWN_USER}{' (new)' if _own_user() else ''}"
    if wanted is not None:
        _environment(asked, service, facts, note)
    facts["service"] = _started(service, wanted)
    facts["log"] = service.journal
    if not asked.system:
        _linger(arguments, asked.around, facts, note)
    return ExitCode.OK


# --- what is wanted


def _spec(
    arguments: argparse.Namespace,
    asked: Chosen,
    program: Program,
    installation: Installation | None,
) -> ServiceSpec:
    home = home_of(asked.environ)
    system = asked.system
    words = program.words if installation is None else (str(installation.guard),)
    if arguments.run_as is not None and not account.exists(arguments.run_as):
        raise refuse_as_usage(f"--as: there is no user {arguments.run_as}.", "Whom there is: getent passwd")
    spec = ServiceSpec(
        program=tuple(written_for_systemd(Path(words[0]), home, system=system) for _ in words[:1])
        + tuple(literal(word) for word in words[1:]),
        system=system,
        user=arguments.run_as or OWN_USER,
        profile=asked.profile,
        guarded=installation is not None,
        flags=("--port", str(_port(arguments.port))) if arguments.port is not None else (),
        environment=() if system else places(asked.environ),
        credentials=credentials(_secret_files(arguments)),
    )
    if not is_readable_by_service(spec):
        raise Failure(
            f"The service's own user could not read {words[0]}: it lies where a person's files are.",
            cure=f"As that person: sudo {_INSTALL} --system --as {asked.around.behind_sudo or 'USER'}",
        )
    return spec


def _secret_files(arguments: argparse.Namespace) -> Mapping[str, str | None]:
    return {secret: getattr(arguments, f"{secret}_file", None) for secret in ("token", "password")}


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise refuse_as_usage(
            f"--port is {text!r}, expected an integer from 1 to 65535.", f"See: {as_typed()} --help"
        )
    return int(text)


def _refuse_another_gateway(asked: Chosen) -> None:
    """What somebody has started by hand holds the state: the service could only fail."""
    from openclawd.cli.service_unit import unit_of
    from openclawd.config.paths import resolve_paths
    from openclawd.daemon.lock import running_pid

    state = resolve_paths(asked.environ)
    pid = running_pid(state.lock_file)
    if pid is not None and unit_of(pid) is None and os.getpid() != pid:
        raise Failure(
            f"Process {pid} already runs the gateway for {shown(state.state_dir)}, outside of any service.",
            cure="End it first: openclawd gateway stop",
        )


# --- before anything changes


def _state(wanted: UnitFile) -> str:
    return {"absent": "new", "same": "as it was", "ours": "updated", "yours": "was edited"}[wanted.state()]


def _dry_run(
    arguments: argparse.Namespace, installation: Installation | None, wanted: UnitFile | None, facts: Facts
) -> int:
    facts["would change"] = "nothing" if wanted is None or wanted.state() == "same" else "the unit"
    if installation is not None:
        facts["program"] = shown(installation.root)
    if wanted is not None and arguments.json:
        facts["diff"] = wanted.diff()
    elif wanted is not None:
        print(wanted.diff(), end="")
    return ExitCode.OK


def _consent(arguments: argparse.Namespace, wanted: UnitFile | None) -> None:
    """A unit in which somebody else has written is theirs: they see what would be lost, and say yes."""
    if wanted is None or wanted.state() != "yours":
        return
    print(wanted.diff(), end="", file=sys.stderr)
    if arguments.yes:
        return
    agreed = confirmed(f"{shown(wanted.path)} was edited. Replace it as shown?", default=False)
    if not agreed:
        raise Failure(
            f"{shown(wanted.path)} was edited, and stays as it is.",
            cure=f"What is yours goes into a file beside it (systemctl edit); then: {as_typed()} --yes",
        )


# --- the steps


def _own_user() -> bool:
    try:
        return account.make_own()
    except account.NoAccount as error:
        raise Failure(str(error), cure=error.cure) from error


def _environment(asked: Chosen, service: SystemdService, facts: Facts, note: Note) -> None:
    from openclawd.cli.service import config_home

    folder = _SYSTEM_CONFIG if asked.system else config_home(asked.environ)
    suffix = "" if asked.profile is None else f"-{asked.profile}"
    file = folder / "openclawd" / f"environment{suffix}"
    make_environment_file(file, service.unit, f"{service.systemctl.command} restart {service.name}")
    facts["keys"] = shown(file)
    text = file.read_text(errors="replace")
    for name in _NOT_PASSED_ON:
        if asked.environ.get(name) and f"{name}=" not in text.replace("# ", "#").replace(f"#{name}=", ""):
            note(
                f"{name} is set in this terminal; the service does not see it.",
                f"printf '{name}=%s\\n' \"${name}\" >> {shown(file)} && {service.systemctl.command} restart"
                f" {service.name}",
            )


def _started(service: SystemdService, wanted: UnitFile | None) -> str:
    try:
        done: Done = service.install(wanted)
    except SystemctlRefused as refused:
        raise not_started(service, refused) from refused
    pid = service.facts().get("MainPID")
    serving = service.systemctl.show(service.unit, "StatusText").get("StatusText", "")
    words = {"started": "started", "restarted": "restarted with the new unit", "unchanged": "runs as it did"}
    return f"{words[done]}, process {pid}{f', {serving}' if serving else ''}"


def _linger(
    arguments: argparse.Namespace, around: surroundings.Surroundings, facts: Facts, note: Note
) -> None:
    advice = surroundings.lasting(around)
    if advice is None or arguments.linger is False:
        return
    wants = arguments.linger
    if wants is None and not arguments.json:
        wants = confirmed(f"{advice.text} Keep it running?", default=True)
    if not wants:
        note(advice.text, advice.command)
        return
    told = ask(advice.command.split())
    if told.code == 0:
        facts["lingering"] = "on: it runs from the boot on, whoever is logged in"
    else:
        note(f"Lingering could not be switched on: {told.said}.", f"sudo {advice.command}")
