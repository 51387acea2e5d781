"""The binary, built when it is not up to date, and installed where nothing of this folder is."""

import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.packaging.frozen import ROOT, FrozenGateway, frozen_gateway


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of dist/openclawd elsewhere: what it still needs of this folder, it misses."""
    subprocess.run([ROOT / "packaging" / "build"], stdin=subprocess.DEVNULL, check=True)
    folder = tmp_path_factory.mktemp("installed") / "openclawd"
    shutil.copytree(ROOT / "dist" / "openclawd", folder, symlinks=True)
    return folder


@pytest.fixture(scope="session")
def binary(installed: Path) -> Path:
    return installed / "openclawd"


@pytest.fixture(scope="module")
def gateway(binary: Path) -> Generator[FrozenGateway, None, None]:
    """A gateway without a config; its state lives as long as the module."""
    with frozen_gateway(binary) as running:
        yield running
