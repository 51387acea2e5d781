"""Where things are on disk (protocol.md 11.1).

Stock's own files and ours live in one state directory; ours only under `<state>/openclawd/`. Nothing here
touches the disk: the folders are made by whoever first writes to them.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from openclawd.config.problems import ConfigError, ConfigProblem

_PROFILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@attrs.frozen
class Paths:
    """The files of one gateway. All are absolute."""

    state_dir: Path
    config_file: Path

    @property
    def own_dir(self) -> Path:
        """Everything that is ours; mode 0700."""
        return self.state_dir / "openclawd"

    @property
    def log_dir(self) -> Path:
        return self.own_dir / "logs"

    @property
    def database(self) -> Path:
        return self.own_dir / "openclawd.sqlite3"

    @property
    def backups(self) -> Path:
        """Backups of all that belongs to the gateway, one a day."""
        return self.own_dir / "backups"

    @property
    def config_backup(self) -> Path:
        """The file as it was before we last wrote it; stock keeps its own beside it."""
        return self.own_dir / "openclaw.json.bak"

    @property
    def config_last_good(self) -> Path:
        """The text of the last file that a gateway could go by, for when it is broken."""
        return self.own_dir / "config.last-good.json"

    @property
    def identity_file(self) -> Path:
        """The gateway's own key."""
        return self.own_dir / "identity.pem"

    @property
    def tls_dir(self) -> Path:
        """Stock's place for the certificate and its key."""
        return self.state_dir / "gateway" / "tls"

    @property
    def lock_file(self) -> Path:
        return self.own_dir / "gateway.lock"

    @property
    def socket(self) -> Path:
        """The local socket. The path may be too long for the kernel: daemon.sockets.short_path."""
        return self.own_dir / "gateway.sock"


def resolve_paths(environ: Mapping[str, str], home: Path | None = None) -> Paths:
    """The paths that `environ` asks for; `home` is the home directory where OPENCLAW_HOME does not say.

    Raises ConfigError for a profile name that is not one, and when there is no home directory.
    """
    base = _home(environ, home)
    state = _path(environ, "OPENCLAW_STATE_DIR", base) or base / _state_name(environ)
    config = _path(environ, "OPENCLAW_CONFIG_PATH", base) or state / "openclaw.json"
    return Paths(state_dir=state, config_file=config)


def profile_of(environ: Mapping[str, str]) -> str | None:
    """Which of several gateways is meant, by its name as it was given; None for the one without a name."""
    name = environ.get("OPENCLAW_PROFILE", "").strip()
    return None if name in {"", "default"} else name


def _home(environ: Mapping[str, str], home: Path | None) -> Path:
    asked = environ.get("OPENCLAW_HOME", "").strip()
    if asked and not asked.startswith("~"):
        return _absolute(Path(asked))
    if home is None:
        told = environ.get("HOME", "").strip()
        try:
            home = Path(told) if told else Path.home()
        except RuntimeError as error:
            raise _refused("HOME", None, "there is no home directory; set OPENCLAW_STATE_DIR") from error
    return _absolute(expanded(asked, home) if asked else home)


def _state_name(environ: Mapping[str, str]) -> str:
    profile = profile_of(environ)
    if profile is None:
        return ".openclaw"
    if not _PROFILE.fullmatch(profile):
        raise _refused("OPENCLAW_PROFILE", repr(profile), "letters, digits, - and _ (64 at most)")
    return f".openclaw-{profile}"


def _path(environ: Mapping[str, str], name: str, home: Path) -> Path | None:
    text = environ.get(name, "").strip()
    return _absolute(expanded(text, home)) if text else None


def expanded(text: str, home: Path) -> Path:
    """The path that `text` means where `~` is `home`, which is not always the user's."""
    return home if text == "~" else home / text[2:] if text.startswith("~/") else Path(text)


def _absolute(path: Path) -> Path:
    # Not resolve(): a symlinked state directory keeps the name that the person gave it.
    return Path(os.path.abspath(path))  # noqa: PTH100 - pathlib has no lexical `..` removal


def _refused(name: str, value: str | None, expected: str) -> ConfigError:
    return ConfigError((ConfigProblem(name, value, expected),))
