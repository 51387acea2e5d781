"""`openclawd devices`: who may come in, and who asks to.

Over the local socket it works when tokens and pairing are broken.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openclawd.cli import device_changes
from openclawd.cli.arguments import Commands, add_connection, add_json, warn_of_visible_secrets
from openclawd.cli.device_rows import (
    Row,
    chosen,
    name_of,
    print_paired,
    print_unreadable,
    print_waiting,
)
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode
from openclawd.daemon.log_text import printable

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc


def add_commands(families: Commands) -> None:
    devices = families.add_parser("devices", help="list, approve, rename and remove devices")
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
    device_changes.add_commands(actions)


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
    parts = (
        ("Waiting (let one in: openclawd devices approve REQUEST)", "pending", print_waiting),
        ("Paired", "paired", print_paired),
        ("Unreadable (pair anew, or: openclawd devices remove DEVICE)", "unreadable", print_unreadable),
    )
    shown = [(heading, rows, show) for heading, key, show in parts if (rows := found.get(key))]
    for number, (heading, rows, show) in enumerate(shown):
        print(f"{heading}\n" if number == 0 else f"\n{heading}\n")
        show(rows)
    if not shown:
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

    async def ask(rpc: "Rpc") -> tuple[Any, Sequence[Row]]:
        waiting = (await rpc.ask("device.pair.list", {})).get("pending", [])
        if not waiting or (arguments.request is None and len(waiting) > 1):
            return None, waiting
        row = waiting[0]
        if arguments.request is not None:
            row = chosen(arguments.request, waiting, "requestId", kind="request")
        return await rpc.ask(method, {"requestId": row["requestId"]}), [row]

    warn_of_visible_secrets(arguments)
    answer, requests = converse(endpoints(arguments, environ), ask, timeout_ms=arguments.timeout)
    if answer is None:
        if not requests:
            raise Failure("No device waits for approval.", cure="What is paired: openclawd devices list")
        if not arguments.json:
            print_waiting(requests)
            print()
        raise Failure(f"{len(requests)} devices wait.", cure=f"Say which: openclawd devices {word} REQUEST")
    if arguments.json:
        print_json(answer)
    else:
        device = requests[0]
        print(printable(f"{done}: {name_of(device)} ({device.get('clientId', '-')})"))
    return ExitCode.OK
