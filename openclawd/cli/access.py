"""`openclawd gateway limits|reload|token`: who was wrong too often, and settings that count at once."""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from openclawd.cli.arguments import Parser, add_connection, add_json, warn_of_visible_secrets
from openclawd.cli.failure import Failure, NotRunning, look_at
from openclawd.cli.output import duration, print_json, print_table
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc
    from openclawd.config.paths import Paths

# As many fit a screen.
_ROWS_MAX: Final = 40


def add_commands(add_action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    limits = add_action("limits", "who has presented wrong secrets, and when he may try again")
    one = limits.add_mutually_exclusive_group()
    one.add_argument("--clear", default=None, metavar="SOURCE", help="forget what this source has tried")
    one.add_argument("--clear-all", default=False, action="store_true", help="forget all that was tried")
    limits.set_defaults(handler=_limits)

    reload = add_action("reload", "go by the config as it is now, as far as that needs no restart")
    reload.set_defaults(handler=_reload)
    for action in (limits, reload):
        add_connection(action)
        add_json(action)

    token = add_action("token", "change the gateway's token")
    words = token.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="word", parser_class=Parser
    )
    rotate = words.add_parser(
        "rotate",
        help="make a new token and print the link with it; nothing is restarted, paired devices stay",
        argument_default=argparse.SUPPRESS,
    )
    rotate.set_defaults(handler=_rotate)
    add_json(rotate)


def _limits(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if arguments.clear is not None or arguments.clear_all:
        return _clear(arguments, environ)
    found = _ask(arguments, environ, "limits", "gateway.limits.list", {})
    if arguments.json:
        print_json(found)
        return ExitCode.OK
    limits = found.get("limits", [])
    if not limits:
        print("Nobody has presented a wrong secret lately.")
        return ExitCode.OK
    # Who has to wait stands first, however many others there are.
    limits = sorted(limits, key=lambda limit: limit["triesLeft"] / limit["tries"])
    print_table(
        ("SOURCE", "TRIED", "TRIES LEFT", "NEXT IS BACK", "LAST SEEN"),
        [
            (
                limit["source"],
                limit["kind"],
                f"{limit['triesLeft']} of {limit['tries']}",
                f"in {_rounded_up(limit['nextTryMs'])}" if limit["nextTryMs"] else "all are",
                f"{duration(max(0, time.time() * 1000 - limit['seenAtMs']))} ago",
            )
            for limit in limits[:_ROWS_MAX]
        ],
    )
    if len(limits) > _ROWS_MAX:
        print(f"\nAnd {len(limits) - _ROWS_MAX} more: openclawd gateway limits --json")
    print("\nForget one: openclawd gateway limits --clear SOURCE")
    return ExitCode.OK


def _clear(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    params = {} if arguments.clear_all else {"source": arguments.clear}
    found = _ask(arguments, environ, "limits", "gateway.limits.clear", params)
    if not found.get("cleared") and not arguments.clear_all:
        raise Failure(
            f"Nothing is known of {arguments.clear}.", cure="Who there is: openclawd gateway limits"
        )
    if arguments.json:
        print_json(found)
    else:
        whom = "everybody" if arguments.clear_all else arguments.clear
        print(f"Forgotten: what {whom} has tried.")
    return ExitCode.OK


def _reload(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    found = _ask(arguments, environ, "reload", "gateway.reload", {})
    if arguments.json:
        print_json(found)
        return ExitCode.OK
    applied, waiting = found.get("applied", []), found.get("restartRequired", [])
    if applied:
        print(f"In force now: {', '.join(applied)}.")
    elif not waiting and not found.get("problems"):
        print("The gateway goes by it already.")
    if waiting and found.get("restarts"):
        print(f"It restarts for this: {', '.join(waiting)}.")
    elif waiting:
        print(f"Counts when it restarts: {', '.join(waiting)}. That is: openclawd gateway restart")
    if found.get("problems"):
        raise Failure("\n".join(found["problems"]))
    return ExitCode.OK


def _rotate(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Over the local socket only: the token never leaves this machine, and comes from the file itself."""
    from openclawd.cli.arguments import refuse_connection_options
    from openclawd.cli.dashboard import page_link
    from openclawd.config.paths import resolve_paths

    refuse_connection_options(arguments, "token rotate")
    paths = resolve_paths(environ)
    is_live = _ask_running(paths, "gateway.token.rotate") is not None
    if not is_live:
        _rotate_in_file(paths, environ)
    link = page_link(environ).url
    if arguments.json:
        print_json({"ok": True, "file": str(paths.config_file), "live": is_live, "url": link})
        return ExitCode.OK
    print(
        "The gateway has a new token. Whoever came in with the old one was sent away; paired devices stay."
        if is_live
        else f"{paths.config_file} has a new token. No gateway is running."
    )
    print(f"\n  Dashboard: {link}\n")
    return ExitCode.OK


def _rotate_in_file(paths: "Paths", environ: Mapping[str, str]) -> None:
    from openclawd.config.file import ConfigFile
    from openclawd.config.load import LoadedConfig, load_config
    from openclawd.config.rotation import NotRotatable, rotate_token
    from openclawd.config.settings import resolve_settings
    from openclawd.daemon.lock import state_lock
    from openclawd.daemon.refusal import StartRefused

    def check(changed: LoadedConfig) -> None:
        resolve_settings(changed, environ)

    loaded = load_config(paths, environ)
    try:
        paths.own_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # So that no gateway runs that would know nothing of it.
        with state_lock(paths.lock_file, now_ms=time.time_ns() // 1_000_000):
            rotate_token(ConfigFile(loaded, check=check), resolve_settings(loaded, environ))
    except NotRotatable as refused:
        raise Failure(str(refused), cure=refused.cure) from None
    except StartRefused as busy:
        raise Failure(
            f"A gateway runs for {paths.state_dir}, and its local socket does not lead to it.",
            cure="Why: openclawd doctor",
            exit_code=busy.exit_code,
        ) from None
    except OSError as error:
        cure = f"See: {look_at(paths.config_file.parent, error)}"
        raise Failure(f"{paths.config_file}: {error.strerror or error}", cure=cure) from error


def reload_running(paths: "Paths") -> Mapping[str, Any] | None:
    """Have the gateway of this state directory go by the file: what it says, None when none runs. Raises
    Failure.
    """
    reloaded: Mapping[str, Any] | None = _ask_running(paths, "gateway.reload")
    return reloaded


def _ask_running(paths: "Paths", method: str) -> Any:
    from openclawd.cli.arguments import DEFAULT_TIMEOUT_MS
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import local_socket

    async def ask(rpc: "Rpc") -> Any:
        return await rpc.ask(method, {})

    endpoints = list(local_socket(paths))
    try:
        return converse(endpoints, ask, timeout_ms=DEFAULT_TIMEOUT_MS)
    except NotRunning:
        return None
    except Failure as failure:
        raise _with_cure(failure) from None


def _with_cure(failure: Failure) -> Failure:
    """The gateway's own advice; a config that it does not take is mended in the file."""
    if failure.cure is None and failure.details is not None:
        cure = failure.details.get("cure")
        if isinstance(cure, str):
            failure.cure = cure
        elif "issues" in failure.details:
            from openclawd.config.problems import VALIDATE_COMMAND

            failure.cure = f"Put it right, then check with: {VALIDATE_COMMAND}"
    return failure


def _ask(
    arguments: argparse.Namespace, environ: Mapping[str, str], command: str, method: str, params: object
) -> Any:
    from openclawd.cli.arguments import refuse_run_options
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import endpoints

    async def ask(rpc: "Rpc") -> Any:
        return await rpc.ask(method, params)

    refuse_run_options(arguments, command)
    warn_of_visible_secrets(arguments)
    try:
        return converse(endpoints(arguments, environ), ask, timeout_ms=arguments.timeout)
    except Failure as failure:
        raise _with_cure(failure) from None


def _rounded_up(milliseconds: int) -> str:
    """What is said to be over then is over then."""
    return duration(-(-milliseconds // 1000) * 1000)
