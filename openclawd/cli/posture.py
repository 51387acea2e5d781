"""What is open wider than it need be: who can reach the gateway, how it knows them, who can read its files.

Everything here works, so it is a note; the command that closes it stands beside it.
"""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from openclawd.cli.failure import look_at, reason_of
from openclawd.cli.finding import Finding, failed, note
from openclawd.config.paths import Paths
from openclawd.store.kept import kept_damage

_OTHERS: Final = 0o077
_OTHERS_ENTER: Final = 0o011
# A page of the database, and some more.
_PROBE_BYTES: Final = 16 * 1024


def exposure(running: Mapping[str, Any]) -> Iterator[Finding]:
    """Of a running gateway, by what its `status` tells administrators."""
    bind = str(running.get("bind", "loopback"))
    # What comes over a tailnet is encrypted by it.
    exposed = bind not in {"loopback", "tailnet"} and not str(running.get("address", "")).startswith(
        ("127.", "::1")
    )
    if exposed and running.get("tlsFingerprint") is None:
        said = f"the network can reach the gateway (bind {bind}), and reads along: there is no TLS"
        yield note("exposed", said, "openclawd config set gateway.tls.enabled true")
    if running.get("authMode") == "none":
        said = "auth mode none: every program and every user of this machine may come in"
        yield note("auth", said, "openclawd config set gateway.auth.mode token")
    if running.get("strongSecret") is False:
        yield weak_secret(str(running.get("authMode")), exposed=exposed)


def weak_secret(mode: str, *, exposed: bool) -> Finding:
    """A secret that somebody could guess; the limiter holds guessers back, and its owner with them."""
    reach = "and the network can try" if exposed else "so wrong ones slow the right one, too"
    if mode == "password":
        said = f"a password can be guessed, {reach}; a token that the gateway makes cannot"
        return note("secret", said, "openclawd config set gateway.auth.mode token")
    said = f"the token is short or regular enough to be guessed, {reach}"
    return note("secret", said, "openclawd gateway token rotate")


def files(paths: Paths) -> Iterator[Finding]:
    """Files that other users of this machine can read."""
    folder = _mode(paths.state_dir)
    if folder is not None and folder & _OTHERS:
        said = f"others can look into {paths.state_dir} (mode {folder:04o})"
        yield note("state folder", said, f"chmod 700 {shlex.quote(str(paths.state_dir))}")
    config, around = _mode(paths.config_file), _mode(paths.config_file.parent)
    if config is not None and config & _OTHERS and (around is None or around & _OTHERS_ENTER):
        said = f"others can read {paths.config_file} (mode {config:04o}), where the secrets are"
        yield note("config file", said, f"chmod 600 {shlex.quote(str(paths.config_file))}")


def unwritable(paths: Paths) -> Iterator[Finding]:
    """A state folder that nothing can be written to: no device can be paired, no message kept."""
    folder = next((each for each in (paths.own_dir, paths.state_dir) if each.is_dir()), None)
    if folder is None:
        return
    try:
        with TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
    except OSError as error:
        said = f"{folder} cannot be written: {reason_of(error)}"
        yield failed("state folder", said, look_at(folder, error))


def state(paths: Paths, running: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the state on disk, by a running gateway or by the files that it left."""
    found = running.get("stateWarnings")
    if found is None:
        for kept in kept_damage(paths.database):
            yield note("state", kept.said, kept.cure)
        return
    for each in found:
        yield (failed if each["failing"] else note)("state", each["said"], each["cure"])


def _mode(path: Path) -> int | None:
    """The permission bits; None where there is nothing, or nothing that we may look at."""
    try:
        return path.stat().st_mode & 0o7777
    except OSError:
        return None
