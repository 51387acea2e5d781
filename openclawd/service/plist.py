"""The property list of a launchd job (launchd.plist(5)), as text. Pure: the same job has the same text.

An agent is a job of one user, who must be logged in at the screen; a daemon is a job of the machine, and runs
without anybody. What is left out, and why:

- `Sockets`: launchd would listen for the job, and start it again when somebody connects after a stop.
- `KeepAlive` as a plain true: a gateway that was told to stop, or whose config is wrong, would come back.
- `EnvironmentVariables` with a secret: any user may read a property list. They stand in the config.
- `AbandonProcessGroup`: what a gateway that died has started goes with it.
- `LimitLoadToSessionType`: an agent is for the graphical session without it, and nothing else is meant.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from openclawd.daemon.person import VARIABLE

NAME: Final = "ai.openclawd.gateway"
"""The label of the gateway that has no profile."""

THROTTLE_S: Final = 5
"""Seconds between two starts of a job that failed."""

EXIT_TIMEOUT_S: Final = 15
"""Seconds from SIGTERM to SIGKILL."""

# What a label and a file name can hold without being quoted anywhere.
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# XML 1.0 has no way at all to write these.
_UNWRITABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_PRIVATE: Final = 0o077

Value: TypeAlias = "str | int | bool | list[str] | dict[str, str] | dict[str, bool]"


def label_of(profile: str | None) -> str:
    """What launchd calls the gateway of a profile; None and "default" are the one that has none."""
    return NAME if profile in {None, "", "default"} else f"{NAME}.{profile}"


@attrs.frozen
class JobSpec:
    """One gateway as a job. Paths are absolute, as launchd knows neither `~` nor variables."""

    program: tuple[str, ...]
    """What is executed, and its words."""

    log_file: str
    label: str = NAME
    environment: Mapping[str, str] = attrs.field(factory=dict)
    """Where the state lies, and the like. Never a secret."""

    user: str | None = None
    """Whom a daemon runs as; an agent runs as its own user."""

    guarded: bool = False
    """Whether `program` is the guard of an installation, which is root's where there is a `user`."""

    def __attrs_post_init__(self) -> None:
        """Raises ValueError for what no property list can say, or launchd would take for something else."""
        if not _LABEL.fullmatch(self.label):
            raise ValueError(f"label {self.label!r}: expected letters, digits, dots, - and _")
        if not self.program:
            raise ValueError("program: expected a path and its words")
        for name, path in (("program", self.program[0]), ("log_file", self.log_file)):
            if not path.startswith("/"):
                raise ValueError(f"{name} {path!r}: expected an absolute path")
        for text in (*self.program, self.log_file, *self.environment, *self.environment.values()):
            if _UNWRITABLE.search(text):
                raise ValueError(f"{text!r}: a property list cannot hold such a character")

    @property
    def file_name(self) -> str:
        """As its label, which is what people look for."""
        return f"{self.label}.plist"


def agent_file(home: Path, label: str) -> Path:
    """Where the property list of a user's job lies."""
    return home / "Library" / "LaunchAgents" / f"{label}.plist"


def daemon_file(label: str) -> Path:
    """Where that of a job of the machine lies."""
    return Path("/Library/LaunchDaemons") / f"{label}.plist"


def agent_log(home: Path, label: str) -> Path:
    """What launchd keeps of the output of a user's job; short where there is one gateway."""
    return home / "Library" / "Logs" / f"{_short(label)}.log"


def daemon_log(label: str) -> Path:
    """The same of a job of the machine: a folder of its user's, or launchd could not open the file."""
    return Path("/Library/Logs/openclawd") / f"{_short(label)}.log"


def plist_text(spec: JobSpec) -> str:
    """The file, with the reason for each key beside it."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
        "<!-- openclawd as a job of launchd. No secret stands here: the config has them. -->",
        '<plist version="1.0">',
        "<dict>",
    ]
    for key, value, why in _entries(spec):
        if why:
            lines += [f"\t<!-- {why[0]}", *(f"\t     {line}" for line in why[1:])]
            lines[-1] += " -->"
        lines += [f"\t<key>{key}</key>", *_written(value, "\t")]
    return "\n".join([*lines, "</dict>", "</plist>", ""])


def _entries(spec: JobSpec) -> Iterator[tuple[str, Value, tuple[str, ...]]]:
    """Key, value, and the lines of its reason."""
    yield "Label", spec.label, ()
    yield (
        "ProgramArguments",
        list(spec.program),
        ("A path that stays: which version it leads to is not launchd's business.",),
    )
    if spec.user is not None and not spec.guarded:
        yield "UserName", spec.user, ("Not root, which a gateway has no use for.",)
    environment = dict(spec.environment)
    becomes: tuple[str, ...] = ()
    if spec.user is not None and spec.guarded:
        environment[VARIABLE] = spec.user
        becomes = (
            "Whom the gateway becomes before it does anything. The guard before it is root's, and so is the",
            "program: only root may take back a version that is not well.",
        )
    if environment:
        yield "EnvironmentVariables", dict(sorted(environment.items())), becomes
    yield "RunAtLoad", True, ("From the log-in on, or from the boot on.",)
    yield (
        "KeepAlive",
        {"SuccessfulExit": False},
        (
            "After a crash and after a busy port; not after a clean stop. Under launchd a wrong config ends",
            "with 0, too: another start would not help.",
        ),
    )
    yield (
        "ThrottleInterval",
        THROTTLE_S,
        ("Seconds between two starts; fewer than launchd's own 10, since clients wait.",),
    )
    yield (
        "ExitTimeOut",
        EXIT_TIMEOUT_S,
        ("Seconds from SIGTERM to SIGKILL. It ends within five: runs are put back, clients are told.",),
    )
    yield (
        "ProcessType",
        "Interactive",
        ("Not in the background class: a person waits for the answers.",),
    )
    yield "Umask", _PRIVATE, (f"{_PRIVATE:03o} in octal: nobody else reads the log.",)
    yield (
        "StandardOutPath",
        spec.log_file,
        (
            "Warnings, and what is wrong with a config. Nobody cuts this file, so the rest goes to the",
            "gateway's own log alone.",
        ),
    )
    yield "StandardErrorPath", spec.log_file, ()


def _written(value: Value, indent: str) -> Iterator[str]:
    if isinstance(value, bool):
        yield f"{indent}<{'true' if value else 'false'}/>"
    elif isinstance(value, int):
        yield f"{indent}<integer>{value}</integer>"
    elif isinstance(value, str):
        yield f"{indent}<string>{_escaped(value)}</string>"
    elif isinstance(value, list):
        yield f"{indent}<array>"
        for each in value:
            yield from _written(each, f"{indent}\t")
        yield f"{indent}</array>"
    else:
        yield f"{indent}<dict>"
        for key, inner in value.items():
            yield f"{indent}\t<key>{_escaped(key)}</key>"
            yield from _written(inner, f"{indent}\t")
        yield f"{indent}</dict>"


def _short(label: str) -> str:
    return f"openclawd{label.removeprefix(NAME)}"


def _escaped(text: str) -> str:
    # Commands that only look where a job has its state need none of it.
    import html

    return html.escape(text, quote=False)
