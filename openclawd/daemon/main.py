"""`openclawd gateway`: from flags and environment to a running house, and back to an exit code."""

import errno
import gc
import logging
import os
import resource
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from openclawd import __version__
from openclawd.config.last_good import start_config
from openclawd.config.load import ConfigError, LoadedConfig, UsageError
from openclawd.config.paths import Paths, resolve_paths
from openclawd.config.settings import (
    Flags,
    GatewaySettings,
    UnusableFile,
    resolve_settings,
    secret_in_file,
)
from openclawd.daemon.access import not_used
from openclawd.daemon.activation import given_sockets
from openclawd.daemon.announcement import print_link
from openclawd.daemon.backups import precautions
from openclawd.daemon.certificate import Certificates, check_certificate
from openclawd.daemon.certificate_names import certificate_names
from openclawd.daemon.coordinator import Coordinator
from openclawd.daemon.ending import failure_text, refuse
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.fd_store import FdStore
from openclawd.daemon.handover import VARIABLE, Handover, leave, receive, sockets_of
from openclawd.daemon.house import House, Left, Sockets
from openclawd.daemon.image import (
    Image,
    become,
    environment_of,
    is_read_once,
    old_image,
    running_image,
)
from openclawd.daemon.launchd import job_name
from openclawd.daemon.lifecycle import State
from openclawd.daemon.limits import limiter_key
from openclawd.daemon.local_socket import bind_local
from openclawd.daemon.lock import state_lock
from openclawd.daemon.log import configure_logging
from openclawd.daemon.log_file import LOG_NAME
from openclawd.daemon.notify import Notifier
from openclawd.daemon.on_trial import arm, disarm, on_trial, postpone, see_trial_through
from openclawd.daemon.parts import Setting, now_ms
from openclawd.daemon.preflight import preflight
from openclawd.daemon.refusal import StartRefused, unwritable, writable
from openclawd.daemon.serving import serving_words
from openclawd.daemon.signals import (
    has_terminal,
    heed_signals,
    keep_signals_for_the_next,
    received_signals,
)
from openclawd.daemon.sockets import bind_tcp, probe_tcp
from openclawd.daemon.supervisor import PartFailed
from openclawd.daemon.watchdog import reported, watchdog_timeout_s
from openclawd.methods.services import LastRestart, RestartRequest
from openclawd.store.database import open_database
from openclawd.store.errors import StoreError
from openclawd.store.facts import Facts

# What flags may give that travels in the handover, in place of the command line.
_SECRETS: Final = ("token", "password")

# Nobody else may read what we write: the state holds conversations, the config a token.
UMASK: Final = 0o077

# Objects more than before, and collections of each generation, until the next: Python's own figures.
_COLLECTED_AFTER: Final = (700, 10, 10)

# The place belongs to another user, is read-only, or is taken by what is no file.
_NOT_OURS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR})

_log = logging.getLogger("openclawd.gateway")


def run(flags: Flags, environ: Mapping[str, str], *, verbose: bool = False, json_lines: bool = False) -> int:
    """Run the gateway until it is told to stop; the process's exit code. Every refusal is said on stderr."""
    os.umask(UMASK)
    # A crash must not write the secrets in our memory to the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    inherited = receive(os.environ)
    if inherited is not None:
        # Their flags are not in our command line any more. Another version may have more of them.
        secrets = {name: inherited.secrets[name] for name in _SECRETS if name in inherited.secrets}
        flags = attrs.evolve(flags, **secrets)
    try:
        flags = _read_pipes(flags)
        with ExitStack() as process:
            return _run(flags, environ, process, inherited, verbose=verbose, json_lines=json_lines)
    except UsageError as error:
        return refuse(ExitCode.USAGE, error.text(), environ)
    except ConfigError as error:
        return refuse(ExitCode.CONFIG, error.text(), environ)
    except StartRefused as error:
        return refuse(error.exit_code, str(error), environ)
    except (StoreError, PartFailed, ExceptionGroup) as error:
        together = error if isinstance(error, ExceptionGroup) else ExceptionGroup("", [error])
        _, unforeseen = together.split((StoreError, PartFailed))
        if unforeseen is not None:
            raise
        return refuse(ExitCode.UNEXPECTED, failure_text(error), environ)


def _run(
    flags: Flags,
    environ: Mapping[str, str],
    process: ExitStack,
    inherited: Handover | None,
    *,
    verbose: bool,
    json_lines: bool,
) -> int:
    paths = resolve_paths(environ)
    begun = start_config(paths, environ, flags, restarted=inherited is not None)
    loaded, settings = begun.loaded, begun.settings
    with writable(paths.own_dir):
        paths.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.own_dir.mkdir(mode=0o700, exist_ok=True)
    with writable(paths.lock_file):
        held = inherited.lock if inherited is not None else None
        lock = process.enter_context(state_lock(paths.lock_file, now_ms=now_ms(), inherited=held))
    with writable(paths.log_dir / LOG_NAME):
        # Once it runs, a log that cannot be written stops nothing.
        paths.log_dir.mkdir(mode=0o700, exist_ok=True)
        paths.log_dir.chmod(0o700)
        flags_of_log = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        os.close(os.open(paths.log_dir / LOG_NAME, flags_of_log, 0o600))
    log = configure_logging(
        paths.log_dir,
        verbose=verbose,
        level=loaded.config.logging.level,
        stream=sys.stderr,
        # launchd puts it into a file that nobody ever cuts.
        stream_level=logging.NOTSET if job_name(environ) is None else logging.WARNING,
        json_lines=json_lines,
    )
    process.callback(log.close)
    for notice in loaded.notices:
        _log.info(notice)
    if begun.problem is not None:
        _log.warning("config not used", extra={"fields": {"reason": not_used(begun.problem)}})
    loaded, settings = _with_token(loaded, settings)
    notifier = process.enter_context(closing(Notifier(environ)))
    notifier.starting(f"starting generation {inherited.generation if inherited is not None else 1}")
    store = FdStore(notifier)
    handed_over = inherited.tcp if inherited is not None else None
    given = given_sockets(handed_over, os.environ, os.getpid())
    tcp = bind_tcp(settings, given, let_go=store.let_go)
    store.keep(tcp)
    for bound in tcp:
        process.callback(bound.close)
    certificates = _certificates(settings)
    with writable(paths.socket):
        sockets = _sockets(tcp, paths, inherited)
    process.callback(sockets.unix.close)
    process.callback(paths.socket.unlink, missing_ok=True)

    image = running_image()
    on_terminal = inherited.on_terminal if inherited is not None else None
    if on_terminal is None:
        on_terminal = has_terminal()
    secrets = {name: value for name in _SECRETS if (value := getattr(flags, name)) is not None}

    trial = on_trial()

    async def reload(house: House, coordinator: Coordinator) -> None:
        if coordinator.state is State.READY:
            notifier.reloading("reading the configuration again")
        await house.reload(coordinator)
        if coordinator.state is State.READY:
            notifier.reloaded()

    async def live() -> tuple[Coordinator, Left | None]:
        coordinator = Coordinator(
            generation=inherited.generation if inherited is not None else 1,
            preflight=partial(preflight, image.checking(), secrets, listening=settings.port or None),
            changed=notifier.changed,
        )
        # Handlers first: what came between two generations waits for them.
        with received_signals() as signals:
            watchdog_s = watchdog_timeout_s(environ, os.getpid())
            told = reported(
                notifier, lambda: coordinator.state, watchdog_s, lambda: serving(house, coordinator)
            )
            care = precautions(
                paths, loaded.config.openclawd.backup, on_trial=trial is not None, now_ms=now_ms
            )
            async with told, open_database(paths.database, paths.backups, care) as database:
                setting = Setting(
                    loaded=loaded,
                    settings=settings,
                    database=database,
                    address=sockets.address,
                    log_file=log.path,
                    check_config=partial(_check, environ, flags, settings),
                    flags=flags,
                    certificates=certificates,
                    limiter_key=await limiter_key(Facts(database)),
                    restart=coordinator,
                    set_log_level=log.set_level,
                    config_problem=begun.problem,
                    journal=inherited.journal if inherited is not None else None,
                )
                house = House(setting, sockets)
                async with trio.open_nursery(strict_exception_groups=True) as signal_nursery:
                    soon = signal_nursery.start_soon
                    soon(coordinator.serve)
                    soon(
                        see_trial_through,
                        lambda reason: house.restart(coordinator, RestartRequest(reason, "update")),
                    )
                    soon(
                        partial(
                            heed_signals,
                            signals,
                            stop=coordinator.stop,
                            restart=lambda name: soon(
                                house.restart, coordinator, RestartRequest(name, "signal")
                            ),
                            reload=None if on_terminal else lambda: soon(reload, house, coordinator),
                        )
                    )
                    left = await house.live(coordinator, started=partial(announce, house, coordinator))
                    signal_nursery.cancel_scope.cancel()
            if left is not None:
                await keep_signals_for_the_next()
            return coordinator, left

    def serving(house: House, coordinator: Coordinator) -> str:
        nonlocal trial
        # One that was none at the start is none later.
        trial = on_trial() if trial is not None else None
        return serving_words(
            port=sockets.address[1],
            bind=settings.bind,
            clients=house.clients,
            generation=coordinator.generation,
            on_trial_from=trial.trial.from_version if trial is not None else None,
            problem=coordinator.problem,
        )

    def announce(house: House, coordinator: Coordinator) -> None:
        # What was built until here lives as long as the process; collections need not look at it.
        gc.freeze()
        gc.set_threshold(*_COLLECTED_AFTER)
        disarm()
        host, port = sockets.address
        fields: dict[str, object] = {
            "version": __version__,
            "pid": os.getpid(),
            "address": host,
            "port": port,
            "bind": settings.bind,
            "auth": settings.auth_mode,
            "state": str(paths.state_dir),
            "generation": coordinator.generation,
        }
        if inherited is not None:
            coordinator.last_restart = LastRestart(
                inherited.reason, inherited.left_at_ms, max(0, now_ms() - inherited.left_at_ms)
            )
            fields |= {"after": inherited.reason, "gapMs": coordinator.last_restart.gap_ms}
        _log.info("ready", extra={"fields": fields})
        notifier.ready(serving(house, coordinator))
        if inherited is None:
            print_link(settings, host, port, environ, certificates)

    try:
        coordinator, left = trio.run(
            live, strict_exception_groups=True, restrict_keyboard_interrupt_to_checkpoints=True
        )
    except StoreError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NOT_OURS:
            raise unwritable(error.path, error.__cause__) from error
        raise
    if left is None or coordinator.state is State.STOPPING:
        postpone()
        return ExitCode.OK
    handover = Handover(
        generation=coordinator.generation + 1,
        reason=coordinator.reason,
        left_at_ms=left.at_ms,
        lock=lock,
        tcp=tuple(each.fileno() for each in sockets.tcp),
        unix=sockets.unix.fileno(),
        waiting=tuple(each.fileno() for each in left.waiting),
        waiting_local=tuple(each.fileno() for each in left.waiting_local),
        secrets=secrets,
        journal=left.journal,
        on_terminal=on_terminal,
    )
    log.close()
    _become(image, handover)
    return ExitCode.UNEXPECTED


def _read_pipes(flags: Flags) -> Flags:
    """The flags with the secrets that can be read once only; what is wrong with one is told later."""
    for name, file in (("token", flags.token_file), ("password", flags.password_file)):
        if file is not None and is_read_once(Path(file)):
            with suppress(UnusableFile):
                given = getattr(flags, name) or secret_in_file(file)
                flags = attrs.evolve(flags, **{name: given, f"{name}_file": None})
    return flags


def _become(image: Image, handover: Handover) -> None:
    """Be the next generation; returns only when that cannot be, which was said."""
    try:
        document = leave(handover)
        arm()
        environ = environment_of(os.environ) | {VARIABLE: str(document)}
        become([image, old_image(image)], environ, [document, *handover.descriptors])
    except OSError as error:
        print(f"{image.path} cannot be executed: {error.strerror or error}.", file=sys.stderr, flush=True)


def _sockets(tcp: Sequence[socket.socket], paths: Paths, inherited: Handover | None) -> Sockets:
    if inherited is None:
        return Sockets(tcp=tcp, unix=bind_local(paths.socket))
    unix = sockets_of([inherited.unix] if inherited.unix is not None else [])
    return Sockets(
        tcp=tcp,
        unix=bind_local(paths.socket, unix[0] if unix else None),
        waiting=sockets_of(inherited.waiting),
        waiting_local=sockets_of(inherited.waiting_local),
    )


def _with_token(loaded: LoadedConfig, settings: GatewaySettings) -> tuple[LoadedConfig, GatewaySettings]:
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


def _check(environ: Mapping[str, str], flags: Flags, running: GatewaySettings, loaded: LoadedConfig) -> None:
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
        problem = loaded.problem(path, " ".join(str(refused).splitlines()))
        raise ConfigError((problem,), source=str(loaded.paths.config_file)) from refused


def _certificates(settings: GatewaySettings) -> Certificates | None:
    """With TLS, what is shown to clients."""
    if settings.tls is None:
        return None
    return Certificates(settings.tls, partial(certificate_names, settings), now_ms)
