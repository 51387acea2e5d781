"""The commands that a message about a service names, as they can be typed in the same terminal."""

from pathlib import Path

import attrs
import pytest

from openclawd.cli.service import Chosen, about, as_typed
from openclawd.service.systemd_service import user_service
from tests.cli.test_install import AROUND

STATUS = "openclawd gateway status"


def chosen(*, system: bool = False, profile: str | None = None, behind_sudo: str | None = None) -> Chosen:
    around = attrs.evolve(AROUND, behind_sudo=behind_sudo)
    return Chosen(user_service(profile, Path("/nowhere")), system, profile, around, {})


@pytest.mark.parametrize(
    ("asked", "typed"),
    [
        (chosen(), STATUS),
        (chosen(profile="work"), f"OPENCLAW_PROFILE=work {STATUS}"),
        (chosen(system=True, behind_sudo="ada"), f"sudo {STATUS}"),
        (chosen(system=True, profile="work", behind_sudo="ada"), f"sudo OPENCLAW_PROFILE=work {STATUS}"),
        # By root's own terminal no sudo is needed, and perhaps there is none.
        (chosen(system=True), STATUS),
    ],
)
def test_a_command_is_about_the_gateway_of_that_service(asked: Chosen, typed: str) -> None:
    assert about(asked, STATUS) == typed


def test_what_was_typed_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/x/openclawd", "gateway", "install", "--token-file", "/srv/my token"])
    assert as_typed() == "openclawd gateway install --token-file '/srv/my token'"
