"""`openclawd dashboard`: the link to the chat.

The token is in its fragment, which a browser sends to no server.
"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from openclawd.cli.arguments import Commands, add_json
from openclawd.cli.failure import Failure
from openclawd.cli.output import print_json
from openclawd.daemon.exit_codes import ExitCode

if TYPE_CHECKING:
    from openclawd.cli.rpc import Rpc
    from openclawd.config.paths import Paths
    from openclawd.config.settings import GatewaySettings

# The link is useful without the answer, so a busy gateway is not waited for.
_ASK_TIMEOUT_MS: Final = 1_000
# Two addresses, each with its port.
_SSH_CONNECTION: Final = 4


def add_commands(families: Commands) -> None:
    dashboard = families.add_parser("dashboard", help="print the link to the chat")
    dashboard.add_argument("--open", action="store_true", help="open it in the browser, too")
    dashboard.add_argument("--no-open", action="store_true", help="accepted; it only prints anyway")
    add_json(dashboard)
    dashboard.set_defaults(handler=_dashboard)


def _dashboard(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    link = page_link(environ)
    page = link.url
    if arguments.json:
        document = {"url": page, "authMode": link.auth_mode, "tlsFingerprint": link.tls_fingerprint}
        print_json({name: value for name, value in document.items() if value is not None})
    else:
        print(page)
        if link.tls_fingerprint is not None:
            print(f"Certificate (SHA-256): {link.tls_fingerprint}")
        if link.asks_for is not None:
            print(f"The page asks for the {link.asks_for}.")
        if (way := tunnel(page, environ)) is not None:
            print(f"From the machine that you sit at, first: {way}")
    if arguments.open:
        import webbrowser

        if not webbrowser.open(page):
            raise Failure("No browser could be opened here.", cure="Open the link above by hand.")
    return ExitCode.OK


def tunnel(page: str, environ: Mapping[str, str]) -> str | None:
    """The command that brings a page of this machine alone to the one that this terminal is shown on by SSH
    (ssh(1): SSH_CONNECTION is the client's address and port, then ours); None where there is no need.
    """
    from urllib.parse import urlsplit

    place, connection = urlsplit(page), environ.get("SSH_CONNECTION", "").split()
    if place.hostname not in {"127.0.0.1", "::1", "localhost"} or len(connection) != _SSH_CONNECTION:
        return None
    _, _, host, port = connection
    user = f"{name}@" if (name := environ.get("SUDO_USER") or environ.get("USER")) else ""
    option = "" if port == "22" else f"-p {port} "
    return f"ssh {option}-L {place.port}:localhost:{place.port} {user}{host}"


class Link(NamedTuple):
    """The link, with the token if there is one, and what else a person needs to know there."""

    url: str
    auth_mode: str
    tls_fingerprint: str | None
    asks_for: str | None = None
    """What the link does not hold and the page needs."""


def page_link(environ: Mapping[str, str]) -> Link:
    """The link to the chat. Raises Failure, ConfigError."""
    from openclawd.cli.target import reachable_host, settings_for
    from openclawd.config.paths import resolve_paths
    from openclawd.daemon.link import fragment, page_url

    paths = resolve_paths(environ)
    settings = settings_for(paths, environ)
    if not settings.control_ui.enabled:
        raise Failure(
            "The page is switched off (gateway.controlUi.enabled is false).",
            cure="Switch it on: openclawd config set gateway.controlUi.enabled true",
            exit_code=ExitCode.CONFIG,
        )
    running = _running(paths, settings)
    port = running.get("port") or settings.port
    auth_mode = running.get("authMode") or settings.auth_mode
    host = running.get("address") or reachable_host(settings)
    fingerprint = _fingerprint(running, settings)
    page = page_url(host, port, settings.control_ui.base_path, tls=fingerprint is not None)
    asks_for = "password" if auth_mode == "password" else None
    given_by = running.get("secretFlag")
    if auth_mode == "token" and given_by and running.get("secretIsRight") is not True:
        asks_for = f"token, which the gateway was started with ({given_by})"
    elif auth_mode == "token":
        if not settings.token:
            raise Failure("There is no token yet; the gateway makes one.", cure="Start it: openclawd gateway")
        if running.get("secretIsRight") is False:
            from openclawd.cli.known_secret import why_wrong

            said, cure = why_wrong(auth_mode)
            raise Failure(f"{said[:1].upper()}{said[1:]}.", cure=f"{cure[:1].upper()}{cure[1:]}")
        page += fragment(settings.token)
    return Link(page, auth_mode, fingerprint, asks_for)


def _fingerprint(running: Mapping[str, Any], settings: "GatewaySettings") -> str | None:
    """Of the certificate that the page is served with, or would be by a start; None without TLS."""
    if running:
        return running.get("tlsFingerprint")
    if settings.tls is None:
        return None
    from openclawd.cli.pin import certificate_fingerprint

    return certificate_fingerprint(settings.tls)


def _running(paths: "Paths", settings: "GatewaySettings") -> Mapping[str, Any]:
    """What a running gateway says of where it listens, which flags may have set, and whether our token is its
    own; nothing when none runs.
    """
    from openclawd.cli.rpc import converse
    from openclawd.cli.running import running_gateway
    from openclawd.cli.target import local_socket

    async def ask(rpc: "Rpc") -> dict[str, Any]:
        found = await running_gateway(rpc)
        offered = rpc.hello.get("features", {}).get("methods", [])
        if settings.token and "gateway.secret.check" in offered:
            from openclawd.cli.known_secret import is_right

            found["secretIsRight"] = await is_right(rpc, settings.token)
        return found

    endpoints = list(local_socket(paths))
    if not endpoints:
        return {}
    try:
        return converse(endpoints, ask, timeout_ms=_ASK_TIMEOUT_MS)
    except Failure:
        return {}
