"""`openclawd config`: look at the configuration, change it and check it. Secrets are shown covered."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from openclawd.cli import config_edit
from openclawd.cli.arguments import Commands, add_json
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode


def add_commands(families: Commands) -> None:
    config = families.add_parser("config", help="look at the configuration, change it, check it")
    actions = config.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="action")

    get = actions.add_parser("get", help="print a value, or all of the file")
    get.add_argument("path", metavar="PATH", nargs="?", default="", help="such as gateway.port")
    get.set_defaults(handler=_get)
    config_edit.add_commands(actions)
    validate = actions.add_parser("validate", help="check the file; exit code 78 when something is wrong")
    validate.set_defaults(handler=_validate)
    file = actions.add_parser("file", help="print where the file is")
    file.set_defaults(handler=_file)
    for action in (get, validate, file):
        add_json(action)


def _get(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.config.load import load_config
    from openclawd.config.paths import resolve_paths
    from openclawd.config.redact import redact

    loaded = load_config(resolve_paths(environ), environ)
    value = _at(redact(loaded.document), arguments.path)
    if isinstance(value, str) and not arguments.json:
        print(value)
    else:
        print_json(value)
    return ExitCode.OK


def _at(document: object, path: str) -> object:
    """The value at a dotted path; a number picks from a list."""
    value: Any = document
    walked: list[str] = []
    for key in filter(None, path.split(".")):
        walked.append(key)
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and key.isdecimal()
            and int(key) < len(value)
        ):
            value = value[int(key)]
        else:
            raise Failure(
                f"{'.'.join(walked)} is not set in the config file.",
                cure="All that is set: openclawd config get",
            )
    return value


def _validate(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    import attrs

    from openclawd.config.last_good import lost_since_good
    from openclawd.config.load import load_config
    from openclawd.config.paths import resolve_paths
    from openclawd.config.problems import ConfigError
    from openclawd.config.settings import Flags, resolve_settings
    from openclawd.daemon.lock import running_pid

    paths = resolve_paths(environ)
    try:
        loaded = load_config(paths, environ)
        resolve_settings(loaded, environ, Flags())
        running = running_pid(paths.lock_file) is not None
        if (lost := lost_since_good(loaded, running=running)) is not None:
            raise lost
    except ConfigError as error:
        if not arguments.json:
            for problem in error.problems:
                place = (
                    str(paths.config_file) if problem.line is None else f"{paths.config_file}:{problem.line}"
                )
                print(f"{place}: {attrs.evolve(problem, line=None).text()}")
            return ExitCode.CONFIG
        problems = [
            {"path": p.path, "line": p.line, "value": p.value, "expected": p.expected, "hint": p.hint}
            for p in error.problems
        ]
        print_json({"ok": False, "file": str(paths.config_file), "problems": problems})
        return ExitCode.CONFIG
    if arguments.json:
        print_json(
            {
                "ok": True,
                "file": str(paths.config_file),
                "exists": loaded.exists,
                "notices": list(loaded.notices),
            }
        )
        return ExitCode.OK
    print(
        f"{paths.config_file} is fine."
        if loaded.exists
        else f"{paths.config_file} does not exist: all defaults."
    )
    for notice in loaded.notices:
        print(notice)
    return ExitCode.OK


def _file(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.config.paths import resolve_paths

    file = resolve_paths(environ).config_file
    print(json.dumps({"file": str(file), "exists": file.exists()}) if arguments.json else file)
    return ExitCode.OK
