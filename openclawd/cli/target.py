"""Where a command finds its gateway, in the order in which it looks.

First the local socket of the state directory: the gateway knows there whom it talks to by the user id, so
it works when tokens or pairing are broken, and needs no config. Then the port, with the secret that the
gateway itself would resolve (flag, then file, then environment). A port or a secret given by hand is meant
to be used, so it skips the socket. With `--url` only a secret given by hand is sent: the one in the config
belongs to this machine's gateway.
"""

import argparse
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from openclawd.cli.failure import Failure
from openclawd.config.load import load_config
from openclawd.config.paths import Paths, resolve_paths
from openclawd.config.secret import Secret
from openclawd.config.settings import (
    Flags,
    GatewaySettings,
    UnusableFile,
    resolve_settings,
    secret_in_file,
    trimmed,
)
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.link import LOOPBACK, bracketed, reachable
from openclawd.daemon.sockets import tailnet_address


@attrs.frozen
class Endpoint:
    """One place to try. `socket` set: the local socket; otherwise `host` and `port`."""

    name: str
    """For messages: a path or a URL."""

    absent: str
    """What it means when nobody listens there."""

    socket: Path | None = None
    host: str = LOOPBACK
    port: int = 0
    tls: bool = False
    resource: str = "/"
    token: Secret | None = None
    password: Secret | None = None

    @property
    def authority(self) -> str:
        """What goes into the Host header."""
        return "localhost" if self.socket is not None else f"{bracketed(self.host)}:{self.port}"


def endpoints(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[Endpoint]:
    """Lazily, best first: the config is read only when the local socket leads nowhere."""
    flags = given_flags(arguments)
    if arguments.url:
        if flags.port is not None:
            raise Failure("--port: the port stands in --url already.", exit_code=ExitCode.USAGE)
        yield _from_url(arguments)
        return
    paths = resolve_paths(environ)
    if flags == Flags():
        yield from local_socket(paths)
    settings = settings_for(paths, environ, flags)
    host = reachable_host(settings)
    yield Endpoint(
        name=f"ws://{bracketed(host)}:{settings.port}",
        absent=f"No gateway is running for {paths.state_dir}.",
        host=host,
        port=settings.port,
        token=settings.token if settings.auth_mode == "token" else None,
        password=settings.password if settings.auth_mode == "password" else None,
    )


def local_socket(paths: Paths) -> Iterator[Endpoint]:
    """The socket that only this user can reach, if there is one."""
    if _is_ours(paths.socket):
        absent = f"No gateway is running for {paths.state_dir}."
        yield Endpoint(name=str(paths.socket), absent=absent, socket=paths.socket)


def settings_for(paths: Paths, environ: Mapping[str, str], flags: Flags | None = None) -> GatewaySettings:
    """The gateway's settings as the gateway would resolve them."""
    return resolve_settings(load_config(paths, environ), environ, flags)


def reachable_host(settings: GatewaySettings) -> str:
    """An address that a gateway with these settings listens on; one that was started with --bind or with
    another config may not.
    """
    if settings.bind == "custom" and settings.custom_bind_host is not None:
        return reachable(settings.custom_bind_host)
    if settings.bind == "tailnet":
        return tailnet_address() or LOOPBACK
    return LOOPBACK


def _is_ours(socket: Path) -> bool:
    """Whether the path is a socket that this user made; in a shared folder others could put one."""
    try:
        found = socket.lstat()
    except OSError:
        return False
    return stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid()


def given_flags(arguments: argparse.Namespace) -> Flags:
    """What the command line says about where the gateway is and which secret it wants."""
    return Flags(
        port=arguments.port,
        token=arguments.token,
        token_file=arguments.token_file,
        password=arguments.password,
        password_file=arguments.password_file,
    )


def _from_url(arguments: argparse.Namespace) -> Endpoint:
    try:
        parts = urlsplit(arguments.url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        raise Failure(
            f"--url {arguments.url}: expected ws://HOST:PORT or wss://HOST:PORT.",
            cure="See: openclawd gateway call --help",
            exit_code=ExitCode.USAGE,
        )
    tls = parts.scheme == "wss"
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return Endpoint(
        name=name,
        absent=f"Nothing listens at {name}.",
        host=parts.hostname,
        port=port or (443 if tls else 80),
        tls=tls,
        resource=parts.path or "/",
        token=_secret("token", arguments.token, arguments.token_file),
        password=_secret("password", arguments.password, arguments.password_file),
    )


def _secret(kind: str, text: str | None, file: str | None) -> Secret | None:
    if not text and file is not None:
        try:
            text = secret_in_file(file)
        except UnusableFile as error:
            raise Failure(f"--{kind}-file: {error}", exit_code=ExitCode.USAGE) from error
    return Secret(trimmed(kind, text)) if text else None
