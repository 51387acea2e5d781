"""Which Python distributions a folder that was frozen holds: looked up in it, not in a list of pins."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.utils import canonicalize_name


def inside(binary: Path) -> Iterator[Distribution]:
    """Those of this environment of which a module, compiled or not, lies in the folder."""
    internal = binary / "_internal"
    there = {str(path.relative_to(internal)) for path in internal.rglob("*") if path.is_file()}
    for each in sorted(distributions(), key=lambda one: canonicalize_name(one.name)):
        modules = {str(file) for file in each.files or () if file.suffix in (".py", ".so", ".pyc")}
        if any(name in there or re.sub(r"\.py$", ".pyc", name) in there for name in modules):
            yield each
