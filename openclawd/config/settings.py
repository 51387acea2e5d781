"""What the gateway runs with: flags, file and environment brought together (protocol.md 11).

Secrets: flag > file (`--token-file`, then the configuration) > environment, for the server and for our local
commands alike, so that the two always mean the same secret. The port: flag > environment > configuration, as
stock has it. What would be unsafe to ignore is refused here and not when the file is read: a configuration
for another host may be looked at and edited.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar, get_args

import attrs

from openclawd.config import values
from openclawd.config.load import LoadedConfig
from openclawd.config.model import AuthMode, Bind, RateLimit, TrustedProxy
from openclawd.config.paths import expanded
from openclawd.config.problems import ConfigError, ConfigProblem, UsageError
from openclawd.config.secret import Secret
from openclawd.config.unsafe import refusals

_Value = TypeVar("_Value")

# A token is 48 characters; this is a wrong file.
_MAX_SECRET_FILE_BYTES: Final = 64 * 1024


@attrs.frozen
class Flags:
    """The command line's words, as given; None where a flag was not."""

    port: str | int | None = None
    bind: str | None = None
    auth: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    token_file: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    password_file: str | None = None

    def secret_flag(self, auth_mode: str) -> str | None:
        """The one that gives the secret which `auth_mode` asks for."""
        given = {
            "token": {"--token": self.token, "--token-file": self.token_file},
            "password": {"--password": self.password, "--password-file": self.password_file},
        }.get(auth_mode, {})
        return next((flag for flag, value in given.items() if value is not None), None)


@attrs.frozen(eq=False)
class ControlUiSettings:
    """The page. `base_path` is "" or "/like/this"; `root` is another page's folder to serve in its place."""

    enabled: bool
    base_path: str
    root: Path | None
    allowed_origins: tuple[str, ...]
    allow_host_header_origin_fallback: bool
    allow_insecure_auth: bool
    disable_device_auth: bool


@attrs.frozen
class TlsSettings:
    """TLS on the port. `authorities` are sent along with `certificate`; `make`: we make what is missing."""

    certificate: Path
    key: Path
    authorities: Path | None
    make: bool


@attrs.frozen(eq=False)
class GatewaySettings:
    """What the gateway runs with. In auth_mode "token" a `token` of None has yet to be made: ensure_token."""

    port: int
    bind: Bind
    custom_bind_host: str | None
    auth_mode: AuthMode
    token: Secret | None
    password: Secret | None
    rate_limit: RateLimit
    trusted_proxy: TrustedProxy
    trusted_proxies: tuple[str, ...]
    allow_real_ip_fallback: bool
    control_ui: ControlUiSettings
    tls: TlsSettings | None
    public_origin: str | None


class UnusableFile(Exception):
    """A file holds no secret. The text says why."""


def secret_in_file(name: str) -> str:
    """The one line of a file, its end left out. Raises UnusableFile."""
    try:
        with Path(name).open("rb") as file:
            text = file.read(_MAX_SECRET_FILE_BYTES + 1).decode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UnusableFile(f"{name} cannot be read: {reason}") from error
    if len(text.strip().splitlines()) != 1 or len(text) > _MAX_SECRET_FILE_BYTES:
        raise UnusableFile(f"{name} must hold one line, the secret")
    return text.strip("\r\n")


def trimmed(kind: str, text: str) -> str:
    """Spaces may be part of a password, line ends not; a token has neither."""
    return text.strip("\r\n") if kind == "password" else text.strip()


def overridden(environ: Mapping[str, str], flags: Flags) -> dict[str, str]:
    """The keys of the file in whose place a flag or a variable counts, each with its name."""
    variable, text = _variable(environ, "GATEWAY_PORT")
    by_environment = variable if text is not None else None
    given = {
        "gateway.port": "--port" if flags.port is not None else by_environment,
        "gateway.bind": "--bind" if flags.bind is not None else None,
        "gateway.auth.mode": "--auth" if flags.auth is not None else None,
        "gateway.auth.token": flags.secret_flag("token"),
        "gateway.auth.password": flags.secret_flag("password"),
    }
    return {key: name for key, name in given.items() if name is not None}


def resolve_settings(
    loaded: LoadedConfig, environ: Mapping[str, str], flags: Flags | None = None
) -> GatewaySettings:
    """The settings. Raises UsageError for a wrong flag, ConfigError for what else forbids a start."""
    resolver = _Resolver(loaded, environ, flags or Flags())
    settings = resolver.settings()
    resolver.raise_problems()
    return settings


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str | None]:
    """The environment's value and the name under which it stands: today's or the legacy one."""
    for full in (f"OPENCLAW_{name}", f"CLAWDBOT_{name}"):
        text = environ.get(full, "")
        if text.strip():
            return full, text
    return f"OPENCLAW_{name}", None


class _Resolver:
    """One resolution; problems are collected, so that a person sees them all."""

    def __init__(self, loaded: LoadedConfig, environ: Mapping[str, str], flags: Flags) -> None:
        self._loaded = loaded
        self._gateway = loaded.config.gateway
        self._environ = environ
        self._flags = flags
        self._problems: list[ConfigProblem] = []
        self._usage: list[ConfigProblem] = []

    def settings(self) -> GatewaySettings:
        token, password = self._token(), self._password()
        settings = GatewaySettings(
            port=self._port(),
            bind=self._word("--bind", self._flags.bind, get_args(Bind), self._gateway.bind),
            custom_bind_host=self._gateway.custom_bind_host,
            auth_mode=self._auth_mode(password),
            token=token,
            password=password,
            rate_limit=self._gateway.auth.rate_limit,
            trusted_proxy=self._gateway.auth.trusted_proxy,
            trusted_proxies=self._gateway.trusted_proxies,
            allow_real_ip_fallback=self._gateway.allow_real_ip_fallback,
            control_ui=self._control_ui(),
            tls=self._tls(),
            public_origin=self._loaded.config.openclawd.public_origin,
        )
        for path, sentence, hint in refusals(self._loaded, settings):
            self._refuse(path, sentence, hint)
        return settings

    def raise_problems(self) -> None:
        if self._usage:
            raise UsageError(tuple(self._usage))
        if self._problems:
            source = str(self._loaded.paths.config_file) if self._loaded.exists else None
            raise ConfigError(tuple(self._problems), source=source)

    def _port(self) -> int:
        if self._flags.port is not None:
            return self._port_of("--port", self._flags.port, self._usage)
        name, text = _variable(self._environ, "GATEWAY_PORT")
        return self._gateway.port if text is None else self._port_of(name, text, self._problems)

    def _port_of(self, name: str, given: str | int, problems: list[ConfigProblem]) -> int:
        plain = isinstance(given, str) and given.strip().isascii() and given.strip().isdecimal()
        try:
            return values.port(int(given) if plain else given)
        except (values.Unfit, ValueError):
            problems.append(ConfigProblem(name, repr(given), "an integer from 1 to 65535"))
            return self._gateway.port

    def _word(self, name: str, given: str | None, words: tuple[_Value, ...], otherwise: _Value) -> _Value:
        if given is None:
            return otherwise
        for word in words:
            if given == word:
                return word
        self._usage.append(ConfigProblem(name, repr(given), f"one of {', '.join(map(str, words))}"))
        return otherwise

    def _auth_mode(self, password: Secret | None) -> AuthMode:
        flags, configured = self._flags, self._gateway.auth.mode
        derived: AuthMode
        if configured is not None:
            derived = configured
        elif flags.password is None is flags.password_file and (flags.token or flags.token_file):
            # A token on the command line is meant to be used, though a password lies about.
            derived = "token"
        else:
            derived = "password" if password else "token"
        return self._word("--auth", flags.auth, get_args(AuthMode), derived)

    # --- secrets

    def _token(self) -> Secret | None:
        flags, configured = self._flags, self._gateway.auth.token
        return self._secret("token", flags.token, flags.token_file, configured)

    def _password(self) -> Secret | None:
        flags, configured = self._flags, self._gateway.auth.password
        return self._secret("password", flags.password, flags.password_file, configured)

    def _secret(
        self, kind: str, given: str | None, file: str | None, configured: Secret | None
    ) -> Secret | None:
        if given is not None and not given.strip():
            self._usage.append(ConfigProblem(f"--{kind}", "empty", f"a {kind}"))
        from_file = self._secret_file(f"--{kind}-file", file) if given is None and file is not None else None
        written = configured.reveal() if configured is not None else None
        variable = _variable(self._environ, f"GATEWAY_{kind.upper()}")[1]
        for text in (given, from_file, written, variable):
            if text is not None and text.strip():
                return Secret(trimmed(kind, text))
        return None

    def _secret_file(self, flag: str, name: str) -> str | None:
        try:
            return secret_in_file(name)
        except UnusableFile as error:
            self._usage.append(ConfigProblem(flag, None, str(error)))
            return None

    # --- the page

    def _control_ui(self) -> ControlUiSettings:
        page = self._gateway.control_ui
        trimmed = page.base_path.strip().strip("/")
        return ControlUiSettings(
            enabled=page.enabled,
            base_path=f"/{trimmed}" if trimmed else "",
            root=self._folder(page.root) if page.root is not None else None,
            allowed_origins=page.allowed_origins,
            allow_host_header_origin_fallback=page.dangerously_allow_host_header_origin_fallback,
            allow_insecure_auth=page.allow_insecure_auth,
            disable_device_auth=page.dangerously_disable_device_auth,
        )

    def _folder(self, text: str) -> Path:
        folder = self._path(text)
        if not folder.is_dir():
            self._refuse(("gateway", "controlUi", "root"), f"{folder} is not a folder")
        return folder

    def _path(self, text: str) -> Path:
        """A path in the file: `~` is the home, and a relative one stands beside the file."""
        home = Path(self._environ.get("HOME", "~"))
        return self._loaded.paths.config_file.parent / expanded(text, home)

    # --- TLS

    def _tls(self) -> TlsSettings | None:
        tls, folder = self._gateway.tls, self._loaded.paths.tls_dir
        if not tls.enabled:
            return None
        return TlsSettings(
            certificate=self._path(tls.cert_path) if tls.cert_path else folder / "gateway-cert.pem",
            key=self._path(tls.key_path) if tls.key_path else folder / "gateway-key.pem",
            authorities=self._path(tls.ca_path) if tls.ca_path else None,
            make=tls.auto_generate,
        )

    def _refuse(self, path: tuple[str | int, ...], sentence: str, hint: str | None = None) -> None:
        self._problems.append(self._loaded.problem(path, sentence, hint))
