"""The last configuration that could be gone by, kept for the day on which the file is broken.

A file that somebody is in the middle of editing, that was cut off or has a slip in it must not keep a gateway
from starting: it starts with what it last went by, says so wherever people look, and goes by the file again
when that is mended. The file itself is never touched.
"""

import shlex
from collections.abc import Mapping

import attrs

from openclawd.config import reading
from openclawd.config.atomic import replace_file, sync_folder
from openclawd.config.load import (
    LoadedConfig,
    file_error,
    load_config,
    load_text,
)
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError, UsageError
from openclawd.config.settings import Flags, GatewaySettings, resolve_settings


@attrs.frozen(eq=False, repr=False)
class StartConfig:
    """What a gateway starts with; `problem` is what is wrong with the file, where it is not the file's."""

    loaded: LoadedConfig
    settings: GatewaySettings
    problem: ConfigError | None = None


def start_config(
    paths: Paths, environ: Mapping[str, str], flags: Flags, *, restarted: bool = False
) -> StartConfig:
    """The configuration of the file; if that cannot be, the last good one.

    `restarted`: a gateway went by a file a moment ago, so one that is not there is not meant to be gone.
    Raises UsageError for a wrong flag, and ConfigError, the file's own, when there is no good one either.
    """
    kept = _kept(paths)
    try:
        loaded = load_config(paths, environ)
        settings = resolve_settings(loaded, environ, flags)
        if (lost := lost_since_good(loaded, running=restarted)) is not None:
            raise lost
    except UsageError:
        raise
    except ConfigError as error:
        if kept is None:
            raise
        return _last_good(paths, kept, environ, flags, error)
    return StartConfig(loaded, settings)


def _last_good(
    paths: Paths, kept: str, environ: Mapping[str, str], flags: Flags, problem: ConfigError
) -> StartConfig:
    try:
        loaded = load_text(paths, kept, environ)
        settings = resolve_settings(loaded, environ, flags)
    except UsageError:
        raise
    except ConfigError:
        raise problem from None
    if settings.auth_mode == "token" and settings.token is None:
        # One would be made, and there is no file to save it in.
        raise problem
    return StartConfig(loaded, settings, problem)


def lost_settings(loaded: LoadedConfig, known: Mapping[str, object]) -> ConfigError | None:
    """What is wrong with a file that says nothing where there are known to be settings, if it is one."""
    if not known or not reading.is_blank(loaded.raw.removeprefix("\ufeff")):
        return None
    what = "is empty" if loaded.exists else "is gone"
    files = (loaded.paths.config_last_good, loaded.paths.config_file)
    command = shlex.join(["cp", *map(str, files)])
    return file_error(
        loaded.paths,
        f"the file {what}, and had settings; write {{}} into it to have none, or put it back: {command}",
    )


def lost_since_good(loaded: LoadedConfig, *, running: bool) -> ConfigError | None:
    """The same by the last good text. Without a gateway that goes by it (`running`), a file that is not there
    is meant to be gone.
    """
    kept = _kept(loaded.paths) if loaded.exists or running else None
    if kept is None:
        return None
    try:
        # What it says is all that matters: whether it could still be gone by is another question.
        return lost_settings(loaded, reading.parse(kept))
    except reading.NotReadable:
        return None


def keep_last_good(loaded: LoadedConfig) -> None:
    """Keep the text of `loaded`, durably, for a later start. Blocks; raises OSError."""
    if loaded.raw == _kept(loaded.paths):
        return
    kept = loaded.paths.config_last_good
    replace_file(kept, loaded.raw.encode(), like=kept.parent)
    sync_folder(kept.parent)


def _kept(paths: Paths) -> str | None:
    """The last good text; None where there is none that can be read."""
    try:
        return paths.config_last_good.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None


def said_in_one_line(problem: ConfigError) -> str:
    """What is wrong with a file, for a log, a page and a screen."""
    first, *others = (each.text() for each in problem.problems)
    more = f" (and {len(others)} more)" if others else ""
    return f"{first}{more}; see: {problem.command}"
