"""`openclawd gateway start` and `uninstall`: the service that `gateway install` has put in place."""

import argparse
from collections.abc import Callable, Mapping

from openclawd.cli.arguments import add_service
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode


def add_commands(add_action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    start = add_action("start", "start the service that was installed, and wait until it serves")
    add_service(start)
    start.add_argument("--json", action="store_true", default=False, help="print JSON")
    start.set_defaults(handler=_start)

    uninstall = add_action("uninstall", "stop the service for good; the program and all data stay")
    add_service(uninstall)
    uninstall.add_argument("--json", action="store_true", default=False, help="print JSON")
    uninstall.set_defaults(handler=_uninstall)


def _start(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.arguments import refuse_connection_options
    from openclawd.cli.service import chosen, said_plainly, started
    from openclawd.service.surroundings import obstacle

    refuse_connection_options(arguments, "start")
    asked = chosen(arguments, environ)
    if asked.around.manager == "none":
        advice = obstacle(asked.around, system=asked.system)
        raise Failure(
            advice.text if advice is not None else "Nothing here starts services.", cure="openclawd gateway"
        )
    with said_plainly():
        anew = started(asked.service)
    if arguments.json:
        print_json({"ok": True, "started": anew})
    else:
        print("The gateway has been started." if anew else "The gateway runs already.")
        print("How it is: openclawd gateway status")
    return ExitCode.OK


def _uninstall(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.arguments import refuse_connection_options
    from openclawd.cli.output import shown
    from openclawd.cli.service import chosen, said_plainly
    from openclawd.config.paths import resolve_paths
    from openclawd.service.program import own_installation
    from openclawd.service.systemd_service import SystemdService

    refuse_connection_options(arguments, "uninstall")
    asked = chosen(arguments, environ)
    service = asked.service
    with said_plainly():
        packaged = service.packaged() if isinstance(service, SystemdService) else None
        was_there = service.uninstall()
    installation = own_installation()
    state = resolve_paths(asked.environ).state_dir
    shared = isinstance(service, SystemdService) and service.has_siblings()
    left = {
        "unit": shown(packaged) if packaged is not None else None,
        "program": shown(installation.root) if installation is not None else None,
        "state": shown(state),
    }
    if arguments.json:
        print_json({"ok": True, "uninstalled": was_there, "left": left})
        return ExitCode.OK
    print("The service is gone." if was_there else "There was no service.")
    print(f"Conversations, config and log stay in {left['state']}.")
    if left["program"] is not None and shared:
        print(f"The program stays in {left['program']}: other services run it.")
    elif left["program"] is not None:
        print(f"The program stays in {left['program']}; to remove it: rm -r {left['program']}")
    if left["unit"] is not None:
        print(f"{left['unit']} is a package's; it goes with that.")
    return ExitCode.OK
