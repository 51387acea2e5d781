"""Who gets in, as the configuration says it now: the settings that count at once, and how they change.

What `reload` applies is everything that only decides who may connect, and what `sections` can go by: it needs
no socket opened and nothing started, so nobody who still may be here notices. The rest counts from the next
start and is named. A file that a start would refuse changes nothing at all, and a warning says so until it is
mended. Nor does a change that would be right only after a restart:
with the auth mode `none` for a bind to loopback, nobody opens a gateway that still listens on the network.

Who came in with a secret that has changed is sent away; whoever was admitted by something else stays.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
import trio

from openclawd.auth.admission import Admission
from openclawd.auth.limiter import Limiter
from openclawd.config.file import ConfigFile
from openclawd.config.last_good import keep_last_good, said_in_one_line
from openclawd.config.load import LoadedConfig
from openclawd.config.problems import ConfigError
from openclawd.config.rotation import rotate_token
from openclawd.config.settings import Flags, GatewaySettings, overridden, resolve_settings
from openclawd.config.unsafe import is_loopback
from openclawd.daemon.certificate import Certificates
from openclawd.daemon.certificate_files import CertificateUnusable
from openclawd.daemon.policy import admission_policy, limit_rules
from openclawd.daemon.sections import Sections
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
# What `gateway.reload.mode` restarts by itself in.
_RESTARTING: Final = frozenset({"hybrid", "restart"})
_SECRETS: Final = ("auth_mode", "token", "password")
_PROXY: Final = "trusted-proxy"

_log = logging.getLogger("openclawd.access")


@attrs.frozen(eq=False, repr=False)
class Started:
    """What the gateway was started with; `problem` is what is wrong with the file, where it was not that."""

    loaded: LoadedConfig
    settings: GatewaySettings
    flags: Flags
    problem: ConfigError | None = None


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
        sections: Sections,
        warned: Callable[[], None],
        certificates: Certificates | None = None,
    ) -> None:
        """`warned` is called when there are other `warnings`."""
        self._started = started
        self._sections = sections
        self._warned = warned
        self._settings = started.settings
        self._config_file = config_file
        self._admission = admission
        self._limiter = limiter
        self._clients = clients
        self._certificates = certificates
        self._now_ms = now_ms
        self._changing = trio.Lock()
        self._warnings: tuple[str, ...] = (not_used(started.problem),) if started.problem else ()
        self._last: Reloaded | None = None

    @property
    def settings(self) -> GatewaySettings:
        """Those in force now."""
        return self._settings

    @property
    def loaded(self) -> LoadedConfig:
        """The reading of the file that is in force, but for what needs a restart."""
        return self._sections.loaded

    @property
    def last(self) -> Reloaded | None:
        """What the last file that could be gone by has changed; None before the first."""
        return self._last

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the configuration now, in words."""
        return self._warnings

    def restart_refused(self, keys: Sequence[str], reason: str) -> None:
        """These keys need a restart, and there is none."""
        self._warn(f"{', '.join(keys)} needs a restart, which was refused: {reason}")

    async def keep_last_good(self, loaded: LoadedConfig | None = None) -> None:
        """Keep the text for a start with a broken file; without `loaded`, what the gateway started with."""
        if loaded is None and self._started.problem is not None:
            return
        good = loaded or self._started.loaded
        if not good.exists:
            return
        try:
            await trio.to_thread.run_sync(keep_last_good, good)
        except OSError as error:
            reason = error.strerror or str(error)
            _log.warning("last good config not kept", extra={"fields": {"reason": reason}})

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
            if not_used(error) not in self._warnings:
                problems = [problem.text() for problem in error.problems]
                _log.warning("config not applied", extra={"fields": {"problems": problems}})
            self._warn(not_used(error))
            raise
        await self.keep_last_good(loaded)
        changed = await self._sections.apply(loaded)
        self._last = self._apply(loaded, wanted, changed)
        self._warn(*self._last.problems)
        return self._last

    def _apply(self, loaded: LoadedConfig, wanted: GatewaySettings, changed: tuple[str, ...]) -> Reloaded:
        before = self._settings
        after, waiting = self._permitted(wanted)
        after, renewed, problems = self._certified(after)
        restart_required = (*waiting, *self._needs_start(loaded, wanted))
        applied = (*_changed(before, after, LIVE, LIVE_PAGE), *changed)
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
        restarts = bool(restart_required) and loaded.config.gateway.reload.mode in _RESTARTING
        above = overridden(loaded.process_environ, self._started.flags)
        return Reloaded(applied, restart_required, problems, restarts, above)

    def _warn(self, *warnings: str) -> None:
        if warnings != self._warnings:
            self._warnings = warnings
            self._warned()

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
        started, sections = self._started, self._sections.waiting(loaded)
        switched = [f"{TLS}.enabled"] if bool(started.settings.tls) != bool(wanted.tls) else []
        return (*_changed(started.settings, wanted, AT_START, AT_START_PAGE), *switched, *sections)

    def _dismiss(self, void: str | None) -> int:
        if void is None:
            return 0
        return self._clients.dismiss_where(
            lambda client: client.credential == void,
            lambda client: invalidated(GATEWAY_AUTH_CHANGED, client.wire_generation),
        )


def not_used(problem: ConfigError) -> str:
    """The warning about a file that cannot be gone by."""
    return f"the config file cannot be used, the last good one is in force: {said_in_one_line(problem)}"


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
