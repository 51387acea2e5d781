"""What a gateway prints when it is ready: the link to its page."""

import os
import sys
from collections.abc import Mapping

from openclawd.config.settings import GatewaySettings
from openclawd.daemon.certificate import Certificates
from openclawd.daemon.launchd import job_name
from openclawd.daemon.link import fragment, page_url


def print_link(
    settings: GatewaySettings,
    host: str,
    port: int,
    environ: Mapping[str, str],
    certificates: Certificates | None,
) -> None:
    """The dashboard's address, on stdout, with the token unless a supervisor keeps our output."""
    if not settings.control_ui.enabled:
        return
    link = page_url(host, port, settings.control_ui.base_path, tls=certificates is not None)
    if settings.auth_mode == "token" and settings.token is not None:
        if _output_is_kept(environ):
            link += "  (with its token: openclawd dashboard)"
        else:
            link += fragment(settings.token)
    if certificates is not None:
        link += f"\n  Certificate (SHA-256): {certificates.fingerprint}"
    try:
        print(f"\n  Dashboard: {link}\n", flush=True)
    except OSError:
        # Nobody reads (`openclawd gateway | true`); the gateway is no worse for that, and must not try again
        # at its end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _output_is_kept(environ: Mapping[str, str]) -> bool:
    """Whether a supervisor collects our output: systemd.exec(5) JOURNAL_STREAM; launchd names its service."""
    return bool(environ.get("JOURNAL_STREAM")) or job_name(environ) is not None
