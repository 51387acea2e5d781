"""The configuration file while the gateway runs: what it holds now, and how a client replaces it.

So that a client cannot end the gateway's next start, nothing is written that a start would refuse. The file
before is kept as the backup. What of a new file counts at once is for others to say (`applied`).

A hash of the text would let whoever may only read the configuration try out what the secrets in it are; so he
is shown `shown_hash`, that of the text without them.
"""

import hashlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import attrs
import orjson

from openclawd.config import reading
from openclawd.config.atomic import ChangedMeanwhile, alone_with, write_atomic
from openclawd.config.last_good import lost_settings
from openclawd.config.load import LoadedConfig, load_data, load_text, read_bytes, read_data
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError, ConfigProblem

_SAYS_NOTHING: Final = "this text has no settings, and the file has some; send {} to remove them all"


# Of settings, as JSON. Below that a file may lose most of them without anything being wrong.
_GUARDED_BYTES: Final = 1024
# A text that was begun from a part of the file, or cut off, has lost more.
_LEFT_AT_LEAST: Final = 0.5


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

    def __init__(
        self,
        applied: LoadedConfig,
        *,
        check: Callable[[LoadedConfig], object],
        from_elsewhere: bool = False,
    ) -> None:
        """`applied` is what the gateway runs with, and not what is in the file if it is `from_elsewhere`;
        `check` raises ConfigError for what it could not run with.
        """
        self._applied = applied
        self._applied_shown_hash: str | None = None
        self._check = check
        self._writing = threading.Lock()
        self._seen_hash = applied.hash if applied.exists and not from_elsewhere else None

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

    @property
    def seen_hash(self) -> str | None:
        """The hash of what `load` found the last time; None where that was no file, or nothing readable."""
        return self._seen_hash

    def load(self) -> LoadedConfig:
        """What a start would make of the file now. Raises ConfigError; also for a file that is gone, or has
        nothing in it any more, as nobody changes settings so.
        """
        applied, self._seen_hash = self._applied, None
        data = read_data(applied.paths)
        self._seen_hash = _digest(data) if data is not None else None
        loaded = load_data(applied.paths, data, applied.process_environ)
        if (lost := lost_settings(loaded, applied.document)) is not None:
            raise lost
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
            now = attrs.evolve(loaded, exists=current.exists)
            # A change of nothing would be all that is left.
            if (lost := lost_settings(now, self._applied.document)) is not None:
                raise lost
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
        with self._alone():
            before = self.read()
            _check_base(before, base_hash)
            text = self._whole(raw, before)
            self._loaded(text)
            # Where the file has lost its settings, they are those in force.
            _refuse_loss(before, before.document or (self._applied.document if before.problems else {}), text)
            self._write(before, text)
            return self.read()

    def patch(
        self, raw: str, base_hash: str | None, replaced: Collection[str] | None = None
    ) -> tuple[CurrentFile, tuple[str, ...]]:
        """Change what the merge patch `raw` names and leave the rest of the text as it is: the file after
        that, and the paths that have changed. Nothing is written where none has.

        `replaced` names the lists that may lose items; None: all may. Raises as `replace` does, and
        PatchRefused. A patch of what a page keeps there for itself needs no `base_hash`.
        """
        from openclawd.config.covered import StillCovered, uncovered
        from openclawd.config.patch import changed_paths, patched, small_change

        with self._alone():
            before = self.read()
            source = str(before.paths.config_file)
            if before.problems:
                raise ConfigError(before.problems, source=source)
            try:
                text = uncovered(patched(before.raw, reading.parse(raw), replaced), before.raw)
            except reading.NotReadable as error:
                problem = ConfigProblem("", None, f"the patch: {error}", error.line)
                raise ConfigError((problem,), source=source) from error
            except StillCovered as error:
                raise ConfigError(error.problems, source=source) from error
            changed = changed_paths(before.document, reading.parse(text))
            if base_hash is not None or not small_change(changed):
                _check_base(before, base_hash)
            if not changed:
                return before, ()
            self._loaded(text)
            self._write(before, text)
            return self.read(), changed

    def edit(self, change: Callable[[str], str]) -> None:
        """Write what `change` makes of the text. Raises what that raises, ConfigError, OSError."""
        with self._alone():
            before = self.read()
            if before.problems:
                raise ConfigError(before.problems, source=str(before.paths.config_file))
            text = change(before.raw)
            self._loaded(text)
            self._write(before, text)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else of ours writes the file meanwhile: not here, and in no other process."""
        with self._writing, alone_with(self._applied.paths.config_file):
            yield

    def _write(self, before: CurrentFile, text: str) -> None:
        """Raises BaseHashStale, OSError."""
        paths = before.paths
        try:
            write_atomic(paths.config_file, text, backup=paths.config_backup, began_with=before.hash)
        except ChangedMeanwhile:
            raise BaseHashStale from None

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


def _check_base(before: CurrentFile, base_hash: str | None) -> None:
    """Raises BaseHashMissing, BaseHashStale."""
    if before.exists and base_hash is None:
        raise BaseHashMissing
    if before.exists and base_hash != before.hash:
        raise BaseHashStale


def _refuse_loss(before: CurrentFile, known: Mapping[str, object], text: str) -> None:
    """Raises ConfigError for a text that has lost most of the settings that are known."""
    size, left = (len(orjson.dumps(each)) for each in (known, reading.parse(text)))
    if size >= _GUARDED_BYTES and left < size * _LEFT_AT_LEAST:
        sentence = (
            f"this text has {left} bytes of the {size} that the settings have, as if it were a part of them;"
            " to remove so much, use config.patch with null, or edit the file"
        )
        raise ConfigError((ConfigProblem("", None, sentence),), source=str(before.paths.config_file))


def _shown_hash(raw: str, document: Mapping[str, object]) -> str:
    from openclawd.config.redact import redact_text

    return _digest(redact_text(raw, document).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
