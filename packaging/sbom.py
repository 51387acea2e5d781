"""Say what is inside the binary, as a CycloneDX document: packaging/sbom.py BINARY FILE

Looked up in the folder itself: which distributions' modules lie there, which libraries of the system came
along, Python and the loader in front, the vendored files of the page, and what the makers of compiled
wheels say they were compiled from (PEP 770). The document is validated before it is written, and the same
inputs give the same bytes: its time is SOURCE_DATE_EPOCH's, its serial number follows from what it says.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import openclawd

ROOT = Path(__file__).resolve().parent.parent
# At the end, and `-P` leaves it out in front: this folder is called like a library.
sys.path.append(str(ROOT / "packaging"))
from inside import inside  # noqa: E402

VENDORED = ROOT / "openclawd" / "control_ui" / "vendor" / "vendored.json"
LICENCES = LicenseFactory()
# What the loader is in front of every binary that it made.
LOADER = "pyinstaller"
SPDX_OF_CLASSIFIER = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def bill(binary: Path) -> Bom:
    """What is in `binary`, the folder that packaging/build makes."""
    program = component("openclawd", openclawd.__version__, kind=ComponentType.APPLICATION, licence="MIT")
    bom = Bom(serial_number=uuid.UUID(int=0))
    bom.metadata.component = program
    bom.metadata.timestamp = datetime.datetime.fromtimestamp(
        int(os.environ.get("SOURCE_DATE_EPOCH") or 0), datetime.UTC
    )
    version = platform.python_version()
    python = component("cpython", version, PackageURL("generic", None, "cpython", version), licence="PSF-2.0")
    found = {canonicalize_name(each.name): each for each in inside(binary)}
    parts = {name: of_distribution(each) for name, each in found.items()}

    def required(requirements: Iterable[str]) -> list[Component]:
        names = needs(map(Requirement, requirements))
        return [part for name, part in parts.items() if name in names]

    def add(owner: Component, *below: Component) -> None:
        for each in (owner, *below):
            if each is not program:
                bom.components.add(each)
        bom.register_dependency(owner, below)

    add(
        program,
        python,
        of_distribution(distribution(LOADER)),
        *page_libraries(),
        *required(project_dependencies()),
    )
    add(python, *system_libraries(binary))
    for name, each in found.items():
        add(parts[name], *required(each.requires or ()), *compiled_in(each))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, written(bom))
    return bom


def component(
    name: str,
    version: str,
    purl: PackageURL | None = None,
    *,
    kind: ComponentType = ComponentType.LIBRARY,
    licence: str | None = None,
) -> Component:
    made = [LICENCES.make_from_string(licence)] if licence else []
    return Component(
        name=name,
        version=version,
        purl=purl,
        type=kind,
        bom_ref=str(purl or f"{name}@{version}"),
        licenses=made,
    )


# --- Python's distributions


def of_distribution(each: Distribution) -> Component:
    name = canonicalize_name(each.name)
    return component(
        name, each.version, PackageURL("pypi", None, name, each.version), licence=licence_of(each)
    )


def licence_of(each: Distribution) -> str | None:
    """As an SPDX expression where the distribution has one, or else in its own words."""

    def said(field: str) -> list[str]:
        return [str(value) for value in each.metadata.get_all(field) or ()]

    kinds = [line.rpartition(" :: ")[2] for line in said("Classifier") if line.startswith("License")]
    known = " OR ".join(SPDX_OF_CLASSIFIER[kind] for kind in kinds if kind in SPDX_OF_CLASSIFIER)
    words = "".join(said("License")).strip().partition("\n")[0]
    return "".join(said("License-Expression")) or known or words or None


def needs(requirements: Iterable[Requirement]) -> set[str]:
    return {
        str(canonicalize_name(each.name))
        for each in requirements
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def project_dependencies() -> list[str]:
    return list(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])


def compiled_in(each: Distribution) -> Iterator[Component]:
    """What the makers of a wheel say is compiled into it: the documents in its `sboms` folder (PEP 770)."""
    for file in each.files or ():
        if file.parent.name == "sboms" and file.suffix == ".json":
            for part in json.loads(file.read_text())["components"]:
                if part.get("purl", "").startswith("pkg:"):
                    purl = PackageURL.from_string(part["purl"])
                    # Without where its maker had it on disk.
                    yield component(purl.name, part["version"], purl._replace(qualifiers={}))


# --- the rest


def system_libraries(binary: Path) -> Iterator[Component]:
    """The shared libraries beside Python's modules, as packages where dpkg knows them, else by name."""
    files = {
        path.name
        for pattern in ("lib*.so*", "lib*.dylib")
        for path in (binary / "_internal").glob(pattern)
        if not path.name.startswith("libpython")
    }
    packages = packages_of(files)
    for name, version in sorted({packages[file] for file in files & packages.keys()}):
        yield component(name, version, PackageURL("deb", "debian", name, version))
    for name in sorted(files - packages.keys()):
        yield component(name, "unknown")


def packages_of(files: Iterable[str]) -> dict[str, tuple[str, str]]:
    """File to package and version, of this machine, which is where the files are from."""
    if shutil.which("dpkg-query") is None:
        return {}
    patterns = [f"*/{file}" for file in sorted(files)]
    # Each line is `package:architecture: path`; a file that nobody owns has none.
    owners = {
        line.rpartition("/")[2]: line.partition(":")[0]
        for line in said_by("dpkg-query", "--search", *patterns).splitlines()
    }
    found = said_by("dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n", *{*owners.values()})
    versions = dict(line.split(" ", 1) for line in found.splitlines())
    return {file: (owner, versions[owner]) for file, owner in owners.items() if owner in versions}


def said_by(*command: str) -> str:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    ).stdout


def page_libraries() -> Iterator[Component]:
    """The third-party files of the Control UI."""
    for each in json.loads(VENDORED.read_text()):
        namespace, _, name = each["name"].rpartition("/")
        purl = PackageURL("npm", namespace or None, name, each["version"])
        yield component(each["name"], each["version"], purl, licence=each["licence"])


def written(bom: Bom) -> str:
    return str(JsonV1Dot6(bom).output_as_string(indent=1))


def validated(text: str) -> str:
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        sys.exit(f"The bill of materials is not valid: {wrong}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="packaging/sbom.py", description="Say what is inside the binary.")
    parser.add_argument("binary", type=Path)
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    asked.file.write_text(validated(written(bill(asked.binary))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
