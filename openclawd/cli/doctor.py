"""`openclawd doctor`: why somebody does not get in.

It goes the way of a browser and the way of a command, up to the gateway's decision, and says of each step
what happened. Nothing is left behind, and no try is used up: before it presents a secret to this machine's
own gateway it has asked over the local socket whether that is the right one, and what was refused once is not
presented again.
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from openclawd.cli.arguments import Commands, add_connection, add_json, warn_of_visible_secrets
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.cli.finding import Finding
    from openclawd.config.secret import Secret


def add_commands(families: Commands) -> None:
    doctor = families.add_parser(
        "doctor",
        help="why somebody does not get in, and what mends it; exit code 0 when all is well",
        description="Go a browser's way and a command's way to the gateway, step by step."
        " --url takes what stands in the browser.",
    )
    add_connection(doctor)
    add_json(doctor)
    doctor.set_defaults(handler=_doctor)


def _doctor(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.finding import Verdict, print_findings

    warn_of_visible_secrets(arguments)
    findings = list(_findings(arguments, environ))
    worst = sum(each.verdict is Verdict.FAILED for each in findings)
    if arguments.json:
        print_json({"ok": not worst, "findings": [each.document() for each in findings]})
    else:
        print_findings(findings)
        print()
        print("All is well." if not worst else f"{worst} thing{'s' * (worst > 1)} to mend.")
    return ExitCode.UNEXPECTED if worst else ExitCode.OK


def _findings(arguments: argparse.Namespace, environ: Mapping[str, str]) -> "Iterator[Finding]":
    from openclawd.cli.own_gateway import OwnGateway
    from openclawd.cli.place import place_of
    from openclawd.cli.visit import Visit

    own = OwnGateway(arguments, environ)
    secrets: dict[str, Secret] = {}
    if arguments.url:
        secrets, pinned = own.given()
        yield from Visit(arguments, environ, own, place_of(arguments.url), pinned).findings(secrets)
        return
    yield from own.findings()
    if own.place is not None:
        for finding, usable in own.secret():
            yield finding
            secrets = usable
        yield from Visit(arguments, environ, own, own.place, own.fingerprint()).findings(secrets)
    yield from own.notes()
