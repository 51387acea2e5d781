"""`openclawd gateway`: from flags and environment to a running house, and back to an exit code."""

import errno
import logging
import os
import resource
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Final

import attrs
import trio

from openclawd.config.last_good import start_config
from openclawd.config.load import ConfigError, UsageError
from openclawd.config.paths import Paths, resolve_paths
from openclawd.config.settings import (
    Flags,
    GatewaySettings,
)
from openclawd.daemon.access import not_used
from openclawd.daemon.activation import given_sockets
from openclawd.daemon.certificate import Certificates
from openclawd.daemon.certificate_names import certificate_names
from openclawd.daemon.coordinator import Coordinator
from openclawd.daemon.ending import failure_text, refuse
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.fd_store import FdStore
from openclawd.daemon.generation import Generation
from openclawd.daemon.handover import VARIABLE, Handover, leave, receive, sockets_of
from openclawd.daemon.house import Left, Sockets
from openclawd.daemon.image import (
    Image,
    become,
    environment_of,
    old_image,
    running_image,
)
from openclawd.daemon.launchd import job_name
from openclawd.daemon.local_socket import bind_local
from openclawd.daemon.lock import state_lock
from openclawd.daemon.log import configure_logging
from openclawd.daemon.log_file import LOG_NAME
from openclawd.daemon.notify import Notifier
from openclawd.daemon.on_trial import arm, postpone
from openclawd.daemon.parts import now_ms
from openclawd.daemon.person import become_person
from openclawd.daemon.refusal import StartRefused, unwritable, writable
from openclawd.daemon.signals import (
    has_terminal,
)
from openclawd.daemon.sockets import bind_tcp
from openclawd.daemon.start_settings import check_next, read_pipes, restart_config, with_token
from openclawd.daemon.supervisor import PartFailed
from openclawd.store.errors import StoreError

# What flags may give that travels in the handover, in place of the command line.
_SECRETS: Final = ("token", "password")

# Nobody else may read what we write: the state holds conversations, the config a token.
UMASK: Final = 0o077

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
        if person := become_person(environ):
            os.environ.update(person)
            environ = {**environ, **person}
        flags = read_pipes(flags)
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
    given = given_sockets(inherited.tcp if inherited is not None else None, os.environ, os.getpid())
    if inherited is None or inherited.config is None:
        begun = start_config(paths, environ, flags, restarted=inherited is not None)
    else:
        begun = restart_config(paths, environ, flags, former=inherited.config, given=given)
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
    loaded, settings = with_token(loaded, settings)
    notifier = process.enter_context(closing(Notifier(environ)))
    notifier.starting(f"starting generation {inherited.generation if inherited is not None else 1}")
    store = FdStore(notifier)
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

    def become_next(coordinator: Coordinator, left: Left) -> None:
        handover = Handover(
            generation=coordinator.generation + 1,
            reason=coordinator.reason,
            left_at_ms=left.at_ms,
            lock=lock,
            tcp=tuple(each.fileno() for each in sockets.tcp),
            unix=sockets.unix.fileno(),
            waiting=tuple(each.fileno() for each in left.waiting),
            waiting_local=tuple(each.fileno() for each in left.waiting_local),
            parting=left.parting,
            secrets=secrets,
            journal=left.journal,
            config=left.config,
            on_terminal=on_terminal,
        )
        log.close()
        _become(image, handover)

    generation = Generation(
        environ=environ,
        flags=flags,
        loaded=loaded,
        settings=settings,
        config_problem=begun.problem,
        check_config=partial(check_next, environ, flags, settings),
        sockets=sockets,
        certificates=certificates,
        log=log,
        notifier=notifier,
        inherited=inherited,
        image=image,
        secrets=secrets,
        on_terminal=on_terminal,
        become_next=become_next,
    )
    try:
        ended_well = trio.run(
            generation.live, strict_exception_groups=True, restrict_keyboard_interrupt_to_checkpoints=True
        )
    except ExceptionGroup as group:
        if (refusal := _foreign_file(group)) is not None:
            raise refusal from group
        raise
    if not ended_well:
        return ExitCode.UNEXPECTED
    postpone()
    return ExitCode.OK


def _become(image: Image, handover: Handover) -> None:
    """Be the next generation; returns only when that cannot be, which was said."""
    try:
        document = leave(handover)
        _judge = arm()  # not waited for: it outlives this program
        environ = environment_of(os.environ) | {VARIABLE: str(document)}
        become([image, old_image(image)], environ, [document, *handover.descriptors])
    except OSError as error:
        print(f"{image.path} cannot be executed: {error.strerror or error}.", file=sys.stderr, flush=True)


def _foreign_file(group: ExceptionGroup[Exception]) -> StartRefused | None:
    """The refusal where nothing else is wrong than a file that is not ours."""
    error: BaseException = group
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, StoreError) and isinstance(error.__cause__, OSError):
        return unwritable(error.path, error.__cause__) if error.__cause__.errno in _NOT_OURS else None
    return None


def _sockets(tcp: Sequence[socket.socket], paths: Paths, inherited: Handover | None) -> Sockets:
    if inherited is None:
        return Sockets(tcp=tcp, unix=bind_local(paths.socket))
    unix = sockets_of([inherited.unix] if inherited.unix is not None else [])
    return Sockets(
        tcp=tcp,
        unix=bind_local(paths.socket, unix[0] if unix else None),
        waiting=sockets_of(inherited.waiting),
        waiting_local=sockets_of(inherited.waiting_local),
        parting=inherited.parting,
    )


def _certificates(settings: GatewaySettings) -> Certificates | None:
    """With TLS, what is shown to clients."""
    if settings.tls is None:
        return None
    return Certificates(settings.tls, partial(certificate_names, settings), now_ms)
