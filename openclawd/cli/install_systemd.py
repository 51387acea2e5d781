"""Installing the service with systemd: what is decided and said; service/ has the steps."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from openclawd.cli.consent import confirmed
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
from openclawd.cli.output import shown
from openclawd.cli.service import Chosen, not_started, refuse_as_usage
from openclawd.daemon.exit_codes import ExitCode
from openclawd.service import account, surroundings
from openclawd.service.asked_before import asked_of_unit
from openclawd.service.install import (
    credentials,
    environment_file,
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
_INSTEAD: Final = "What is yours goes into a file beside it (systemctl edit); then: "


def install(
    arguments: argparse.Namespace, asked: Chosen, service: SystemdService, facts: Facts, note: Note
) -> int:
    """Do what is missing. Raises Failure, SystemctlRefused, OSError."""
    as_before(arguments, asked_of_unit(service.file))
    packaged = service.packaged()
    program = running_program()
    installation = installation_for(arguments, asked, program)
    if packaged is not None and installation is not None:
        raise Failure(
            f"openclawd is installed here as a package, whose service has the same name: {packaged}",
            cure=f"Start that one: {service.systemctl.command} enable --now {service.name}\n"
            "Or have this one in its place, after: sudo apt remove openclawd",
        )
    if packaged is not None:
        wanted = None
        facts["unit"] = f"{packaged} (the package's)"
    else:
        known = service.systemctl.version() or PACKAGED_FOR
        spec = attrs.evolve(_spec(arguments, asked, program, installation), systemd=known)
        wanted = UnitFile(service.file, service_text(spec))
        facts["unit"] = f"{shown(service.file)} ({state_words(wanted)})"
    refuse_another_gateway(asked.environ)
    if service.is_stopped:
        refuse_taken_port(asked.environ, port_of(arguments))
    if arguments.dry_run:
        return dry_run(arguments, installation, wanted, facts)
    if wanted is not None:
        consent(arguments, wanted, _INSTEAD)
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
    facts["chat"] = dashboard(asked, facts)
    if not asked.system:
        _linger(arguments, asked.around, facts, note)
        if asked.around.uid == 0:
            note(
                "This gateway is root's own, and may do all that root may. The machine's has a user that may"
                " do nothing else:",
                f"{_INSTALL.replace('install', 'uninstall')} && {_INSTALL} --system",
            )
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
        program=(written_for_systemd(Path(words[0]), home, system=system), *map(literal, words[1:])),
        system=system,
        user=arguments.run_as or OWN_USER,
        profile=asked.profile,
        guarded=installation is not None,
        flags=("--port", str(port)) if (port := port_of(arguments)) is not None else (),
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


# --- the steps


def _own_user() -> bool:
    try:
        return account.make_own()
    except account.NoAccount as error:
        raise Failure(str(error), cure=error.cure) from error


def _environment(asked: Chosen, service: SystemdService, facts: Facts, note: Note) -> None:
    file = environment_file(asked.environ, asked.profile, system=asked.system)
    make_environment_file(file, service.unit, f"{service.systemctl.command} restart {service.name}")
    facts["keys"] = shown(file)
    text = file.read_text(errors="replace")
    for name in NOT_PASSED_ON:
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
