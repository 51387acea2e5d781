"""`openclawd config set|unset`: one value of the file, everything else as the person wrote it.

An edit may not add a problem to the file; the ones that are there may stay, so that several can be mended one
after the other.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from openclawd.cli.access import reload_running
from openclawd.cli.arguments import Commands, add_json
from openclawd.cli.failure import Failure, look_at
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.config.paths import Paths
    from openclawd.config.problems import ConfigProblem


def add_commands(actions: Commands) -> None:
    set_ = actions.add_parser("set", help="set a value; comments and layout stay")
    set_.add_argument("path", metavar="PATH", help="such as gateway.port")
    set_.add_argument("value", metavar="VALUE", help="JSON5; what is none is taken as a text")
    set_.set_defaults(handler=_set)
    unset = actions.add_parser("unset", help="remove a value; comments and layout stay")
    unset.add_argument("path", metavar="PATH", help="such as gateway.port")
    unset.set_defaults(handler=_unset)
    for action in (set_, unset):
        add_json(action)


def _set(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.config.edit import set_value

    value = _value(arguments.value)
    return _edit(arguments, environ, lambda text, path: set_value(text, path, value))


def _unset(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.config.edit import unset_value

    def edit(text: str, path: list[str]) -> str:
        edited = unset_value(text, path)
        if edited == text:
            cure = "All that is set: openclawd config get"
            raise Failure(f"{arguments.path} is not set in the config file.", cure=cure)
        return edited

    return _edit(arguments, environ, edit)


def _edit(
    arguments: argparse.Namespace, environ: Mapping[str, str], edit: Callable[[str, list[str]], str]
) -> int:
    import hashlib

    from openclawd.config.atomic import ChangedMeanwhile, alone_with, write_atomic
    from openclawd.config.edit import EditError
    from openclawd.config.load import read_bytes
    from openclawd.config.paths import resolve_paths
    from openclawd.config.problems import ConfigError
    from openclawd.config.reading import NotReadable, decode_text

    paths = resolve_paths(environ)
    try:
        # A gateway that runs may be writing it, too.
        with alone_with(paths.config_file):
            found_data = read_bytes(paths)
            data = found_data or b""
            text = decode_text(data)
            _refuse_loss(paths, found_data)
            edited = edit(text, arguments.path.split("."))
            known = {(each.path, each.expected) for each in _problems(paths, text, environ)}
            found = _problems(paths, edited, environ)
            added = tuple(each for each in found if (each.path, each.expected) not in known)
            if added:
                raise ConfigError(added, source=f"{paths.config_file} was left as it is")
            write_atomic(
                paths.config_file,
                edited,
                backup=paths.config_backup,
                began_with=hashlib.sha256(data).hexdigest(),
            )
    except ChangedMeanwhile:
        raise Failure(
            f"{paths.config_file} was changed by somebody else at this moment, and was left so.",
            cure="Look at it, then try again: openclawd config get",
        ) from None
    except (EditError, NotReadable) as error:
        raise Failure(f"{paths.config_file}: {error}", cure="See: openclawd config validate") from error
    except OSError as error:
        cure = f"See: {look_at(paths.config_file.parent, error)}"
        raise Failure(f"{paths.config_file}: {error.strerror or error}", cure=cure) from error
    reloaded = _reloaded(paths) if edited != text else None
    if arguments.json:
        answer = {"ok": True, "file": str(paths.config_file), "changed": edited != text}
        print_json(answer if reloaded is None else answer | {"reloaded": reloaded})
    elif edited == text:
        print(f"{arguments.path} has this value already.")
    else:
        print(f"{paths.config_file} is written. {_in_force(reloaded, arguments)}")
    return ExitCode.OK


def _refuse_loss(paths: "Paths", data: bytes | None) -> None:
    """Raises ConfigError for a file that has lost its settings: what is set now would be all that is left."""
    from openclawd.config.last_good import lost_since_good
    from openclawd.config.load import load_data
    from openclawd.config.reading import is_blank
    from openclawd.daemon.lock import running_pid

    if data is not None and not is_blank(data.decode(errors="replace").removeprefix("\ufeff")):
        return
    running = running_pid(paths.lock_file) is not None
    lost = lost_since_good(load_data(paths, data), running=running)
    if lost is not None:
        raise lost


def _reloaded(paths: "Paths") -> Mapping[str, Any] | None:
    """What a running gateway makes of the file; the file is written, whatever that is."""
    try:
        return reload_running(paths)
    except Failure as failure:
        return {"ok": False, **failure.document()}


def _in_force(reloaded: Mapping[str, Any] | None, arguments: argparse.Namespace) -> str:
    """The same in words."""
    if reloaded is None:
        return "It counts from the gateway's next start."
    if not reloaded.get("ok"):
        error = reloaded["error"]
        return "\n".join(
            filter(None, (f"The running gateway does not go by it: {error['message']}", error.get("next")))
        )
    if (above := reloaded.get("overridden", {}).get(arguments.path)) is not None:
        return _held_down_by(str(above), getattr(arguments, "value", "N"))
    if reloaded.get("problems"):
        return "\n".join(["The running gateway goes by it, but for this:", *reloaded["problems"]])
    waiting = reloaded.get("restartRequired", [])
    if not waiting:
        return "The running gateway goes by it."
    if reloaded.get("restarts"):
        keys = ", ".join(waiting)
        return (
            f"The running gateway goes by it; it is to restart for this: {keys}.\n"
            "How that went: openclawd gateway status"
        )
    return f"The running gateway goes by it, but for this until it restarts: {', '.join(waiting)}."


def _held_down_by(above: str, value: str) -> str:
    """What to do where a flag or a variable counts in place of the file."""
    said = (
        f"The running gateway was started with {above}, which counts in place of the file: start it without."
    )
    if above != "--port":
        return said
    return f"{said}\nWhere that is a service: openclawd gateway install --port {value}"


def _value(text: str) -> object:
    """What a word on the command line stands for."""
    from openclawd.config.reading import NotReadable, parse

    try:
        read = parse(f"{{value: {text}\n}}")
    except NotReadable:
        return text
    return read["value"] if read.keys() == {"value"} else text


def _problems(paths: "Paths", text: str, environ: Mapping[str, str]) -> "tuple[ConfigProblem, ...]":
    """What would keep a gateway without flags from starting with `text`."""
    from openclawd.config.load import load_text
    from openclawd.config.problems import ConfigError
    from openclawd.config.settings import Flags, resolve_settings

    try:
        resolve_settings(load_text(paths, text, environ), environ, Flags())
    except ConfigError as error:
        return error.problems
    return ()
