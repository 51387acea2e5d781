"""`openclawd devices remove|rename|rotate|revoke|reset`: what changes for devices that are paired."""

import argparse
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from openclawd.cli.arguments import Commands, add_connection, add_json, warn_of_visible_secrets
from openclawd.cli.device_rows import PREFIX_MIN_CHARACTERS, Row, chosen, name_of
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.log_text import printable

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc


def add_commands(actions: Commands) -> None:
    remove = actions.add_parser("remove", help="forget a device; it has to be paired again")
    remove.set_defaults(handler=_remove)
    rename = actions.add_parser("rename", help="give a device a name")
    rename.set_defaults(handler=_rename)
    rotate = actions.add_parser("rotate", help="a new device token in place of all older ones; prints it")
    rotate.set_defaults(handler=_rotate)
    rotate.add_argument(
        "--scope", action="append", metavar="SCOPE", help="what the new token is for; may be repeated"
    )
    revoke = actions.add_parser("revoke", help="void the device tokens of a device; it stays paired")
    revoke.set_defaults(handler=_revoke)
    for action in (remove, rename, rotate, revoke):
        _add_device(action)
    rename.add_argument("name", metavar="NAME", help="64 characters at most")
    for action in (rotate, revoke):
        action.add_argument("--role", help="operator or node; needed when the device is both")
    reset = actions.add_parser("reset", help="forget every device and every request")
    reset.set_defaults(handler=_reset)
    reset.add_argument("--yes", action="store_true", help="do not ask")
    for action in (remove, rename, rotate, revoke, reset):
        add_connection(action)
        add_json(action)


def _add_device(action: argparse.ArgumentParser) -> None:
    which = action.add_mutually_exclusive_group(required=True)
    explained = f"its id, or the beginning of it ({PREFIX_MIN_CHARACTERS} characters or more)"
    which.add_argument("device", metavar="DEVICE", nargs="?", help=explained)
    # Stock's way to say it, which its own error messages advise.
    which.add_argument("--device", dest="device_option", metavar="DEVICE", help=argparse.SUPPRESS)


def _remove(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    async def act(rpc: "Rpc", device: Row) -> tuple[Any, str]:
        answer = await rpc.ask("device.pair.remove", {"deviceId": device["deviceId"]})
        return answer, f"Removed: {_shown(device)}"

    return _change(arguments, environ, act, also_unreadable=True)


def _rename(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    async def act(rpc: "Rpc", device: Row) -> tuple[Any, str]:
        params = {"deviceId": device["deviceId"], "label": arguments.name}
        answer = await rpc.ask("device.pair.rename", params)
        return answer, f"Renamed: {_shown(device)} is {answer['label']} now"

    return _change(arguments, environ, act)


def _rotate(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    async def act(rpc: "Rpc", device: Row) -> tuple[Any, str]:
        role = _role(device, arguments.role)
        params: dict[str, object] = {"deviceId": device["deviceId"], "role": role}
        if arguments.scope:
            params["scopes"] = arguments.scope
        answer = await rpc.ask("device.token.rotate", params)
        rotated = f"Rotated: the {role} tokens of {_shown(device)} are void"
        if "token" not in answer:
            return answer, f"{rotated}; the device gets a new one when it connects with the gateway's secret."
        return answer, f"{rotated}; the new one is\n{answer['token']}"

    return _change(arguments, environ, act)


def _revoke(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    async def act(rpc: "Rpc", device: Row) -> tuple[Any, str]:
        role = _role(device, arguments.role)
        answer = await rpc.ask("device.token.revoke", {"deviceId": device["deviceId"], "role": role})
        return answer, f"Revoked: the {role} tokens of {_shown(device)} are void"

    return _change(arguments, environ, act)


def _change(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    act: Callable[["Rpc", Row], Awaitable[tuple[Any, str]]],
    *,
    also_unreadable: bool = False,
) -> int:
    """Find the device that was named, do it, and say so in a sentence or as the gateway's own answer."""
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import endpoints

    async def ask(rpc: "Rpc") -> tuple[Any, str]:
        listed = await rpc.ask("device.pair.list", {})
        rows = [*listed.get("paired", []), *(listed.get("unreadable", []) if also_unreadable else [])]
        word = arguments.device or arguments.device_option
        return await act(rpc, chosen(word, rows, "deviceId", kind="device"))

    warn_of_visible_secrets(arguments)
    answer, sentence = converse(endpoints(arguments, environ), ask, timeout_ms=arguments.timeout)
    if arguments.json:
        print_json(answer)
    else:
        print("\n".join(printable(line) for line in sentence.split("\n")))
    return ExitCode.OK


def _reset(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import endpoints

    async def ask(rpc: "Rpc") -> dict[str, int]:
        listed = await rpc.ask("device.pair.list", {})
        devices = [*listed.get("paired", []), *listed.get("unreadable", [])]
        for device in devices:
            await rpc.ask("device.pair.remove", {"deviceId": device["deviceId"]})
        waiting = listed.get("pending", [])
        for request in waiting:
            await rpc.ask("device.pair.reject", {"requestId": request["requestId"]})
        return {"removed": len(devices), "rejected": len(waiting)}

    if not arguments.yes:
        _make_sure()
    warn_of_visible_secrets(arguments)
    done = converse(endpoints(arguments, environ), ask, timeout_ms=arguments.timeout)
    if arguments.json:
        print_json(done)
    else:
        print(f"Removed {done['removed']} devices and rejected {done['rejected']} requests.")
        print("Who comes with the gateway's token or password pairs anew.")
    return ExitCode.OK


def _make_sure() -> None:
    """Ask the person at the terminal; without one somebody has to say --yes."""
    sure = "openclawd devices reset --yes"
    if not sys.stdin.isatty():
        raise Failure("Every device would be forgotten.", cure=f"If so: {sure}", exit_code=ExitCode.USAGE)
    print("Every device is forgotten and sent away; each has to be paired again. Go on? [y/N] ", end="")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Failure("Nothing was changed.")


def _role(device: Row, wanted: str | None) -> str:
    roles = device.get("roles") or [device.get("role")]
    if wanted is not None:
        return wanted
    if len(roles) > 1:
        raise Failure(f"{_shown(device)} is {' and '.join(roles)}.", cure="Say which: --role ROLE")
    return str(roles[0])


def _shown(device: Row) -> str:
    return f"{name_of(device)} ({str(device.get('deviceId', '-'))[:12]})"
