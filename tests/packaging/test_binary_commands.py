"""Every command of the binary: its help is the source's, and it finds all that it needs inside."""

import argparse
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from openclawd.cli.main import _parser
from tests.packaging import hidden
from tests.packaging.frozen import FrozenGateway
from tests.packaging.release import BUILD_PYTHON

pytestmark = pytest.mark.binary

# Every `--help`, of the Python that was frozen: argparse changes its mind about columns.
_HELP = """
import argparse, json
from openclawd.cli.main import _parser

def texts(parser, words=()):
    yield " ".join(words), parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from texts(command, (*words, name))

print(json.dumps(dict(texts(_parser(())))))
"""

# Each command with what it can be given here, and its exit code, None where this machine decides; a gateway
# runs, of no supervisor.
RUNS: Final[tuple[tuple[str, int | None], ...]] = (
    ("gateway call status", 0),
    ("gateway check", 0),
    ("gateway limits", 0),
    ("gateway reload", 0),
    ("gateway status", 0),
    ("gateway token rotate", 0),
    ("gateway install --dry-run --profile nobodys", None),
    ("gateway start --profile nobodys", None),
    ("gateway uninstall --profile nobodys", None),
    ("dashboard", 0),
    ("devices list", 0),
    ("devices approve nobody", 1),
    ("devices reject nobody", 1),
    ("devices remove nobody", 1),
    ("devices rename nobody name", 1),
    ("devices rotate nobody", 1),
    ("devices revoke nobody", 1),
    ("devices reset --yes", 0),
    ("status", 0),
    ("doctor", 0),
    ("health", 0),
    ("logs -n 1", 0),
    ("config get gateway", 0),
    ("config set logging.level debug", 0),
    ("config unset logging.level", 0),
    ("config validate", 0),
    ("config file", 0),
    ("backup create", 0),
    ("backup list", 0),
    ("restore nothing", 75),
    ("update check", 1),
    ("update run", 1),
    ("update rollback", 1),
    ("update status", 1),
    ("gateway restart", 0),
    ("gateway stop", 0),
)
# What has other tests here: it runs until it is ended, or is for the updater alone.
ELSEWHERE = {"gateway run", "update judge"}


def leaves(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[str]:
    """The commands that have none below them."""
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for action in below:
        for name, command in action.choices.items():
            yield from leaves(command, (*words, name))
    if not below:
        yield " ".join(words)


def test_every_command_has_the_help_of_the_source(gateway: FrozenGateway) -> None:
    source = subprocess.run(
        [BUILD_PYTHON, "-P", "-c", _HELP],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(gateway.home)},
    )
    wanted: dict[str, str] = json.loads(source.stdout)
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(lambda words: gateway.command(*words.split(), "--help").stdout, wanted)
    assert dict(zip(wanted, said, strict=True)) == wanted


def test_every_command_is_tried() -> None:
    tried = {words for words, _ in RUNS}
    for command in set(leaves(_parser(()))) - ELSEWHERE:
        assert any(f"{words} ".startswith(f"{command} ") for words in tried), command


def test_every_command_finds_what_it_needs(gateway: FrozenGateway) -> None:
    wrong = []
    for words, code in RUNS:
        ended = gateway.command(*words.split())
        codes = {0, 1} if code is None else {code}
        if ended.returncode not in codes or "fault in openclawd" in ended.stderr:
            wrong.append((words, ended.returncode, ended.stdout, ended.stderr))
    assert wrong == []


def test_what_it_starts_gets_the_libraries_of_the_system(gateway: FrozenGateway, tmp_path: Path) -> None:
    """And not those that the binary brings for itself, which another program may not be able to use."""
    if hidden.why_not() is not None:
        pytest.skip(f"nothing can be mounted here: {hidden.why_not()}")
    told = tmp_path / "told"
    tool = tmp_path / "systemctl"
    tool.write_text(f'#!/bin/sh\necho "${{LD_LIBRARY_PATH-unset}}" >>{told}\nexit 1\n')
    tool.chmod(0o755)
    path = f"PATH={tmp_path}:/usr/bin:/bin"
    booted = hidden.without([Path("/run")], Path(gateway.program[0]), then="mkdir -p /run/systemd/system")
    gateway.command_of("/usr/bin/env", path, *booted, "gateway", "status")
    assert set(told.read_text().splitlines()) == {"unset"}
