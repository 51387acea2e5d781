"""A repository, a server for it, and a machine that updates from there."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.update.released import Releases, UpdatingHost, new_host, new_releases
from tests.update.web_server import WebServer


@pytest.fixture(scope="session")
def first_release(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    found = new_releases(tmp_path_factory.mktemp("release") / "release")
    found.release("1.0.0")
    return found


@pytest.fixture
def releases(tmp_path: Path, first_release: Releases) -> Releases:
    """Of 1.0.0, which everybody has."""
    folder = Path(shutil.copytree(first_release.folder, tmp_path / "release"))
    return Releases(folder, {role: list(keys) for role, keys in first_release.keys.items()})


@pytest.fixture
def server(releases: Releases) -> Iterator[WebServer]:
    with WebServer(releases.public).serving() as server:
        yield server


@pytest.fixture
def host(tmp_path: Path, releases: Releases) -> UpdatingHost:
    """It runs 1.0.0."""
    return new_host(tmp_path / "host", releases.root)
