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
    from openclawd.cli.service import about, chosen, is_there, said_plainly, started
    from openclawd.service.surroundings import obstacle

    refuse_connection_options(arguments, "start")
    asked = chosen(arguments, environ)
    if not is_there(asked.service) and (advice := obstacle(asked.around, system=asked.system)) is not None:
        raise Failure(advice.text, cure=advice.command)
    with said_plainly():
        anew = started(asked)
    if arguments.json:
        print_json({"ok": True, "started": anew})
    else:
        print("The gateway has been started." if anew else "The gateway runs already.")
        print(f"How it is: {about(asked, 'openclawd gateway status')}")
    return ExitCode.OK


def _uninstall(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.arguments import refuse_connection_options
    from openclawd.cli.service import chosen, is_there, said_plainly
    from openclawd.cli.service_left import left_by, standing_before
    from openclawd.service.surroundings import obstacle
    from openclawd.service.systemd_service import SystemdService

    refuse_connection_options(arguments, "uninstall")
    asked = chosen(arguments, environ)
    service = asked.service
    nobody_answers = isinstance(service, SystemdService) and not is_there(service)
    if nobody_answers and (advice := obstacle(asked.around, system=asked.system)) is not None:
        if service.file.exists():
            raise Failure(advice.text, cure=advice.command)
        was_there = False
        left = left_by(asked, None)
    else:
        with said_plainly():
            standing = standing_before(service)
            was_there = service.uninstall()
        left = left_by(asked, standing)
    if arguments.json:
        print_json({"ok": True, "uninstalled": was_there, "left": left.document()})
        return ExitCode.OK
    print("The service is gone." if was_there else "There was no service.")
    for line in left.lines():
        print(line)
    return ExitCode.OK
