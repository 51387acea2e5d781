"""`openclawd devices`: who may come in, and who asks to.

Over the local socket it works when tokens and pairing are broken.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openclawd.cli.arguments import Commands, add_connection, add_json, warn_of_visible_secrets
from openclawd.cli.failure import Failure
from openclawd.cli.output import duration, print_json, print_table
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.log_text import printable

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc


def add_commands(families: Commands) -> None:
    devices = families.add_parser("devices", help="list, approve and reject devices")
    actions = devices.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="action")

    listing = actions.add_parser("list", help="the devices that wait and those that are paired")
    listing.set_defaults(handler=_list)
    approve = actions.add_parser("approve", help="let a waiting device in")
    approve.set_defaults(handler=_approve)
    reject = actions.add_parser("reject", help="send a waiting device away")
    reject.set_defaults(handler=_reject)
    for action in (approve, reject):
        action.add_argument(
            "request", metavar="REQUEST", nargs="?", help="its request id; needed when several wait"
        )
    for action in (listing, approve, reject):
        add_connection(action)
        add_json(action)


def _list(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import endpoints

    async def ask(rpc: "Rpc") -> dict[str, Any]:
        found: dict[str, Any] = await rpc.ask("device.pair.list", {})
        return found

    warn_of_visible_secrets(arguments)
    found = converse(endpoints(arguments, environ), ask, timeout_ms=arguments.timeout)
    if arguments.json:
        print_json(found)
        return ExitCode.OK
    waiting, paired = found.get("pending", []), found.get("paired", [])
    if waiting:
        print("Waiting (let one in: openclawd devices approve REQUEST)\n")
        _print_waiting(waiting)
        print()
    if paired:
        print("Paired\n")
        print_table(
            ("NAME", "CLIENT", "ROLES", "SCOPES", "PAIRED", "DEVICE"),
            [
                (
                    _name(device),
                    device.get("clientId", "-"),
                    ", ".join(device.get("roles") or [device.get("role", "-")]),
                    _scopes(device),
                    _ago(device.get("approvedAtMs")),
                    device.get("deviceId", "-"),
                )
                for device in paired
            ],
        )
    if not waiting and not paired:
        print("No device is paired and none waits.")
    return ExitCode.OK


def _approve(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return _settle(arguments, environ, method="device.pair.approve", done="Approved", word="approve")


def _reject(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return _settle(arguments, environ, method="device.pair.reject", done="Rejected", word="reject")


def _settle(
    arguments: argparse.Namespace, environ: Mapping[str, str], *, method: str, done: str, word: str
) -> int:
    """Approve or reject the request that was named, or the only one that waits."""
    from openclawd.cli.rpc import converse
    from openclawd.cli.target import endpoints

    async def ask(rpc: "Rpc") -> tuple[Any, Sequence[Mapping[str, Any]]]:
        waiting = (await rpc.ask("device.pair.list", {})).get("pending", [])
        request_id = arguments.request
        if request_id is None and len(waiting) == 1:
            request_id = waiting[0]["requestId"]
        if request_id is None or all(request["requestId"] != request_id for request in waiting):
            return None, waiting
        settled = [request for request in waiting if request["requestId"] == request_id]
        return await rpc.ask(method, {"requestId": request_id}), settled

    warn_of_visible_secrets(arguments)
    answer, requests = converse(endpoints(arguments, environ), ask, timeout_ms=arguments.timeout)
    if answer is not None:
        if arguments.json:
            print_json(answer)
        else:
            device = requests[0]
            print(printable(f"{done}: {_name(device)} ({device.get('clientId', '-')})"))
        return ExitCode.OK
    if not requests:
        raise Failure("No device waits for approval.", cure="What is paired: openclawd devices list")
    if not arguments.json:
        _print_waiting(requests)
        print()
    if arguments.request is None:
        raise Failure(f"{len(requests)} devices wait.", cure=f"Say which: openclawd devices {word} REQUEST")
    raise Failure(
        f"No device waits under the request id {arguments.request}.",
        cure=f"Those above do: openclawd devices {word} REQUEST",
    )


def _print_waiting(requests: Sequence[Mapping[str, Any]]) -> None:
    print_table(
        ("REQUEST", "NAME", "CLIENT", "ROLE", "SCOPES", "FROM", "ASKED"),
        [
            (
                request.get("requestId", "-"),
                _name(request),
                request.get("clientId", "-"),
                request.get("role", "-"),
                _scopes(request),
                request.get("remoteIp", "-"),
                _ago(request.get("ts")),
            )
            for request in requests
        ],
    )


def _name(device: Mapping[str, Any]) -> str:
    return str(device.get("displayName") or device.get("platform") or "unnamed")


def _scopes(device: Mapping[str, Any]) -> str:
    """Without the `operator.` that they all begin with."""
    return ", ".join(str(scope).removeprefix("operator.") for scope in device.get("scopes", [])) or "-"


def _ago(moment_ms: object) -> str:
    if not isinstance(moment_ms, int | float):
        return "-"
    return f"{duration(max(0, time.time() * 1000 - moment_ms))} ago"
