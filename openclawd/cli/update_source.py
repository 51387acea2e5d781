"""What `openclawd update` is about: the installation that this program lies in, and its versions."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openclawd.cli.failure import Failure

if TYPE_CHECKING:
    from openclawd.config.paths import Paths
    from openclawd.slots.layout import Installation
    from openclawd.update.staged import Staged, Tell

_WORD: Final = "trial-word"


def installation_here(*, changing: bool = False) -> "Installation":
    """The installation of this program; `changing`: whether this command does so. Raises Failure, with
    the command that brings another version to a program that was installed in another way.
    """
    from openclawd.update.source import running_program, source_of

    source = source_of(running_program())
    found = source.installation
    if found is None:
        raise Failure(source.said(), cure=source.command)
    if changing and not os.access(found.root, os.W_OK):
        from openclawd.cli.service import as_typed

        raise Failure(f"{found.root} belongs to another user.", cure=f"sudo {as_typed()}")
    return found


def downloaded(
    installation: "Installation",
    environ: Mapping[str, str],
    version: str | None,
    tell: "Tell",
    *,
    bundle: str | None,
) -> "Staged | None":
    """The version, or the newest, from where releases are, or out of a `bundle`. Raises CannotUpdate."""
    from openclawd.config.load import load_config
    from openclawd.config.paths import resolve_paths
    from openclawd.update.fetch import fetch

    paths = resolve_paths(environ)
    config = load_config(paths, environ).config
    file = Path(bundle) if bundle is not None else None
    return fetch(installation, config, paths.config_file, version, tell, bundle=file)


def word_of(installation: "Installation", paths: "Paths") -> str | None:
    """Where a gateway that may not end its trial itself leaves its word; None where it may."""
    try:
        is_own = paths.own_dir.stat().st_uid == installation.root.stat().st_uid
    except FileNotFoundError:
        return None
    return None if is_own else str(paths.own_dir / _WORD)
