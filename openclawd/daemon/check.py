"""Whether a gateway could start here, found out without starting one: nothing is locked, bound or written, so
it may be asked beside a gateway that runs.

With `program`, it is what a gateway asks of the program that it is about to become (`preflight`).
"""

import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import attrs

from openclawd.agents.catalog import Catalog
from openclawd.agents.roster import roster
from openclawd.config.load import LoadedConfig, load_config
from openclawd.config.paths import Paths, resolve_paths
from openclawd.config.problems import VALIDATE_COMMAND, ConfigError, UsageError
from openclawd.config.settings import Flags, resolve_settings
from openclawd.daemon.certificate import check_certificate
from openclawd.daemon.door import CONTROL_UI
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.local_socket import check_folder
from openclawd.daemon.lock import running_pid
from openclawd.daemon.log_file import LOG_NAME
from openclawd.daemon.refusal import REINSTALL, StartRefused, unwritable
from openclawd.daemon.sockets import probe_tcp
from openclawd.store.errors import StoreError
from openclawd.store.trial import try_database, try_pages

_NAMED_IN_PAGE: Final = re.compile(r'(?:src|href)="\./([^"?#]+)')


@attrs.frozen
class Checked:
    """One thing that a start needs. `problem` is None where there is none; `said` is what was looked at."""

    name: str
    said: str
    problem: str | None = None
    cure: str | None = None
    exit_code: ExitCode = ExitCode.OK


def check(
    flags: Flags, environ: Mapping[str, str], *, beside_running: bool = False, listening: int | None = None
) -> Iterator[Checked]:
    """Each thing that a start with these flags needs, as far as it can be told beforehand.

    `beside_running`: the one who asks has the port, so whether it could be had is not asked; of another one
    than that on which it says that it is `listening`, it is.
    """
    paths, loaded, settings = None, None, None
    try:
        paths = resolve_paths(environ)
        loaded = load_config(paths, environ)
        settings = resolve_settings(loaded, environ, flags)
    except ConfigError as error:
        # The last line is the command.
        *said, _ = error.text().splitlines()
        code = ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.CONFIG
        yield Checked("config", "", "\n".join(said), error.command, code)
    if paths is not None:
        yield _checked("state", str(paths.state_dir), partial(_state, paths))
        in_use = beside_running or running_pid(paths.lock_file) is not None
        yield _checked("database", str(paths.database), partial(_database, paths.database, in_use=in_use))
    if paths is None or loaded is None or settings is None:
        return
    there = "" if loaded.exists else " does not exist: all defaults"
    yield _checked("config", f"{paths.config_file}{there}", partial(_agents, loaded))
    # Of port 0, whether the address is ours is all that can be asked.
    asked = attrs.evolve(settings, port=0) if in_use else settings
    moves = listening is not None and settings.port not in (0, listening)
    probe = partial(probe_tcp, settings, is_ours=False) if moves else partial(probe_tcp, asked)
    yield _checked("address", f"{settings.bind}, port {settings.port}", probe)
    if settings.tls is not None:
        yield _checked("certificate", str(settings.tls.certificate), partial(check_certificate, settings.tls))
    if settings.control_ui.enabled and settings.control_ui.root is None:
        yield _checked("page", str(CONTROL_UI), partial(_page, CONTROL_UI))


def _checked(name: str, said: str, examine: Callable[[], object]) -> Checked:
    try:
        examine()
    except OSError as error:
        problem = f"{error.filename or said}: {error.strerror or error}"
        return Checked(name, said, problem, exit_code=ExitCode.CONFIG)
    except StoreError as error:
        return Checked(name, said, f"{error.path}: {error.problem}", error.cure, ExitCode.UNEXPECTED)
    except StartRefused as error:
        problem, _, cure = str(error).partition("\n")
        return Checked(name, said, problem, cure or None, error.exit_code)
    return Checked(name, said)


def _state(paths: Paths) -> None:
    """Raises StartRefused when this user could not keep the state there."""
    folder = paths.own_dir
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    log = paths.log_dir / LOG_NAME
    for place in (folder, paths.lock_file, log):
        needed = os.R_OK | os.W_OK | (os.X_OK if place == folder else 0)
        if place.exists() and not (os.access(place, needed) and place.is_dir() == (place == folder)):
            is_fixed = os.statvfs(folder).f_flag & os.ST_RDONLY
            number = errno.EROFS if is_fixed else errno.EACCES
            raise unwritable(place, OSError(number, os.strerror(number)))
    if folder == paths.own_dir:
        check_folder(folder, folder.stat())


def _database(path: Path, *, in_use: bool) -> None:
    """Raises StoreError. Damage that a running gateway has not noticed is the next start's to mend."""
    try_database(path)
    if not in_use:
        try_pages(path)


def _agents(loaded: LoadedConfig) -> None:
    """Raises StartRefused when the agents and the models of this config cannot be made."""
    try:
        roster(loaded.config, loaded.paths.state_dir)
        Catalog(loaded.config, loaded.environ, _no_facts)
    except Exception as error:
        raise StartRefused(
            ExitCode.UNEXPECTED,
            f"its agents and models cannot be made: {type(error).__name__}: {error}\n"
            f"Look at its sections `agents` and `models`: {VALIDATE_COMMAND}",
        ) from error


def _no_facts() -> NoReturn:
    raise AssertionError("no model is asked anything here")


def _page(folder: Path) -> None:
    """Raises StartRefused when a file of the page is missing."""
    index = folder / "index.html"
    named = _NAMED_IN_PAGE.findall(index.read_text()) if index.is_file() else []
    missing = next((each for each in ("index.html", *named) if not (folder / each).is_file()), None)
    if missing is not None:
        raise StartRefused(
            ExitCode.UNEXPECTED,
            f"{folder / missing} of the page is missing.\n{REINSTALL}",
        )
