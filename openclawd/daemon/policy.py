"""From settings to what admission decides by."""

import os
import socket
from collections.abc import Callable

from openclawd.auth.admission import Policy
from openclawd.auth.credentials import SharedAuth
from openclawd.auth.locality import parse_proxies
from openclawd.auth.origins import OriginRules
from openclawd.config.secret import Secret
from openclawd.config.settings import GatewaySettings


def admission_policy(settings: GatewaySettings) -> Policy:
    """The policy of one gateway, for the process's own user and the machine's own names."""
    page = settings.control_ui
    listed = page.allowed_origins
    if settings.public_origin is not None:
        listed = (*listed, settings.public_origin)
    return Policy(
        shared=SharedAuth(settings.auth_mode, settings.token, settings.password),
        origins=OriginRules(listed, own_names(), page.allow_host_header_origin_fallback),
        trusted_proxies=parse_proxies(settings.trusted_proxies),
        allow_real_ip=settings.allow_real_ip_fallback,
        allow_insecure_auth=page.allow_insecure_auth,
        disable_device_auth=page.disable_device_auth,
        own_uid=os.getuid(),
    )


def bearer_check(settings: GatewaySettings) -> Callable[[str], bool]:
    """Whether an HTTP Bearer credential is the shared secret; stock tries it as token and as password."""
    secrets = [secret for secret in (settings.token, settings.password) if secret]

    def is_valid(credential: str) -> bool:
        return Secret(credential) in secrets

    return is_valid


def own_names() -> tuple[str, ...]:
    """Names of this machine that nobody else can make resolve to it: its host name, and that under .local."""
    host = socket.gethostname().lower().rstrip(".")
    short = host.partition(".")[0]
    return tuple(dict.fromkeys((host, short, f"{short}.local"))) if short else ()
