"""The binary, built when it is not up to date, and installed where nothing of this folder is."""

import platform
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

import openclawd
from tests.packaging.frozen import ROOT, FrozenGateway, frozen_gateway


@pytest.fixture(scope="session")
def dist() -> Path:
    """What packaging/build makes: the folder, and the one file."""
    subprocess.run([ROOT / "packaging" / "build"], stdin=subprocess.DEVNULL, check=True)
    return ROOT / "dist"


@pytest.fixture(scope="session")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of dist/openclawd elsewhere: what it still needs of this folder, it misses."""
    folder = tmp_path_factory.mktemp("installed") / "openclawd"
    shutil.copytree(dist / "openclawd", folder, symlinks=True)
    return folder


@pytest.fixture(scope="session")
def one_file(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file that people download, elsewhere."""
    name = f"openclawd-{openclawd.__version__}-{platform.system().lower()}-{platform.machine()}"
    return Path(shutil.copy2(dist / name, tmp_path_factory.mktemp("downloaded")))


@pytest.fixture(scope="session")
def binary(installed: Path) -> Path:
    return installed / "openclawd"


@pytest.fixture(scope="module")
def gateway(binary: Path) -> Generator[FrozenGateway, None, None]:
    """A gateway without a config; its state lives as long as the module."""
    with frozen_gateway(binary) as running:
        yield running
