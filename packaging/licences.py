"""Put the licences into a folder that was frozen: licences.py FOLDER

Ours at the top, and those of all that is inside in licences/.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
# At the end, and `-P` leaves it out in front: this folder is called like a library.
sys.path.append(str(ROOT / "packaging"))
from inside import inside  # noqa: E402


def add_licences(folder: Path) -> None:
    shutil.copy(ROOT / "LICENSE", folder / "LICENSE")
    for name, text in (*distribution_licences(folder), *library_licences(folder)):
        place = folder / "licences" / name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(text, place / text.name)


def distribution_licences(folder: Path) -> Iterator[tuple[str, Path]]:
    """Of Python, of the libraries that are inside, and of PyInstaller, whose loader is in the binary."""
    yield "python", Path(os.__file__).parent / "LICENSE.txt"
    for each in (distribution("pyinstaller"), *inside(folder)):
        for file in each.files or ():
            if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")):
                yield canonicalize_name(each.name), Path(str(file.locate()))


def library_licences(folder: Path) -> Iterator[tuple[str, Path]]:
    """Of the system's libraries that came along, where a package manager that we know has their texts."""
    if shutil.which("dpkg") is None:
        return
    for library in sorted((folder / "_internal").glob("lib*.so*")):
        owner = subprocess.run(
            ("dpkg", "-S", f"*/{library.name}"), capture_output=True, text=True, check=False
        ).stdout.partition(":")[0]
        text = Path("/usr/share/doc") / owner / "copyright"
        if owner and text.exists():
            yield library.name, text


def main() -> None:
    parser = argparse.ArgumentParser(prog="packaging/licences.py", description="Put the licences in.")
    parser.add_argument("folder", type=Path)
    add_licences(parser.parse_args().folder)


if __name__ == "__main__":
    main()
