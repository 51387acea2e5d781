"""From settings to what admission decides by."""

import os
import socket

from openclawd.auth.credentials import SharedAuth
from openclawd.auth.locality import parse_proxies
from openclawd.auth.origins import OriginRules
from openclawd.auth.policy import Policy
from openclawd.auth.tries import LimitRules
from openclawd.auth.trusted_proxy import TrustedProxyRules
from openclawd.config.model import TrustedProxy
from openclawd.config.settings import GatewaySettings


def admission_policy(settings: GatewaySettings) -> Policy:
    """The policy of one gateway, for the process's own user and the machine's own names."""
    page = settings.control_ui
    return Policy(
        shared=SharedAuth(settings.auth_mode, settings.token, settings.password),
        origins=OriginRules(
            page.allowed_origins,
            own_names(),
            page.allow_host_header_origin_fallback,
            settings.public_origin,
        ),
        trusted_proxies=parse_proxies(settings.trusted_proxies),
        allow_real_ip=settings.allow_real_ip_fallback,
        allow_insecure_auth=page.allow_insecure_auth,
        disable_device_auth=page.disable_device_auth,
        own_uid=os.getuid(),
        trusted_proxy=_proxy_rules(settings.trusted_proxy),
    )


def limit_rules(settings: GatewaySettings) -> LimitRules:
    """What wrong secrets cost. Stock's window and lockout become one time: as long as the longer of them."""
    given = settings.rate_limit
    return LimitRules(
        tries=given.max_attempts,
        refill_ms=max(given.window_ms, given.lockout_ms),
        exempt_loopback=given.exempt_loopback,
    )


def _proxy_rules(given: TrustedProxy) -> TrustedProxyRules | None:
    if given.user_header is None:
        return None
    return TrustedProxyRules(
        user_header=given.user_header,
        required_headers=given.required_headers,
        allow_users=given.allow_users,
        allow_loopback=given.allow_loopback,
    )


def own_names() -> tuple[str, ...]:
    """Names of this machine that nobody else can make resolve to it: its host name, and that under .local."""
    host = socket.gethostname().lower().rstrip(".")
    short = host.partition(".")[0]
    return tuple(dict.fromkeys((host, short, f"{short}.local"))) if short else ()
