"""This machine's gateway, as `openclawd doctor` finds it: its config, its process, its socket, its secret."""

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from openclawd.cli.failure import Failure
from openclawd.cli.finding import Finding, failed, note, ok
from openclawd.cli.known_secret import is_right, why_wrong
from openclawd.cli.place import Place
from openclawd.cli.posture import exposure, files, state, unwritable
from openclawd.config.paths import resolve_paths
from openclawd.config.problems import ConfigError, UsageError

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc
    from openclawd.config.secret import Secret
    from openclawd.config.settings import GatewaySettings

# On its own machine, a gateway that is well answers within milliseconds.
_ASK_TIMEOUT_MS: Final = 2_000


class OwnGateway:
    """Lazily: nothing is asked before somebody wants to know."""

    def __init__(self, arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._environ = environ
        self._paths = resolve_paths(environ)
        self._settings: GatewaySettings | None = None
        self._running: Mapping[str, Any] | None = None
        self.place: Place | None = None
        """Where a browser on this machine finds the page; None when there is nothing to visit."""

    def findings(self) -> Iterator[Finding]:
        """The config and the process; afterwards `place` is known."""
        yield self._read_config()
        try:
            self._running = self._ask_over_socket(_status)
        except Failure as failure:
            yield self._not_running(failure)
            return
        running = self._running
        asked = self._arguments.port
        if asked is not None and str(asked) != str(running.get("port")):
            said = f"running, process {running.get('pid')}, on port {running.get('port')} and not on {asked}"
            yield failed("gateway", said, "openclawd doctor")
            return
        yield ok("gateway", f"running, process {running.get('pid')}, version {running.get('version')}")
        yield from _restarts(running)
        refused = running.get("restartProblem")
        for warning in running.get("configWarnings", []):
            if refused is None or refused not in warning:
                # What is wrong may be beside the file: a certificate, an address.
                cure = "openclawd config validate" if self._settings is None else "openclawd gateway check"
                yield failed("config in force", warning, cure)
        if running.get("authMode") == "trusted-proxy":
            said = "people come through a proxy that names them: go its way"
            public = self._settings.public_origin if self._settings is not None else None
            yield note("way in", said, f"openclawd doctor --url {public or 'https://…'}")
            return
        self.place = self._place(running)

    def secret(self) -> Iterator[tuple[Finding, dict[str, "Secret"]]]:
        """What commands and people here would present, if it is the one that the gateway asks for."""
        mode = str((self._running or {}).get("authMode"))
        if mode not in {"token", "password"} or self._settings is None:
            return
        secret = self._settings.token if mode == "token" else self._settings.password
        flag = (self._running or {}).get("secretFlag")
        if flag and not self._secret_is_given and not (secret and self._is_right(secret)):
            said = f"the gateway was started with {flag}, so this command does not know the {mode}"
            yield note("secret", said, f"openclawd doctor --{mode}-file FILE"), {}
        elif not secret:
            said = f"the gateway asks for a {mode}, and the config here has none"
            cure = "give it: openclawd doctor --token-file FILE" if mode == "token" else None
            yield failed("secret", said, cure or "give it: openclawd doctor --password-file FILE"), {}
        elif self._is_right(secret):
            yield ok("secret", f"the {mode} that is known here is the gateway's"), {mode: secret}
        elif self._secret_is_given:
            said = f"the {mode} that was given is not the one that the gateway asks for"
            yield failed("secret", said, "without it, the config's is tried: openclawd doctor"), {}
        else:
            yield failed("secret", *why_wrong(mode)), {}

    def notes(self) -> Iterator[Finding]:
        """What is open wider than it need be."""
        yield from unwritable(self._paths)
        yield from state(self._paths, self._running or {})
        yield from exposure(self._running or {})
        yield from files(self._paths)

    def given(self) -> tuple[dict[str, "Secret"], str | None]:
        """With --url: the secrets that were given by hand, and the certificate that is expected there."""
        from openclawd.cli.target import endpoints

        endpoint = next(endpoints(self._arguments, self._environ))
        secrets = {"token": endpoint.token, "password": endpoint.password}
        pin = endpoint.pin
        return {kind: each for kind, each in secrets.items() if each}, pin.sha256 if pin is not None else None

    def fingerprint(self) -> str | None:
        """The certificate that the running gateway shows, as 64 hex digits."""
        shown = (self._running or {}).get("tlsFingerprint")
        if not isinstance(shown, str):
            return None
        from openclawd.cli.pin import plain

        return plain(shown)

    def record(self, mark: str) -> Mapping[str, object] | None:
        """This machine's gateway's own record of the try that gave `mark` as its version."""

        async def ask(rpc: "Rpc") -> Any:
            return await rpc.ask("gateway.admissions", {})

        try:
            recent = self._ask_over_socket(ask).get("recent", [])
        except Failure:
            return None
        return next((record for record in recent if record.get("version") == mark), None)

    @property
    def _secret_is_given(self) -> bool:
        names = ("token", "token_file", "password", "password_file")
        return any(getattr(self._arguments, name) is not None for name in names)

    # --- asking

    def _read_config(self) -> Finding:
        from openclawd.cli.target import given_flags, settings_for
        from openclawd.config.last_good import lost_since_good
        from openclawd.config.load import load_config
        from openclawd.daemon.lock import running_pid

        file = self._paths.config_file
        try:
            flags = given_flags(self._arguments) if not self._arguments.url else None
            self._settings = settings_for(self._paths, self._environ, flags)
            loaded = load_config(self._paths, self._environ)
            running = running_pid(self._paths.lock_file) is not None
            if (lost := lost_since_good(loaded, running=running)) is not None:
                raise lost
        except UsageError:
            raise
        except ConfigError as error:
            *said, _ = error.text().splitlines()  # the last line is the cure
            return failed("config", "\n".join(said), error.command)
        return ok("config", str(file) if file.exists() else f"{file} does not exist: all defaults")

    def _not_running(self, failure: Failure) -> Finding:
        from openclawd.cli.failure import NotRunning
        from openclawd.daemon.lock import running_pid
        from openclawd.daemon.port_holder import port_holder, way_out
        from openclawd.service.found import find_service
        from openclawd.service.systemctl import Systemctl

        pid = running_pid(self._paths.lock_file)
        service = find_service(self._paths, self._environ, pid)
        if pid is not None:
            restart = f"start it anew: kill {pid}, then openclawd gateway"
            if service is not None and service.pid == pid and service.supervisor == "systemd":
                restart = f"{Systemctl(service.of_user).command} restart {service.name}"
            if not isinstance(failure, NotRunning):
                return failed("gateway", f"process {pid} runs and is stuck: {failure.message}", restart)
            said = f"process {pid} runs, and does not listen at {self._paths.socket}"
            return failed("gateway", said, restart)
        if service is not None:
            return self._stopped_service()
        if self._settings is not None and (holder := port_holder(self._settings.port)) is not None:
            port = self._settings.port
            said = f"not running, and port {port} is held by {holder}"
            return failed("gateway", said, f"stop that, or: {way_out(port)}")
        if isinstance(failure, NotRunning):
            return failed(
                "gateway", f"not running: there is none for {self._paths.state_dir}", "openclawd gateway"
            )
        return failed("gateway", f"cannot be asked: {failure.message}", failure.cure)

    def _stopped_service(self) -> Finding:
        """Why it does not run, by its supervisor, and what helps."""
        from openclawd.cli.gateway_screen import why_down
        from openclawd.cli.gateway_seen import look_around
        from openclawd.cli.next_step import next_step
        from openclawd.daemon.port_holder import listener_command

        seen = look_around(self._environ)
        cure = next_step(seen)
        if cure.endswith("openclawd doctor") and self._settings is not None:
            # Another user's: only root sees whose.
            cure = listener_command(self._settings.port)
        return failed("gateway", "\n".join(why_down(seen)), cure)

    def _is_right(self, secret: "Secret") -> bool:
        async def ask(rpc: "Rpc") -> bool:
            return await is_right(rpc, secret)

        try:
            return self._ask_over_socket(ask) is True
        except Failure:
            return False

    def _ask_over_socket(self, conversation: Any) -> Any:
        """Over the local socket only: there it is this machine's gateway for certain, and knows us."""
        from openclawd.cli.failure import NotRunning
        from openclawd.cli.rpc import converse
        from openclawd.cli.target import local_socket

        found = list(local_socket(self._paths))
        if not found:
            raise NotRunning(f"there is no gateway for {self._paths.state_dir}")
        return converse(found, conversation, timeout_ms=_ASK_TIMEOUT_MS)

    def _place(self, running: Mapping[str, Any]) -> Place | None:
        from openclawd.daemon.link import reachable

        port, address = running.get("port"), running.get("address")
        if not isinstance(port, int) or not isinstance(address, str):
            return None  # another gateway than openclawd, which does not say
        base = self._settings.control_ui.base_path if self._settings is not None else ""
        return Place(reachable(address), port, running.get("tlsFingerprint") is not None, f"{base}/")


def _restarts(running: Mapping[str, Any]) -> Iterator[Finding]:
    """Its last restart, whether another is under way, and what none in place can apply."""
    from openclawd.cli.running import last_restart_of, lifecycle_of, refused_restart_of
    from openclawd.cli.service_unit import unit_of

    lifecycle, last = lifecycle_of(running), last_restart_of(running)
    if lifecycle is not None:
        yield note("restart", f"the gateway is {lifecycle}", "openclawd logs -f")
    elif last is not None:
        yield ok("restart", last)
    waits = bool(running.get("restartRequiredFor"))
    if (refused := refused_restart_of(running)) is not None:
        was_refused = running.get("restartProblem") is not None
        cure = "openclawd gateway check" if was_refused else "openclawd gateway restart"
        yield (failed if waits and was_refused else note)("restart", refused, cure)
    pid = running.get("pid")
    unit = unit_of(pid) if isinstance(pid, int) else None
    if unit is not None and unit.said is not None:
        yield note("service", unit.said, unit.command)


async def _status(rpc: "Rpc") -> dict[str, Any]:
    from openclawd.cli.running import running_gateway

    return await running_gateway(rpc)
