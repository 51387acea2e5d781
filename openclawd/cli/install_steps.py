"""What installing asks, shows and says, whichever supervisor it is for."""

import argparse
import sys
from typing import Final

from openclawd.cli.consent import confirmed
from openclawd.cli.failure import Failure
from openclawd.cli.install_program import Facts
from openclawd.cli.output import shown
from openclawd.cli.service import Chosen, about, as_typed, refuse_as_usage
from openclawd.daemon.exit_codes import ExitCode
from openclawd.service.asked_before import AskedBefore
from openclawd.service.program import command_link, home_of, is_on_path
from openclawd.service.unit_file import UnitFile
from openclawd.slots.layout import Installation

NOT_PASSED_ON: Final = (
    "OPENCLAW_GATEWAY_TOKEN",
    "OPENCLAW_GATEWAY_PASSWORD",
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
)
"""Keys and secrets that a terminal may have and a service then lacks."""


def port_of(arguments: argparse.Namespace) -> int | None:
    """Raises Failure for what is none."""
    text = arguments.port
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise refuse_as_usage(
            f"--port is {text!r}, expected an integer from 1 to 65535.", f"See: {as_typed()} --help"
        )
    return int(text)


def as_before(arguments: argparse.Namespace, before: AskedBefore) -> None:
    """What this command line does not name stays as it was asked for; one secret takes the other's place."""
    if arguments.run_as is None:
        arguments.run_as = before.run_as
    if arguments.port is None:
        arguments.port = before.port
    if arguments.token_file is None and arguments.password_file is None:
        arguments.token_file, arguments.password_file = before.token_file, before.password_file


def state_words(wanted: UnitFile) -> str:
    """What becomes of a file."""
    return {"absent": "new", "same": "as it was", "ours": "updated", "yours": "was edited"}[wanted.state()]


def dry_run(
    arguments: argparse.Namespace, installation: Installation | None, wanted: UnitFile | None, facts: Facts
) -> int:
    """Say what would be done, and what would change in the file."""
    facts["would change"] = "nothing" if wanted is None or wanted.state() == "same" else shown(wanted.path)
    if installation is not None:
        facts["program"] = shown(installation.root)
    if wanted is not None and arguments.json:
        facts["diff"] = wanted.diff()
    elif wanted is not None:
        print(wanted.diff(), end="")
    return ExitCode.OK


def consent(arguments: argparse.Namespace, wanted: UnitFile, instead: str) -> None:
    """What somebody else has written is theirs: they see what would be lost, and say yes. `instead` is what
    they could do about it. Raises Failure.
    """
    if wanted.state() != "yours":
        return
    print(wanted.diff(), end="", file=sys.stderr)
    if arguments.yes:
        return
    agreed = confirmed(f"{shown(wanted.path)} was edited. Replace it as shown?", default=False)
    if not agreed:
        raise Failure(
            f"{shown(wanted.path)} was edited, and stays as it is.",
            cure=f"{instead}{as_typed()} --yes",
        )


def dashboard(asked: Chosen, facts: Facts) -> str:
    """The command that prints the link to the chat, as it can be typed in this terminal."""
    link = command_link(home_of(asked.environ), system=asked.system)
    command = link.name if is_on_path(link, asked.environ) else facts.get("command", link.name)
    return about(asked, f"{command} dashboard")
