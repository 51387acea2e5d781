"""What is signed, from the first place that can show it: the client of The Update Framework.

python-tuf does what the specification's client workflow says (section 5): a newer root only by the keys of
the one before, timestamps and snapshots never older than those seen, nothing expired, nothing mixed. Here is
what it leaves to its user: which places to ask, how large and slow they may be, and to make it last.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, TargetFile, Targets
from tuf.ngclient import Updater, UpdaterConfig

from openclawd.slots.durable import sync_tree
from openclawd.update.places import MAX_METADATA_BYTES, Place, Told
from openclawd.update.releases import Release, release_of
from openclawd.update.staged import CannotUpdate
from openclawd.update.trust import Trust

# A few keys and signatures, and one line a file; the list of releases is the long one.
_LIMITS: Final = UpdaterConfig(
    root_max_length=128 * 1024,
    timestamp_max_length=16 * 1024,
    snapshot_max_length=128 * 1024,
    targets_max_length=MAX_METADATA_BYTES,
    max_delegations=8,
)
_FOR_ALL: Final = 0o644
UNFINISHED: Final = "tmp*"
"""What TUF writes before it gives it its name (tempfile); only a dead process leaves any."""


@attrs.frozen(eq=False, repr=False)
class Found:
    """The releases that are signed, and that the place that answered has."""

    releases: tuple[Release, ...]
    _updater: Updater
    _places: tuple[Place, ...]
    """The one that answered first."""

    def download(self, release: Release, into: Path, told: Told) -> None:
        """Write the verified archive of one of them to `into`. Raises CannotUpdate, and OSError."""
        target = self._updater.get_targetinfo(release.path)
        if target is None:
            raise CannotUpdate(f"{release.path} is not signed any more", "openclawd update run")
        problems: list[tuple[Place, Exception]] = []
        for place in self._places:
            try:
                _get(place, target, into, told)
            except (DownloadError, RepositoryError) as error:
                into.unlink(missing_ok=True)
                problems.append((place, error))
            except OSError:
                into.unlink(missing_ok=True)
                raise
            else:
                return
        raise _nobody(problems)


def look(trust: Trust, metadata: Path, places: Sequence[Place]) -> Found:
    """Ask the places in their order. Raises CannotUpdate, and OSError.

    `metadata` is a folder of ours, and holds what was seen before: whoever shows less is not believed.
    """
    metadata.mkdir(mode=0o755, parents=True, exist_ok=True)
    problems: list[tuple[Place, Exception]] = []
    for place in places:
        try:
            updater = Updater(
                str(metadata),
                place.metadata_url,
                fetcher=place.fetcher,
                config=_LIMITS,
                bootstrap=trust.root,
            )
        except RepositoryError as error:
            raise CannotUpdate(
                f"{trust.file} is no TUF root metadata that its own keys signed: {error}", trust.cure
            ) from error
        try:
            updater.refresh()
        except (DownloadError, RepositoryError) as error:
            problems.append((place, error))
            continue
        finally:
            # Also what was seen before it came to an end.
            _settle(metadata)
        others = (each for each in places if each is not place)
        return Found(tuple(_listed(metadata, place)), updater, (place, *others))
    raise _nobody(problems)


def _listed(metadata: Path, place: Place) -> Iterator[Release]:
    # What was verified last is what was written last; and whatever stands here, `download` asks TUF for it.
    for path, target in Metadata[Targets].from_file(str(metadata / "targets.json")).signed.targets.items():
        release = release_of(path, target.length, target.custom)
        if release is not None and place.has(_hashed(target)):
            yield release


def _get(place: Place, target: TargetFile, into: Path, told: Told) -> None:
    with into.open("wb") as file:
        place.copy(_hashed(target), file, target.length, told)
        got = file.tell()
    if got < target.length:
        raise DownloadError(f"broke off after {got} of {target.length} bytes")
    with into.open("rb") as file:
        target.verify_length_and_hashes(file)


def _hashed(target: TargetFile) -> str:
    """Where it lies: by its hash (consistent snapshots), so that no release changes what somebody reads."""
    folder, _, name = target.path.rpartition("/")
    return f"{folder}/{next(iter(target.hashes.values()))}.{name}"


def _nobody(problems: Sequence[tuple[Place, Exception]]) -> CannotUpdate:
    reason = "; ".join(f"{place.name} {_words(error)}" for place, error in problems)
    if any(isinstance(error, RepositoryError) for _, error in problems):
        return CannotUpdate(reason, "Nothing has changed. When it is mended: openclawd update run")
    return CannotUpdate(reason, "Later again, or without a network: openclawd update run --bundle FILE")


def _words(error: Exception) -> str:
    """What is wrong with a place, to stand behind its name."""
    if isinstance(error, ExpiredMetadataError):
        clock = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        return f"shows signatures that have expired ({error}); this machine's clock says {clock}"
    if isinstance(error, BadVersionNumberError):
        return f"shows an older state than this machine has seen before: {error}"
    if isinstance(error, UnsignedMetadataError):
        return f"is not signed by the keys that are trusted here: {error}"
    if isinstance(error, LengthOrHashMismatchError):
        return f"has a file that is not the one that was signed: {error}"
    if isinstance(error, RepositoryError):
        return f"is no repository of releases: {error}"
    return str(error)


def _settle(folder: Path) -> None:
    """What was seen stays seen, also after a power cut, and may be read by the service's user."""
    for left in folder.glob(UNFINISHED):
        left.unlink()
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            file.chmod(_FOR_ALL)
    sync_tree(folder)
