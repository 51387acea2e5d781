"""Who gets in, as the configuration says it now: the settings that count at once, and how they change.

What `reload` applies is everything that only decides who may connect: it needs no socket opened and nothing
started, so nobody who still may be here notices. The rest counts from the next start and is named. A file
that a start would refuse changes nothing at all. Nor does a change that would be right only after a restart:
with the auth mode `none` for a bind to loopback, nobody opens a gateway that still listens on the network.

Who came in with a secret that has changed is sent away; whoever was admitted by something else stays.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import orjson
import trio

from openclawd.auth.admission import Admission
from openclawd.auth.limiter import Limiter
from openclawd.config.file import ConfigFile
from openclawd.config.load import LoadedConfig
from openclawd.config.problems import ConfigError
from openclawd.config.rotation import rotate_token
from openclawd.config.settings import Flags, GatewaySettings, resolve_settings
from openclawd.config.unsafe import is_loopback
from openclawd.daemon.certificate import Certificates
from openclawd.daemon.certificate_files import CertificateUnusable
from openclawd.daemon.policy import admission_policy, limit_rules
from openclawd.gateway.clients import Clients
from openclawd.methods.services import Reloaded
from openclawd.protocol.closes import GATEWAY_AUTH_CHANGED, invalidated

# The fields of GatewaySettings and of its control_ui by their keys: those that count at once, and those that
# need a new start.
TLS: Final = "gateway.tls"
LIVE: Final[Mapping[str, str]] = {
    "auth_mode": "gateway.auth.mode",
    "token": "gateway.auth.token",
    "password": "gateway.auth.password",
    "rate_limit": "gateway.auth.rateLimit",
    "trusted_proxy": "gateway.auth.trustedProxy",
    "trusted_proxies": "gateway.trustedProxies",
    "allow_real_ip_fallback": "gateway.allowRealIpFallback",
    "public_origin": "openclawd.publicOrigin",
    "tls": TLS,
}
LIVE_PAGE: Final[Mapping[str, str]] = {
    "allowed_origins": "gateway.controlUi.allowedOrigins",
    "allow_host_header_origin_fallback": "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback",
    "allow_insecure_auth": "gateway.controlUi.allowInsecureAuth",
    "disable_device_auth": "gateway.controlUi.dangerouslyDisableDeviceAuth",
}
AT_START: Final[Mapping[str, str]] = {
    "port": "gateway.port",
    "bind": "gateway.bind",
    "custom_bind_host": "gateway.customBindHost",
}
AT_START_PAGE: Final[Mapping[str, str]] = {
    "enabled": "gateway.controlUi.enabled",
    "base_path": "gateway.controlUi.basePath",
    "root": "gateway.controlUi.root",
}
# Sections of the file that are read when the gateway starts.
_SECTIONS: Final = ("agents", "models", "session", "ui", "logging", "env")
_SECRETS: Final = ("auth_mode", "token", "password")
_PROXY: Final = "trusted-proxy"

_log = logging.getLogger("openclawd.access")


@attrs.frozen(eq=False, repr=False)
class Started:
    """What the gateway was started with."""

    loaded: LoadedConfig
    settings: GatewaySettings
    flags: Flags


class Access:
    """The settings in force, and the parts that go by them."""

    def __init__(
        self,
        started: Started,
        *,
        config_file: ConfigFile,
        admission: Admission,
        limiter: Limiter,
        clients: Clients,
        now_ms: Callable[[], int],
        certificates: Certificates | None = None,
    ) -> None:
        self._started = started
        self._settings = started.settings
        self._config_file = config_file
        self._admission = admission
        self._limiter = limiter
        self._clients = clients
        self._certificates = certificates
        self._now_ms = now_ms
        self._changing = trio.Lock()

    @property
    def settings(self) -> GatewaySettings:
        """Those in force now."""
        return self._settings

    async def reload(self) -> Reloaded:
        """Go by the file as it is now. Raises ConfigError for one that a start would refuse; then nothing has
        changed, and the log says so. Does not wait once anybody has been sent away, so that an answer to one
        of them still comes before his close.
        """
        async with self._changing:
            return await self._reload()

    async def rotate_token(self) -> Reloaded:
        """Have a new token, in the file and in force. Raises NotRotatable, ConfigError, OSError."""
        async with self._changing:
            await trio.to_thread.run_sync(
                rotate_token, self._config_file, self._settings, self._started.flags
            )
            return await self._reload()

    async def _reload(self) -> Reloaded:
        try:
            loaded = await trio.to_thread.run_sync(self._config_file.load)
            wanted = resolve_settings(loaded, loaded.process_environ, self._started.flags)
        except ConfigError as error:
            problems = [problem.text() for problem in error.problems]
            _log.warning("config not applied", extra={"fields": {"problems": problems}})
            raise
        return self._apply(loaded, wanted)

    def _apply(self, loaded: LoadedConfig, wanted: GatewaySettings) -> Reloaded:
        before = self._settings
        after, waiting = self._permitted(wanted)
        after, renewed, problems = self._certified(after)
        restart_required = (*waiting, *self._needs_start(loaded, wanted))
        applied = _changed(before, after, LIVE, LIVE_PAGE)
        if renewed and TLS not in applied:
            # The same files with something else in them.
            applied = (*applied, TLS)
        if not restart_required and not problems:
            self._config_file.apply(loaded)
        self._settings = after
        policy = admission_policy(after)
        if policy != self._admission.policy:
            # Sends those round again who are being decided about, so an equal one must not.
            self._admission.change(policy)
        self._limiter.change_rules(limit_rules(after), self._now_ms())
        dismissed = self._dismiss(void_credential(before, after))
        _log.info(
            "config applied",
            extra={
                "fields": {
                    "applied": list(applied),
                    "restartRequired": list(restart_required),
                    "dismissed": dismissed,
                }
            },
        )
        return Reloaded(applied, restart_required, problems)

    def _certified(self, after: GatewaySettings) -> tuple[GatewaySettings, bool, tuple[str, ...]]:
        """The settings with the certificate that is served, whether it is another one, and why it is not."""
        if self._certificates is None or after.tls is None:
            return after, False, ()
        try:
            return after, self._certificates.reload(after.tls), ()
        except CertificateUnusable as error:
            return attrs.evolve(after, tls=self._settings.tls), False, (str(error),)

    def _permitted(self, wanted: GatewaySettings) -> tuple[GatewaySettings, tuple[str, ...]]:
        """What of `wanted` may count now, where we listen now, and the keys that have to wait."""
        now = self._settings
        after = attrs.evolve(
            wanted,
            **{name: getattr(now, name) for name in AT_START},
            tls=wanted.tls if (now.tls and wanted.tls) else now.tls,
            control_ui=attrs.evolve(
                wanted.control_ui, **{name: getattr(now.control_ui, name) for name in AT_START_PAGE}
            ),
        )
        # The next start makes one.
        lacks_token = after.auth_mode == "token" and after.token is None
        is_open = after.auth_mode == "none" and not is_loopback(after)
        if not (lacks_token or is_open):
            return after, ()
        kept = {name: getattr(now, name) for name in _SECRETS}
        return attrs.evolve(after, **kept), (LIVE["token" if lacks_token else "auth_mode"],)

    def _needs_start(self, loaded: LoadedConfig, wanted: GatewaySettings) -> tuple[str, ...]:
        """The keys that are not as they were at the start and count from the next one."""
        started = self._started
        sections = (
            section
            for section in _SECTIONS
            if _canonical(loaded.document.get(section)) != _canonical(started.loaded.document.get(section))
        )
        switched = [f"{TLS}.enabled"] if bool(started.settings.tls) != bool(wanted.tls) else []
        return (*_changed(started.settings, wanted, AT_START, AT_START_PAGE), *switched, *sections)

    def _dismiss(self, void: str | None) -> int:
        if void is None:
            return 0
        return self._clients.dismiss_where(
            lambda client: client.credential == void,
            lambda client: invalidated(GATEWAY_AUTH_CHANGED, client.wire_generation),
        )


def void_credential(before: GatewaySettings, after: GatewaySettings) -> str | None:
    """What clients were admitted by before and what lets nobody in any more (`Client.credential`); what they
    were admitted by is called as the auth mode is.
    """
    asked = {
        "token": ("token",),
        "password": ("password",),
        _PROXY: ("trusted_proxy", "trusted_proxies"),
        "none": (),
    }[before.auth_mode]
    same = all(getattr(before, name) == getattr(after, name) for name in ("auth_mode", *asked))
    return None if same else before.auth_mode


def _changed(
    before: GatewaySettings, after: GatewaySettings, fields: Mapping[str, str], page: Mapping[str, str]
) -> tuple[str, ...]:
    """The keys among `fields` and `page` whose settings differ."""
    changed = [key for name, key in fields.items() if getattr(before, name) != getattr(after, name)]
    pages = (before.control_ui, after.control_ui)
    changed += [key for name, key in page.items() if getattr(pages[0], name) != getattr(pages[1], name)]
    return tuple(changed)


def _canonical(value: object) -> bytes:
    """Equal for what says the same."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
