"""The configuration file, read once: text, document, typed Config.

Guaranteed: whatever the file holds, the outcome is a LoadedConfig or a ConfigError that lists all that is
wrong. Nothing is written.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Final

import attrs
import orjson

from openclawd.config import reading
from openclawd.config.model import Config
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigError, ConfigProblem, UsageError
from openclawd.config.structure import Finding, format_path, notices, structure
from openclawd.config.substitution import given_variables, overlaid

__all__ = ["ConfigError", "ConfigProblem", "LoadedConfig", "UsageError", "load_config", "load_text"]

# A longer value says no more in an error message.
_SHOWN_VALUE_CHARS: Final = 60


@attrs.frozen(eq=False)
class LoadedConfig:
    """One reading of the file.

    `raw` is its text and `document` what that says, `${VAR}` not replaced; `hash` is the SHA-256 of the text
    in hex. `environ` is `process_environ`, with the file's `env` where that has nothing.
    """

    paths: Paths
    config: Config
    exists: bool
    raw: str = attrs.field(repr=False)
    document: Mapping[str, object] = attrs.field(repr=False)
    hash: str
    notices: tuple[str, ...]
    environ: Mapping[str, str] = attrs.field(repr=False)
    process_environ: Mapping[str, str] = attrs.field(repr=False)

    def problem(self, path: tuple[str | int, ...], sentence: str, hint: str | None = None) -> ConfigProblem:
        """A problem with what stands at `path`, with its line."""
        return _problems(self.raw, self.document, [Finding(path, said=sentence, hint=hint)])[0]


def load_config(paths: Paths, environ: Mapping[str, str] | None = None) -> LoadedConfig:
    """The configuration as it is on disk now; a missing file is an empty one. Raises ConfigError."""
    return load_data(paths, read_data(paths), environ)


def read_data(paths: Paths) -> bytes | None:
    """What is in the file, None when there is none. Raises ConfigError."""
    try:
        return read_bytes(paths)
    except OSError as error:
        raise file_error(paths, f"cannot be read: {error.strerror or error}") from error
    except reading.NotReadable as error:
        raise file_error(paths, str(error)) from error


def load_data(paths: Paths, data: bytes | None, environ: Mapping[str, str] | None = None) -> LoadedConfig:
    """The configuration that these bytes are as the file. Raises ConfigError."""
    try:
        raw = reading.decode_text(data or b"")
    except reading.NotReadable as error:
        raise file_error(paths, str(error), error.line) from error
    return load_text(paths, raw, environ, exists=data is not None)


def file_error(paths: Paths, sentence: str, line: int | None = None) -> ConfigError:
    """The error for a file that is wrong as a whole."""
    return ConfigError((ConfigProblem("", None, sentence, line),), source=str(paths.config_file))


def load_text(
    paths: Paths, raw: str, environ: Mapping[str, str] | None = None, *, exists: bool = True
) -> LoadedConfig:
    """The configuration that `raw` would be as the file. Raises ConfigError."""
    source = str(paths.config_file)
    try:
        document = reading.parse(raw)
    except reading.NotReadable as error:
        raise file_error(paths, str(error), error.line) from error
    around = os.environ if environ is None else environ
    config, outcome = structure(document, overlaid(around, given_variables(document)))
    if outcome.findings:
        raise ConfigError(_problems(raw, document, outcome.findings), source=source)
    variables = {name: secret.reveal() for name, secret in config.env.variables.items()}
    return LoadedConfig(
        paths=paths,
        config=config,
        exists=exists,
        raw=raw,
        document=document,
        hash=hashlib.sha256(raw.encode()).hexdigest(),
        notices=notices(outcome),
        environ=overlaid(around, variables),
        process_environ=around,
    )


def read_bytes(paths: Paths) -> bytes | None:
    """What is in the file, None when there is none. Raises OSError, NotReadable."""
    try:
        # O_NONBLOCK: opening a FIFO must not wait for its other end.
        descriptor = os.open(paths.config_file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise reading.NotReadable("this is not a file")
        return file.read(reading.MAX_FILE_BYTES + 1)


def _problems(
    raw: str, document: Mapping[str, object], findings: Iterable[Finding]
) -> tuple[ConfigProblem, ...]:
    """The findings for people, in the order of the file."""
    from openclawd.config.syntax import scan

    syntax = scan(raw)
    problems = [
        ConfigProblem(
            path=format_path(finding.path),
            value=None if finding.said is not None else _shown(finding.value, finding.path),
            expected=finding.said if finding.said is not None else finding.expected,
            line=syntax.line_of(finding.path) if document else None,
            hint=finding.hint,
        )
        for finding in findings
    ]
    return tuple(sorted(problems, key=lambda problem: problem.line or 0))


def _shown(value: object, path: tuple[str | int, ...]) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    from openclawd.config.secret_names import hides, is_secret_path

    if is_secret_path(path) or hides(value, path):
        return "***"
    text = repr(value) if isinstance(value, float) else orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN_VALUE_CHARS else f"{text[:_SHOWN_VALUE_CHARS]}…"
