"""Whom a new version is believed, and where it is looked for.

The root of trust (TUF root metadata: the keys, and how many of them must have signed) is built into the
program, as packaging/update/root.json was when it was built. The configuration may name another, for releases
of one's own; but where a service runs an installation as another user than its owner, the configuration is
that user's, and must not decide what the owner runs. There `<root>/trust/` says it.
"""

import os
import stat
from pathlib import Path
from shlex import quote
from typing import Any, Final

import attrs
import orjson

from openclawd.config.model import Config
from openclawd.slots.layout import Installation
from openclawd.update.staged import CannotUpdate

ROOT_FILE: Final = "root.json"
SOURCE_FILE: Final = "source.json"
BUILT_IN: Final = Path(__file__).parent
"""Where a build puts both files."""

_TRUST: Final = "trust"
_MAX_BYTES: Final = 128 * 1024


@attrs.frozen(eq=False, repr=False)
class Trust:
    """`root`: the metadata to begin with. `urls`: repositories, each with metadata/ and targets/ below it.

    `file`: where `root` is from; `cure`: what to do where that turns out to be no root.
    """

    root: bytes
    urls: tuple[str, ...]
    file: Path
    cure: str


def trust_of(
    installation: Installation | None, config: Config, config_file: Path, *, built_in: Path = BUILT_IN
) -> Trust:
    """What holds for an installation (None: for a program that has none). Raises CannotUpdate."""
    asked = config.openclawd.update
    folders = [built_in] if installation is None else [installation.root / _TRUST, built_in]
    urls = asked.urls or _first_urls(folders)
    own = None if asked.root is None else Path(os.path.expanduser(asked.root))  # noqa: PTH111  `~` only in front
    if installation is not None and own is not None:
        for file in (config_file, own):
            _require_same_owner(file, installation)
    for file in [own] if own is not None else [folder / ROOT_FILE for folder in folders]:
        root = _read(file, missing_is_fine=own is None)
        if root is not None:
            return Trust(root, tuple(urls), file, _cure(file, own, built_in))
    raise CannotUpdate(
        "this openclawd was built without the keys of its releases, so it can verify none",
        "openclawd config set openclawd.update.root FILE",
    )


def _cure(file: Path, own: Path | None, built_in: Path) -> str:
    if file == own:
        return "openclawd config unset openclawd.update.root"
    if file.parent == built_in:
        return "openclawd config set openclawd.update.root FILE"
    return f"sudo install -D -m 644 root.json {quote(str(file))}"


def _first_urls(folders: list[Path]) -> tuple[str, ...]:
    for folder in folders:
        data = _read(folder / SOURCE_FILE, missing_is_fine=True)
        if data is not None:
            return _urls(folder / SOURCE_FILE, data)
    return ()


def _urls(file: Path, data: bytes) -> tuple[str, ...]:
    try:
        found: Any = orjson.loads(data)
        urls = found["urls"]
        if isinstance(urls, list) and all(
            isinstance(each, str) and each.startswith(("https://", "http://")) for each in urls
        ):
            return tuple(urls)
    except (ValueError, TypeError, KeyError):
        pass
    raise CannotUpdate(f'{file} is not like {{"urls": ["https://host/path"]}}', f"cat {quote(str(file))}")


def _require_same_owner(file: Path, installation: Installation) -> None:
    """Raises CannotUpdate where somebody else could have written what the owner of the installation runs."""
    owner = installation.root.stat().st_uid
    try:
        writer = file.stat()
    except FileNotFoundError:
        return  # said when it is read
    if writer.st_uid not in (owner, 0):
        raise CannotUpdate(
            f"openclawd.update.root does not count: {file} is not {installation.root}'s owner's",
            f"sudo install -D -m 644 root.json {installation.root / _TRUST / ROOT_FILE}",
        )
    if writer.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CannotUpdate(
            f"openclawd.update.root does not count: others can change {file}", f"chmod go-w {file}"
        )


def _read(file: Path, *, missing_is_fine: bool) -> bytes | None:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES)
    except FileNotFoundError:
        if missing_is_fine:
            return None
        raise CannotUpdate(
            f"openclawd.update.root: there is no {file}", "openclawd config unset openclawd.update.root"
        ) from None
    except OSError as error:
        raise CannotUpdate(
            f"{file} cannot be read: {error.strerror}", f"ls -ld {quote(str(file))}"
        ) from error
