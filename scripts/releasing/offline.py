"""One file with a release and all that vouches for it, for hosts that reach no repository."""

import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openclawd.update.releases import is_newer
from scripts.releasing.fault import Fault
from scripts.releasing.repository import Repository


def newest_version(repository: Repository, channel: str) -> str:
    """The newest version that is published in a channel. Raises Fault where there is none."""
    newest: str | None = None
    for path, target in _listed(repository).items():
        version = str(target.custom.get("version"))
        if path.startswith(f"{channel}/") and (newest is None or is_newer(version, newest)):
            newest = version
    if newest is None:
        raise Fault(f"nothing is published in {channel}")
    return newest


def write_bundle(repository: Repository, version: str, into: Path) -> list[str]:
    """Write the bundle of a version, for all its machines; the targets in it. Raises Fault."""
    listed = _listed(repository).items()
    chosen = {path: target for path, target in listed if target.custom.get("version") == version}
    if not chosen:
        raise Fault(f"{version} is not published")
    names = [f"metadata/{file.name}" for file in _metadata(repository)]
    for path, target in chosen.items():
        folder, _, name = path.rpartition("/")
        names.append(f"targets/{folder}/{target.hashes['sha256']}.{name}")
    beside = into.with_name(f".{into.name}")
    with tarfile.open(beside, "w", format=tarfile.PAX_FORMAT) as bundle:
        for name in names:
            bundle.add(repository.folder / "public" / name, name, recursive=False, filter=_nobodys)
    beside.replace(into)
    return sorted(chosen)


def _listed(repository: Repository) -> dict[str, Any]:
    found = repository.published("targets")
    return {} if found is None else found.signed.targets


def _metadata(repository: Repository) -> Iterable[Path]:
    """Every root, so that who has an old one gets to the newest, and of the rest what counts now."""
    yield from repository.every("root")
    for role in ("targets", "snapshot"):
        yield from repository.every(role)[-1:]
    yield repository.metadata / "timestamp.json"


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o644
    return entry
