"""The program that this process runs, and becoming the next one in its place (execve(2)).

What is executed is what was typed: a link in the path stays a link, so that a restart after an update runs
what the link leads to now. Words that hold a secret are left out; what they said travels in the handover.

The process keeps its id, so systemd, launchd, a container and a terminal see one process all the time.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import attrs

from openclawd.slots.carried import PROGRAM, carried

# Every signal that means something to a gateway: one that came while nobody handles it would kill.
HELD_BACK: Final = frozenset((signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT))
_RUNNING: Final = Path("/proc/self/exe")
_SECRET_FLAGS: Final = ("--token", "--password")
_SECRET_FILE_FLAGS: Final = ("--token-file", "--password-file")


@attrs.frozen
class Image:
    """A program: the file, and the words that it is started with, its own name first."""

    path: str
    words: tuple[str, ...] = attrs.field(repr=False)

    def checking(self) -> tuple[str, ...]:
        """The command line that asks this program whether it could start (`gateway check`)."""
        own = len(self.words) - 1 - tuple(reversed(self.words)).index("gateway")
        rest = [word for word in self.words[own + 1 :] if word != "run"]
        return (self.path, *self.words[1 : own + 1], *rest, "check")


def running_image() -> Image:
    """The program of this process, as it was started; to be asked before the working directory changes."""
    # A frozen program's own words; of an interpreter's, also those that are for the interpreter.
    words = sys.argv if getattr(sys, "frozen", False) else sys.orig_argv
    inside = carried()
    if inside is not None:
        words = [str(inside / PROGRAM), *words[1:]]
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        folder = Path()  # was removed: what is named by a whole path is found all the same
    return image_of(words, folder, os.environ.get("PATH"))


def image_of(words: Sequence[str], folder: Path, search_path: str | None) -> Image:
    """The program that `words` start in `folder`, without words that hold secrets or that cannot be gone by
    again.
    """
    name = words[0]
    found = shutil.which(name, path=search_path) if os.sep not in name else name
    path = os.path.join(folder, found or name)  # noqa: PTH118  a Path would drop a trailing `..` of a link
    return Image(path, (name, *_without_secrets(words[1:], folder)))


def old_image(image: Image) -> Image:
    """The program that runs now, whatever `image.path` leads to meanwhile; even one that was removed, where
    the kernel still has it (proc(5), /proc/pid/exe).
    """
    if _RUNNING.exists():
        return attrs.evolve(image, path=str(_RUNNING))
    return attrs.evolve(image, path=str(Path(sys.executable).resolve()))


def is_read_once(file: Path) -> bool:
    """Whether what a secret was read from cannot be read again: a pipe, as in `--token-file <(command)`."""
    try:
        return file.exists() and not file.is_file()
    except OSError:
        return False  # who reads it says why it cannot be read


def _without_secrets(words: Iterable[str], folder: Path) -> list[str]:
    kept: list[str] = []
    flag: str | None = None
    for word in words:
        name, given, value = word.partition("=")
        if flag is not None:
            # The value of the word before.
            if flag in _SECRET_FILE_FLAGS and not is_read_once(folder / word):
                kept += [flag, word]
            flag = None
        elif name in (*_SECRET_FLAGS, *_SECRET_FILE_FLAGS):
            if not given:
                flag = name
            elif name in _SECRET_FILE_FLAGS and not is_read_once(folder / value):
                kept.append(word)
        else:
            kept.append(word)
    return kept


def hold_signals_back() -> None:
    """From here on the signals that mean something wait, also over `become`, for `let_signals_through`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)


def let_signals_through() -> None:
    """Handlers stand again; those that came meanwhile are delivered."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


def become(images: Sequence[Image], environ: Mapping[str, str], descriptors: Sequence[int]) -> NoReturn:
    """Execute the first of `images` that can be executed, with `descriptors` open in it.

    Whatever else this process does ends in its middle. Raises OSError, the last one, when none can be; then
    no descriptor is inheritable any more.
    """
    failure = OSError("there is no program to execute")
    for image in images:
        try:
            # No earlier: whatever is started with one of these would keep the port and the lock.
            for descriptor in descriptors:
                os.set_inheritable(descriptor, True)
            os.execve(image.path, image.words, environ)  # noqa: S606  no shell is wanted
        except OSError as error:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            failure = error
    raise failure


def environment_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment to start a program of ours with: as this one was started, before it was unpacked.

    A frozen program looks for its libraries beside itself, and tells what it starts to do so, too; the next
    version has others (pyinstaller.org, run-time information).
    """
    around = dict(environ)
    if getattr(sys, "frozen", False):
        around["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
        original = around.pop("LD_LIBRARY_PATH_ORIG", None)
        around.pop("LD_LIBRARY_PATH", None)
        if original is not None:
            around["LD_LIBRARY_PATH"] = original
    return around
