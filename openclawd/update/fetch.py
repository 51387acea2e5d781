"""A version of openclawd, verified and whole in its slot: from where releases come from, or out of a file."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Final

import attrs

from openclawd.config.model import Config
from openclawd.slots.layout import Installation
from openclawd.slots.progress import Phase, Progress
from openclawd.update.bundle import Bundle
from openclawd.update.client import UNFINISHED, Found, look
from openclawd.update.places import Place
from openclawd.update.releases import Channel, Release, named, newest, passed_over, this_host
from openclawd.update.space import require_space
from openclawd.update.staged import CannotUpdate, Staged, Tell
from openclawd.update.trust import BUILT_IN, Trust, trust_of
from openclawd.update.unpack import unpack
from openclawd.update.web import WebPlace

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_MISPLACED: Final = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)


@attrs.frozen
class Latest:
    """What a look at the releases has found: `release` is None where nothing is newer that fits; `unfit` is
    what is newer still, and why it is not for this machine.
    """

    channel: Channel
    release: Release | None
    unfit: tuple[Release, str] | None


def fetch(
    installation: Installation,
    config: Config,
    config_file: Path,
    wanted: str | None,
    tell: Tell,
    *,
    bundle: Path | None = None,
    built_in: Path = BUILT_IN,
) -> Staged | None:
    """Have `wanted`, or the newest that fits, in its slot; None where nothing is newer, or `wanted` runs
    already. The lock of the installation is held meanwhile. Raises CannotUpdate, with nothing left behind.
    """
    current = installation.current_version()
    if wanted is not None and wanted == current:
        return None
    trust = trust_of(installation, config, config_file, built_in=built_in)
    try:
        with _places(trust, bundle) as places:
            found = look(trust, installation.metadata, places)
            release = _chosen(found, config, wanted, current)
            if release is None:
                return None
            if not installation.is_complete(release.version):
                _stage(found, release, installation, tell)
            return Staged(release.version, installation.slot(release.version))
    except OSError as error:
        raise _cannot(error, installation) from error


def latest(
    installation: Installation | None,
    config: Config,
    config_file: Path,
    current: str,
    *,
    built_in: Path = BUILT_IN,
) -> Latest:
    """Look, and change nothing. Raises CannotUpdate."""
    trust = trust_of(installation, config, config_file, built_in=built_in)
    with tempfile.TemporaryDirectory(prefix="openclawd-check-") as folder, _places(trust, None) as places:
        metadata = Path(folder) / "metadata"
        try:
            # Whoever looks may not be the one who may write there, and somebody may be updating.
            if installation is not None and installation.metadata.is_dir():
                unfinished = shutil.ignore_patterns(UNFINISHED)
                shutil.copytree(installation.metadata, metadata, symlinks=True, ignore=unfinished)
            found = look(trust, metadata, places)
        except (OSError, shutil.Error) as error:
            raise CannotUpdate(f"{folder} cannot be used: {error}", f"df -h {Path(folder).parent}") from error
    channel, host = channel_of(config), this_host()
    chosen = newest(found.releases, host, channel, current)
    return Latest(channel, chosen, passed_over(found.releases, host, channel, current, chosen))


def channel_of(config: Config) -> Channel:
    """Which versions are for this gateway."""
    return "stable" if config.update.channel == "stable" else "beta"


def _chosen(found: Found, config: Config, wanted: str | None, current: str | None) -> Release | None:
    host = this_host()
    if wanted is not None:
        return named(found.releases, host, wanted, current)
    return newest(found.releases, host, channel_of(config), current)


def _stage(found: Found, release: Release, installation: Installation, tell: Tell) -> None:
    def at(phase: Phase, done: int, total: int) -> None:
        tell(Progress(phase, current, release.version, done, total))

    current = installation.current_version()
    require_space(installation.root, release.length, release.unpacked_bytes)
    # What was not complete is of no use to anybody: it was not verified.
    shutil.rmtree(installation.download, ignore_errors=True)
    installation.download.mkdir(mode=0o755, parents=True)
    try:
        archive = installation.download / f"{release.version}.tar.gz"
        at(Phase.DOWNLOADING, 0, release.length)
        found.download(release, archive, lambda done: at(Phase.DOWNLOADING, done, release.length))
        at(Phase.UNPACKING, 0, release.unpacked_bytes)
        unpack(
            archive,
            installation,
            release.version,
            release.unpacked_bytes,
            lambda done: at(Phase.UNPACKING, done, release.unpacked_bytes),
        )
    finally:
        shutil.rmtree(installation.download, ignore_errors=True)


@contextmanager
def _places(trust: Trust, bundle: Path | None) -> Iterator[list[Place]]:
    if bundle is not None:
        opened = Bundle(bundle)
        try:
            yield [opened]
        finally:
            opened.close()
        return
    if not trust.urls:
        raise CannotUpdate(
            "nothing says where versions come from",
            "openclawd config set openclawd.update.urls '[\"https://HOST/PATH\"]'",
        )
    yield [WebPlace(url) for url in trust.urls]


def _cannot(error: OSError, installation: Installation) -> CannotUpdate:
    root, seen = installation.root, installation.metadata
    named = Path(str(error.filename or root))
    if error.errno in _MISPLACED and seen in (named, *named.parents):
        return CannotUpdate(
            f"{seen}, where the signatures are that were seen, is not as an update leaves it",
            f"They are fetched anew after: rm -r {quote(str(seen))}",
        )
    if error.errno in _FULL:
        return CannotUpdate(f"the disk of {root} is full", f"Make room there, and look again: df -h {root}")
    return CannotUpdate(f"{named}: {error.strerror or error}", f"ls -ld {root}")
