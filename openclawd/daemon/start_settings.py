"""The settings of a start: what flags, files and the first start add to the configuration."""

import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from openclawd.config.last_good import StartConfig, start_config
from openclawd.config.load import ConfigError, LoadedConfig, UsageError, load_text
from openclawd.config.paths import Paths
from openclawd.config.settings import (
    Flags,
    GatewaySettings,
    UnusableFile,
    resolve_settings,
    secret_in_file,
)
from openclawd.daemon.certificate import check_certificate
from openclawd.daemon.image import is_read_once
from openclawd.daemon.refusal import StartRefused, unwritable
from openclawd.daemon.sockets import probe_tcp

_log = logging.getLogger("openclawd.gateway")


def read_pipes(flags: Flags) -> Flags:
    """The flags with the secrets that can be read once only; what is wrong with one is told later."""
    for name, file in (("token", flags.token_file), ("password", flags.password_file)):
        if file is not None and is_read_once(Path(file)):
            with suppress(UnusableFile):
                given = getattr(flags, name) or secret_in_file(file)
                flags = attrs.evolve(flags, **{name: given, f"{name}_file": None})
    return flags


def with_token(loaded: LoadedConfig, settings: GatewaySettings) -> tuple[LoadedConfig, GatewaySettings]:
    """Token mode needs a token: one is made and saved on the first start."""
    if settings.auth_mode != "token" or settings.token is not None:
        return loaded, settings
    from openclawd.config.edit import ensure_token

    try:
        loaded = ensure_token(loaded)
    except OSError as error:
        raise unwritable(loaded.paths.config_file, error) from error
    _log.info("token made", extra={"fields": {"saved": str(loaded.paths.config_file)}})
    return loaded, attrs.evolve(settings, token=loaded.config.gateway.auth.token)


def restart_config(
    paths: Paths,
    environ: Mapping[str, str],
    flags: Flags,
    *,
    former: str,
    given: Sequence[socket.socket],
) -> StartConfig:
    """The configuration of a gateway that served a moment ago: what it went by then (`former`, a text), where
    it could not start with the file as that is now. `given` are the sockets that it listens on.

    Its clients come back in this moment, and what stands in the way of the file may have come since it was
    checked. Raises ConfigError where neither will do.
    """
    try:
        begun = start_config(paths, environ, flags, restarted=True)
        try:
            _probe(begun.settings, given)
        except StartRefused as refused:
            raise _config_error(begun.loaded, refused) from refused
    except UsageError:
        raise
    except ConfigError as problem:
        try:
            loaded = load_text(paths, former, environ)
            settings = resolve_settings(loaded, environ, flags)
        except ConfigError:
            raise problem from None
        if settings.auth_mode == "token" and settings.token is None:
            # One would be made, and it would not be the one that its clients have.
            raise
        return StartConfig(loaded, settings, problem)
    return begun


def _probe(settings: GatewaySettings, given: Sequence[socket.socket]) -> None:
    """Raises StartRefused."""
    ports = {0, *(each.getsockname()[1] for each in given if each.family != socket.AF_UNIX)}
    probe_tcp(settings, is_ours=settings.port in ports)
    if settings.tls is not None:
        check_certificate(settings.tls)


def check_next(
    environ: Mapping[str, str], flags: Flags, running: GatewaySettings, loaded: LoadedConfig
) -> None:
    """Raises ConfigError for what the next start would refuse, as far as it can be told before."""
    settings = resolve_settings(loaded, environ, flags)
    path: tuple[str, ...] = ("gateway",)
    try:
        probe_tcp(settings)
        # Files that were named all along and have broken since are no reason to refuse another change.
        if settings.tls is not None and settings.tls != running.tls:
            path = ("gateway", "tls")
            check_certificate(settings.tls)
    except StartRefused as refused:
        raise _config_error(loaded, refused, path) from refused


def _config_error(
    loaded: LoadedConfig, refused: StartRefused, path: tuple[str, ...] = ("gateway",)
) -> ConfigError:
    problem = loaded.problem(path, " ".join(str(refused).splitlines()))
    return ConfigError((problem,), source=str(loaded.paths.config_file))
