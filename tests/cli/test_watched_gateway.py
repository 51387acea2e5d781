"""How an updater has the gateway started again that a version which was not well has left down."""

from pathlib import Path

import pytest

from openclawd.cli.service_unit import Unit
from openclawd.cli.watched_gateway import WatchedGateway
from openclawd.config.paths import resolve_paths
from openclawd.slots.layout import Installation


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the `systemctl` in the way was called with; it refuses what follows a limit of starts."""
    said = tmp_path / "asked"
    program = tmp_path / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$*" >>{said}\ncase $* in *start*) grep -q reset-failed {said} || exit 1 ;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return said


def watched(home: Path, unit: str) -> WatchedGateway:
    environ = {"HOME": str(home)}
    found = WatchedGateway(Installation(home / "root"), resolve_paths(environ), environ)
    found._unit = Unit(unit, of_user=False, changed=(), stale=False)
    return found


def test_it_is_started_though_the_bad_version_has_used_up_its_starts(tmp_path: Path, asked: Path) -> None:
    assert watched(tmp_path, "openclawd-work.service").start()
    assert asked.read_text().splitlines()[-1] == "start openclawd-work.service"
