"""Where a command finds its gateway, in the order in which it looks.

First the local socket of the state directory: the gateway knows there whom it talks to by the user id, so
it works when tokens or pairing are broken, and needs no config. Then the port, with the secret that the
gateway itself would resolve (flag, then file, then environment). A port or a secret given by hand is meant
to be used, so it skips the socket. With `--url` only a secret given by hand is sent: the one in the config
belongs to this machine's gateway.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from openclawd.cli.failure import Failure, NotRunning
from openclawd.config.load import load_config
from openclawd.config.paths import Paths, profile_of, resolve_paths
from openclawd.config.problems import ConfigError
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
from openclawd.daemon.local_socket import is_trustworthy
from openclawd.daemon.lock import running_pid
from openclawd.daemon.sockets import tailnet_address
from openclawd.protocol.versions import V3

if TYPE_CHECKING:
    from openclawd.cli.device_key import DeviceKey
    from openclawd.cli.pin import Pin


@attrs.frozen
class Endpoint:
    """One place to try. `socket` set: the local socket; otherwise `host` and `port`."""

    name: str
    """For messages: a path or a URL."""

    absent: str
    """What it means when nobody listens there."""

    cure: str = "Start it: openclawd gateway"
    """What helps then."""

    socket: Path | None = None
    host: str = LOOPBACK
    port: int = 0
    tls: bool = False
    pin: "Pin | None" = None
    """With TLS: the one certificate to trust, in the place of those that the system trusts."""

    resource: str = "/"
    token: Secret | None = None
    password: Secret | None = None
    protocol: int = V3
    """The generation that is spoken there."""

    device: "DeviceKey | None" = None
    """As which device; without one, a command is its user."""

    device_token: Secret | None = None
    """What that device was given when it was paired."""

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
        yield _from_url(arguments, environ)
        return
    if arguments.tls_fingerprint:
        raise Failure(
            "--tls-fingerprint: it goes with --url; this machine's gateway is known by its certificate.",
            exit_code=ExitCode.USAGE,
        )
    paths = resolve_paths(environ)
    if flags == Flags():
        yield from local_socket(paths)
    settings = settings_for(paths, environ, flags)
    if flags == Flags() and running_pid(paths.lock_file) is None and _has_service(environ):
        # Who listens there is somebody else, or a supervisor that keeps our sockets and answers nobody.
        raise NotRunning(
            f"No gateway is running for {paths.state_dir}.",
            cure="Why, and what helps: openclawd gateway status",
        )
    endpoint = port_endpoint(paths, settings)
    if flags != Flags():
        # The gateway may run all the same: the socket has not been asked.
        endpoint = attrs.evolve(
            endpoint,
            absent=f"Nothing listens at {endpoint.name}.",
            cure="Whether a gateway runs, and where: openclawd gateway status",
        )
    yield endpoint


def _has_service(environ: Mapping[str, str]) -> bool:
    """Whether a supervisor is to start the gateway that is meant, by the files that are installed."""
    from openclawd.service.addressed import user_meant
    from openclawd.service.plist import label_of
    from openclawd.service.program import config_home, home_of
    from openclawd.service.unit import unit_name

    profile = profile_of(environ)
    own = (
        config_home(environ) / "systemd" / "user" / f"{unit_name(profile)}.service",
        home_of(environ) / "Library" / "LaunchAgents" / f"{label_of(profile)}.plist",
    )
    return user_meant(environ) is not None or any(each.exists() for each in own)


def port_endpoint(paths: Paths, settings: GatewaySettings) -> Endpoint:
    """The port of this machine's gateway, with the secret and the certificate that it goes by."""
    host = reachable_host(settings)
    return Endpoint(
        name=f"{'ws' if settings.tls is None else 'wss'}://{bracketed(host)}:{settings.port}",
        absent=f"No gateway is running for {paths.state_dir}.",
        host=host,
        port=settings.port,
        tls=settings.tls is not None,
        pin=_own_pin(settings),
        token=settings.token if settings.auth_mode == "token" else None,
        password=settings.password if settings.auth_mode == "password" else None,
    )


def local_socket(paths: Paths) -> Iterator[Endpoint]:
    """The socket that only this user and root can reach, if there is one."""
    if is_trustworthy(paths.socket):
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


def given_flags(arguments: argparse.Namespace) -> Flags:
    """What the command line says about where the gateway is and which secret it wants."""
    return Flags(
        port=arguments.port,
        token=arguments.token,
        token_file=arguments.token_file,
        password=arguments.password,
        password_file=arguments.password_file,
    )


def _own_pin(settings: GatewaySettings) -> "Pin | None":
    if settings.tls is None:
        return None
    from openclawd.cli.pin import pin_of

    return pin_of(settings.tls)


def _from_url(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Endpoint:
    place = _place(arguments.url)
    if place is None:
        raise Failure(
            f"--url {arguments.url}: expected ws://HOST:PORT or wss://HOST:PORT.",
            cure=None if "://" in arguments.url else f"Perhaps: --url ws://{arguments.url}",
            exit_code=ExitCode.USAGE,
        )
    scheme, host, port = place
    tls = scheme == "wss"
    if arguments.tls_fingerprint and not tls:
        raise Failure("--tls-fingerprint: a ws:// URL has no TLS.", exit_code=ExitCode.USAGE)
    parts = urlsplit(arguments.url)
    name = f"{scheme}://{parts.netloc.rpartition('@')[2]}"
    return Endpoint(
        name=name,
        absent=f"Nothing listens at {name}.",
        cure="On the gateway's machine: openclawd gateway status",
        host=host,
        port=port,
        tls=tls,
        pin=_pin_for(place, arguments.tls_fingerprint, environ) if tls else None,
        resource=parts.path or "/",
        token=_secret("token", arguments.token, arguments.token_file),
        password=_secret("password", arguments.password, arguments.password_file),
    )


def _place(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a WebSocket URL; None when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    # The page's URL, as it stands in a browser, names the same gateway.
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    default = {"ws": 80, "wss": 443}.get(scheme)
    if default is None or not parts.hostname:
        return None
    return scheme, parts.hostname, port or default


def _pin_for(
    place: tuple[str, str, int], fingerprint: str | None, environ: Mapping[str, str]
) -> "Pin | None":
    """What was given by hand, else what the config knows of that place; then no authority counts."""
    from openclawd.cli.pin import Pin

    if fingerprint:
        return Pin(
            fingerprint, "--tls-fingerprint", "Its own is told on its machine: openclawd gateway status"
        )
    try:
        remote = load_config(resolve_paths(environ), environ).config.gateway.remote
    except ConfigError:
        return None  # a broken config knows nothing, and a command that names its gateway needs none
    if remote.tls_fingerprint is None or remote.url is None or _place(remote.url) != place:
        return None
    cure = "Its own is told on its machine (openclawd gateway status); put it into the config here."
    return Pin(remote.tls_fingerprint, "gateway.remote.tlsFingerprint", cure)


def _secret(kind: str, text: str | None, file: str | None) -> Secret | None:
    if not text and file is not None:
        try:
            text = secret_in_file(file)
        except UnusableFile as error:
            raise Failure(f"--{kind}-file: {error}", exit_code=ExitCode.USAGE) from error
    return Secret(trimmed(kind, text)) if text else None
