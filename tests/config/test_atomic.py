"""What is on the disk when a small file has been replaced."""

import fcntl
import os
from pathlib import Path

import pytest

from openclawd.config.atomic import sync_folder


def test_on_macos_the_cache_of_the_drive_is_emptied_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync(2) of macOS: without F_FULLFSYNC the drive may keep it for a while, and in any order."""
    done: list[str] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _, command: done.append(f"fcntl {command}"))
    monkeypatch.setattr(os, "fsync", lambda _: done.append("fsync"))
    sync_folder(tmp_path)
    assert done == ["fsync", "fcntl 51"]
