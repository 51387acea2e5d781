"""What is open wider than it need be."""

from pathlib import Path
from typing import Any

import pytest

from openclawd.cli.finding import Verdict
from openclawd.cli.posture import exposure, files, unwritable
from openclawd.config.paths import Paths, resolve_paths

SAFE: dict[str, Any] = {
    "bind": "loopback",
    "address": "127.0.0.1",
    "authMode": "token",
    "strongSecret": True,
    "tlsFingerprint": None,
}


def told(**facts: object) -> dict[str, str | None]:
    return {each.name: each.cure for each in exposure({**SAFE, **facts})}


def test_a_strong_token_on_loopback_is_nothing_to_speak_of() -> None:
    assert told() == {}


@pytest.mark.parametrize(
    ("facts", "cures"),
    [
        (
            {"bind": "lan", "address": "0.0.0.0"},
            {"exposed": "openclawd config set gateway.tls.enabled true"},
        ),
        ({"bind": "lan", "address": "0.0.0.0", "tlsFingerprint": "AB:CD"}, {}),
        ({"bind": "custom", "address": "127.0.0.2"}, {}),
        (
            {"authMode": "none", "strongSecret": None},
            {"auth": "openclawd config set gateway.auth.mode token"},
        ),
        ({"strongSecret": False}, {"secret": "openclawd gateway token rotate"}),
        (
            {"authMode": "password", "strongSecret": False},
            {"secret": "openclawd config set gateway.auth.mode token"},
        ),
    ],
)
def test_what_is_open_comes_with_the_command_that_closes_it(
    facts: dict[str, object], cures: dict[str, str]
) -> None:
    assert told(**facts) == cures


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "names"),
    [
        (0o700, 0o600, []),
        (0o700, 0o644, []),  # nobody gets as far as the file
        (0o755, 0o600, ["state folder"]),
        (0o755, 0o644, ["state folder", "config file"]),
        (0o711, 0o640, ["state folder", "config file"]),
    ],
)
def test_files_that_others_can_read_are_named(
    tmp_path: Path, folder_mode: int, file_mode: int, names: list[str]
) -> None:
    config = tmp_path / "openclaw.json"
    config.write_text("{}")
    config.chmod(file_mode)
    tmp_path.chmod(folder_mode)
    found = list(files(Paths(tmp_path, config)))
    assert [each.name for each in found] == names
    assert all(each.cure is not None and each.cure.startswith("chmod ") for each in found)


def test_what_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    assert list(files(Paths(tmp_path / "no", tmp_path / "no" / "openclaw.json"))) == []


def test_a_folder_that_nothing_can_be_written_to_is_a_fault(tmp_path: Path) -> None:
    (fault,) = unwritable(resolve_paths({"HOME": "/", "OPENCLAW_STATE_DIR": "/proc/self"}))
    assert (fault.verdict, fault.cure) == (Verdict.FAILED, "ls -ld /proc/self")
    assert list(unwritable(resolve_paths({"HOME": "/", "OPENCLAW_STATE_DIR": str(tmp_path)}))) == []
    assert list(tmp_path.iterdir()) == []
