"""The configuration file while the gateway runs: what it holds now, and how a client replaces it.

So that a client cannot end the gateway's next start, nothing is written that a start would refuse. The file
before is kept as the backup. What of a new file counts at once is for others to say (`applied`).

A hash of the text would let whoever may only read the configuration try out what the secrets in it are; so he
is shown `shown_hash`, that of the text without them.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from openclawd.config import reading
from openclawd.config.atomic import write_atomic
from openclawd.config.load import LoadedConfig, load_config, load_text, read_bytes
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError, ConfigProblem

_SAYS_NOTHING: Final = "this text has no settings, and the file has some; send {} to remove them all"


class BaseHashMissing(Exception):
    """The file exists, and the client did not say which text of it its own began with."""


class BaseHashStale(Exception):
    """The file is not the one any more that the client's text began with."""


@attrs.frozen
class CurrentFile:
    """The file as it is now, whatever it holds.

    `raw` is its text ("" where that is not readable) and `document` what it says; `hash` is the SHA-256 of
    its bytes in hex. With `problems` the gateway would not start with it.
    """

    paths: Paths
    exists: bool
    raw: str = attrs.field(repr=False)
    document: Mapping[str, object] = attrs.field(repr=False)
    hash: str
    notices: tuple[str, ...] = ()
    problems: tuple[ConfigProblem, ...] = ()

    @property
    def shown_hash(self) -> str:
        """The SHA-256, in hex, of what may be shown of the text."""
        return _shown_hash(self.raw, self.document)


class ConfigFile:
    """The file of a running gateway. Its methods block for as long as the disk takes, and may be called from
    any thread.
    """

    def __init__(self, applied: LoadedConfig, *, check: Callable[[LoadedConfig], object]) -> None:
        """`applied` is what the gateway runs with; `check` raises ConfigError for what it could not."""
        self._applied = applied
        self._applied_shown_hash: str | None = None
        self._check = check
        self._writing = threading.Lock()

    @property
    def applied(self) -> LoadedConfig:
        """The latest reading of the file that the gateway goes by in everything."""
        return self._applied

    def apply(self, loaded: LoadedConfig) -> None:
        """The gateway goes by `loaded` in everything."""
        self._applied = loaded
        self._applied_shown_hash = None

    @property
    def applied_shown_hash(self) -> str:
        """The SHA-256, in hex, of what may be shown of the text of `applied`."""
        if self._applied_shown_hash is None:
            self._applied_shown_hash = _shown_hash(self._applied.raw, self._applied.document)
        return self._applied_shown_hash

    def load(self) -> LoadedConfig:
        """What a start would make of the file now. Raises ConfigError."""
        loaded = load_config(self._applied.paths, self._applied.process_environ)
        self._check(loaded)
        return loaded

    def read(self) -> CurrentFile:
        """The file now. Raises OSError."""
        paths = self._applied.paths
        current = CurrentFile(paths, True, "", {}, _digest(b""))
        try:
            data = read_bytes(paths)
            current = attrs.evolve(current, exists=data is not None, hash=_digest(data or b""))
            raw = reading.decode_text(data or b"")
            current = attrs.evolve(current, raw=raw)
            current = attrs.evolve(current, document=reading.parse(raw))
            loaded = self._loaded(raw)
        except reading.NotReadable as error:
            return attrs.evolve(current, problems=(ConfigProblem("", None, str(error), error.line),))
        except ConfigError as error:
            return attrs.evolve(current, problems=error.problems)
        return attrs.evolve(current, notices=loaded.notices)

    def replace(self, raw: str, base_hash: str | None) -> CurrentFile:
        """Write `raw`, secrets that are covered in it put back; the file after that.

        Raises BaseHashMissing, BaseHashStale, ConfigError for a text that cannot be the configuration (then
        nothing is written), OSError.
        """
        with self._writing:
            before = self.read()
            if before.exists and base_hash is None:
                raise BaseHashMissing
            if before.exists and base_hash != before.hash:
                raise BaseHashStale
            text = self._whole(raw, before)
            self._loaded(text)
            paths = self._applied.paths
            write_atomic(paths.config_file, text, backup=paths.config_backup)
            return self.read()

    def edit(self, change: Callable[[str], str]) -> None:
        """Write what `change` makes of the text. Raises what that raises, ConfigError, OSError."""
        with self._writing:
            before = self.read()
            if before.problems:
                raise ConfigError(before.problems, source=str(before.paths.config_file))
            text = change(before.raw)
            self._loaded(text)
            write_atomic(before.paths.config_file, text, backup=before.paths.config_backup)

    def _whole(self, raw: str, before: CurrentFile) -> str:
        """The text to write. Raises ConfigError."""
        from openclawd.config.covered import StillCovered, uncovered

        source = str(before.paths.config_file)
        try:
            reading.parse(raw)
            # A text cut off behind its first comment is the one truncation that can still be read.
            if before.document and reading.is_blank(raw):
                raise ConfigError((ConfigProblem("", None, _SAYS_NOTHING),), source=source)
            return uncovered(raw, before.raw)
        except reading.NotReadable as error:
            problem = ConfigProblem("", None, str(error), error.line)
            raise ConfigError((problem,), source=source) from error
        except StillCovered as error:
            raise ConfigError(error.problems, source=source) from error

    def _loaded(self, raw: str) -> LoadedConfig:
        """What a start would make of `raw`. Raises ConfigError."""
        loaded = load_text(self._applied.paths, raw, self._applied.process_environ)
        self._check(loaded)
        return loaded


def _shown_hash(raw: str, document: Mapping[str, object]) -> str:
    from openclawd.config.redact import redact_text

    return _digest(redact_text(raw, document).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
