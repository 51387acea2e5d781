"""`openclawd dashboard`: the link to the chat.

The token is in its fragment, which a browser sends to no server.
"""

import argparse
from collections.abc import Mapping
from urllib.parse import quote

from openclawd.cli.arguments import Commands, add_json
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode


def add_commands(families: Commands) -> None:
    dashboard = families.add_parser("dashboard", help="print the link to the chat")
    dashboard.add_argument("--open", action="store_true", help="open it in the browser, too")
    dashboard.add_argument("--no-open", action="store_true", help="accepted; it only prints anyway")
    add_json(dashboard)
    dashboard.set_defaults(handler=_dashboard)


def _dashboard(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from openclawd.cli.target import bracketed, reachable_host, settings_for
    from openclawd.config.paths import resolve_paths

    settings = settings_for(resolve_paths(environ), environ)
    if not settings.control_ui.enabled:
        raise Failure(
            "The page is switched off (gateway.controlUi.enabled is false).",
            cure="The config: openclawd config file",
            exit_code=ExitCode.CONFIG,
        )
    page = f"http://{bracketed(reachable_host(settings))}:{settings.port}{settings.control_ui.base_path}/"
    if settings.auth_mode == "token":
        if not settings.token:
            raise Failure("There is no token yet; the gateway makes one.", cure="Start it: openclawd gateway")
        page += f"#token={quote(settings.token.reveal(), safe='')}"
    if arguments.json:
        print_json({"url": page, "authMode": settings.auth_mode})
    else:
        print(page)
        if settings.auth_mode == "password":
            print("The page asks for the password.")
    if arguments.open:
        import webbrowser

        if not webbrowser.open(page):
            raise Failure("No browser could be opened here.", cure="Open the link above by hand.")
    return ExitCode.OK
