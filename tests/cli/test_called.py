"""The command that helps can be typed as it stands, also before there is an `openclawd` in any PATH."""

import pytest

from openclawd.cli.called import as_called

FILE = "./openclawd-0.1.0-linux-x86_64"


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("sudo openclawd gateway install --system", f"sudo {FILE} gateway install --system"),
        ("See: openclawd --help", f"See: {FILE} --help"),
        ("openclawd gateway stop && openclawd gateway start", f"{FILE} gateway stop && {FILE} gateway start"),
        ("OPENCLAW_PROFILE=work openclawd dashboard", f"OPENCLAW_PROFILE=work {FILE} dashboard"),
    ],
)
def test_a_command_is_shown_by_the_name_that_it_was_called_by(said: str, typed: str) -> None:
    assert as_called(said, FILE) == typed


@pytest.mark.parametrize(
    "said",
    [
        "systemctl edit openclawd",
        "There is no service openclawd.service.",
        "~/.local/bin/openclawd dashboard",
        "journalctl -u openclawd -n 50",
    ],
)
def test_what_is_no_command_of_it_stays(said: str) -> None:
    assert as_called(said, FILE) == said


def test_a_name_with_a_space_is_quoted() -> None:
    assert as_called("openclawd status", "./my downloads/openclawd") == "'./my downloads/openclawd' status"
