"""What a release consists of: wheel, sdist, bill of materials, checksums, manual page."""

import email
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from packaging.requirements import Requirement

import openclawd
from tests.packaging.frozen import ROOT, frozen_gateway
from tests.packaging.release import BUILD_PYTHON, Release, release

pytestmark = pytest.mark.binary


@pytest.fixture(scope="module")
def made() -> Release:
    return release()


@pytest.fixture(scope="module")
def sbom(made: Release) -> dict[str, Any]:
    return dict(json.loads(made.sbom.read_text()))


# --- all of it


def test_the_checksums_are_of_every_file_and_right(made: Release) -> None:
    checked = subprocess.run(
        ("sha256sum", "--check", "--strict", made.sums),
        cwd=made.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    named = {line.partition("  ")[2] for line in made.sums.read_text().splitlines()}
    assert named == {path.name for path in made.folder.iterdir()} - {"SHA256SUMS"}
    assert len(named) >= 5


def test_everybody_may_read_what_will_be_uploaded(made: Release) -> None:
    assert {
        path.name: oct(path.stat().st_mode) for path in made.folder.iterdir() if not path.stat().st_mode & 4
    } == {}


def test_the_file_that_people_download_is_among_them(made: Release) -> None:
    system = f"{platform.system().lower()}-{platform.machine()}"
    file = made.folder / f"openclawd-{openclawd.__version__}-{system}"
    assert file.name in made.sums.read_text()
    assert os.access(file, os.X_OK)


def test_no_path_of_the_machine_that_made_it_stands_in_a_text(made: Release) -> None:
    for text in (made.sbom, made.manual, made.sums):
        assert str(ROOT) not in text.read_text()
        assert str(Path.home()) not in text.read_text()


# --- wheel and sdist


def names_in_sdist(made: Release) -> set[str]:
    with tarfile.open(made.sdist) as archive:
        return {member.name.partition("/")[2] for member in archive if member.isfile()}


def test_the_sdist_has_every_file_of_the_project(made: Release) -> None:
    listed = subprocess.run(("git", "ls-files"), cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no checkout")
    tracked = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    assert tracked - names_in_sdist(made) == set()


def test_nothing_that_was_built_or_cached_is_in_the_sdist(made: Release) -> None:
    unwanted = re.compile(r"^(build|dist|\.venv|\.cache|\.git)/|__pycache__|\.pyc$")
    assert [name for name in names_in_sdist(made) if unwanted.search(name)] == []


def test_the_wheel_has_every_file_of_the_package_and_the_manual_page(made: Release) -> None:
    with zipfile.ZipFile(made.wheel) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("openclawd/")}
        page = wheel.read(f"openclawd-{openclawd.__version__}.data/data/share/man/man1/openclawd.1").decode()
    # Made from the sdist.
    assert packed == {name for name in names_in_sdist(made) if name.startswith("openclawd/")}
    assert {"openclawd/control_ui/index.html", "openclawd/slots/guard.sh", "openclawd/py.typed"} <= packed
    assert page == made.manual.read_text()


def test_the_wheel_asks_for_what_the_project_names(made: Release) -> None:
    with zipfile.ZipFile(made.wheel) as wheel:
        metadata = email.message_from_bytes(
            wheel.read(f"openclawd-{openclawd.__version__}.dist-info/METADATA")
        )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told, wanted = (
        map(Requirement, each) for each in (metadata.get_all("Requires-Dist", ()), project["dependencies"])
    )
    assert set(told) == set(wanted)
    assert metadata["Requires-Python"] == project["requires-python"]
    assert metadata["License-Expression"] == "MIT"


@pytest.fixture(scope="module")
def installed_wheel(made: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own, as pip and pipx make one; the libraries are those of the tests."""
    folder = tmp_path_factory.mktemp("wheel") / "environment"
    venv.create(folder, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "bin" / "python")
    subprocess.run((*pip, "install", "--quiet", "--no-index", "--no-deps", made.wheel), check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "libraries-of-the-tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_a_gateway_from_the_wheel_serves_the_page(installed_wheel: Path) -> None:
    with frozen_gateway(installed_wheel / "bin" / "openclawd") as gateway:
        with urlopen(gateway.url) as page:
            assert b"<title>" in page.read()
        said = gateway.command("gateway", "status", "--json")
        assert said.returncode == 0, said.stderr
        assert gateway.stop() == 0


def test_an_update_of_the_wheel_is_pips_business(installed_wheel: Path) -> None:
    asked = subprocess.run(
        (installed_wheel / "bin" / "openclawd", "update", "run"), capture_output=True, text=True, check=False
    )
    assert asked.returncode == 1
    assert "-m pip install --upgrade ./openclawd-VERSION" in asked.stderr


def test_pip_puts_the_manual_page_where_man_finds_it(installed_wheel: Path) -> None:
    assert (installed_wheel / "share" / "man" / "man1" / "openclawd.1").is_file()


# --- what is inside


def named(sbom: dict[str, Any], kind: str) -> dict[str, str]:
    """Name to version of the components with a purl of this kind."""
    return {
        each["name"]: each["version"]
        for each in sbom["components"]
        if each.get("purl", "").startswith(f"pkg:{kind}/")
    }


def test_the_bill_names_every_library_of_the_binary(sbom: dict[str, Any], installed: Path) -> None:
    internal = installed / "_internal"
    packages = {
        re.split(r"-\d", path.name)[0].lower().replace("_", "-") for path in internal.glob("*.dist-info")
    }
    modules = {path.name for path in internal.iterdir() if path.is_dir()}
    pypi = named(sbom, "pypi")
    assert packages <= pypi.keys()
    assert {"trio", "attrs", "cattrs", "orjson", "httpx", "cryptography", "tuf"} <= pypi.keys()
    assert {"trio", "httpx", "cryptography"} <= modules
    assert named(sbom, "generic")["cpython"] == ".".join(map(str, sys.version_info[:3]))
    vendored = json.loads((ROOT / "openclawd/control_ui/vendor/vendored.json").read_text())
    assert named(sbom, "npm") == {each["name"]: each["version"] for each in vendored}


def test_the_licences_inside_are_of_what_the_bill_names(sbom: dict[str, Any], installed: Path) -> None:
    licences = {path.name for path in (installed / "licences").iterdir() if any(path.iterdir())}
    libraries = {path.name for path in (installed / "_internal").glob("lib*.so*")}
    assert licences - libraries == named(sbom, "pypi").keys() | {"python"}
    if named(sbom, "deb"):
        assert libraries <= licences


def test_the_bill_names_the_versions_that_are_pinned(sbom: dict[str, Any]) -> None:
    lock = (ROOT / "requirements-build.lock").read_text()
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE))
    pypi = named(sbom, "pypi")
    assert len(pypi) > 15
    assert {name: pins[name] for name in pypi} == pypi


def test_the_bill_names_what_compiled_libraries_were_compiled_from(sbom: dict[str, Any]) -> None:
    assert "openssl" in named(sbom, "generic"), "the one inside cryptography"
    assert "pyo3" in named(sbom, "cargo")


def test_every_component_of_the_bill_hangs_on_the_program(sbom: dict[str, Any]) -> None:
    below = {each["ref"]: each.get("dependsOn", []) for each in sbom["dependencies"]}
    reached: set[str] = set()
    ahead = [sbom["metadata"]["component"]["bom-ref"]]
    while ahead:
        here = ahead.pop()
        if here not in reached:
            reached.add(here)
            ahead += below.get(here, [])
    assert {each["bom-ref"] for each in sbom["components"]} - reached == set()


def test_a_bill_that_is_not_valid_would_not_be_written(made: Release) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'packaging')!r}); import sbom\n"
        "text = open(sys.argv[1]).read()\n"
        "sbom.validated(text)\n"
        """sbom.validated(text.replace('"type": "application"', '"type": "programme"'))"""
    )
    asked = subprocess.run(
        (BUILD_PYTHON, "-c", script, made.sbom), capture_output=True, text=True, check=False
    )
    assert asked.returncode == 1
    assert "not valid" in asked.stderr
    assert "programme" in asked.stderr
