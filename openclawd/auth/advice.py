"""What the gateway's owner does about a refusal: a command, wherever there is one."""

import shlex
from collections.abc import Mapping
from typing import Final

from openclawd.auth import trusted_proxy
from openclawd.auth.hosts import parse_origin
from openclawd.auth.origins import OriginRules, allowing

_DASHBOARD: Final = "openclawd dashboard"
_PASSWORD: Final = "if nobody remembers it: openclawd config set gateway.auth.password NEW"  # noqa: S105
_CLIENT: Final = "mend the client: docs/protocol.md says what it has to send"
_RECONNECT: Final = "nothing: the client has to connect again"
_SECURE_CONTEXT: Final = f"open the page over https or at localhost: {_DASHBOARD}"
_FORGET_DEVICE: Final = "let the client forget its device identity and make a new one"

_BY_REASON: Final[Mapping[str, str]] = {
    "not-json": _CLIENT,
    "invalid-request-frame": _CLIENT,
    "handshake-timeout": _CLIENT,
    "too-big": _CLIENT,
    "websocket-breach": _CLIENT,
    "not-connect": _CLIENT,
    "invalid-connect-params": _CLIENT,
    "invalid-role": _CLIENT,
    "protocol-mismatch": "update the client, or the gateway",
    "control-ui-device-required": _SECURE_CONTEXT,
    "device-required": _DASHBOARD,
    "device-id-mismatch": _FORGET_DEVICE,
    "device-public-key": _FORGET_DEVICE,
    "device-signature": _FORGET_DEVICE,
    "device-signature-stale": "set the clocks of both machines",
    "device-nonce-missing": _RECONNECT,
    "device-nonce-mismatch": _RECONNECT,
    "token_missing": _DASHBOARD,
    "token_mismatch": _DASHBOARD,
    "token_missing_config": "openclawd gateway token rotate",
    "password_missing": "enter the password",
    "password_mismatch": _PASSWORD,
    "password_missing_config": "openclawd config set gateway.auth.password NEW",
    "device_token_mismatch": f"let the client sign in with the gateway's own secret: {_DASHBOARD}",
    "scope_mismatch": "openclawd devices list",
    "device-removed": "openclawd devices list",
    "auth-changed": _RECONNECT,
    "state-unwritable": "openclawd logs",
    trusted_proxy.NOT_CONFIGURED: "openclawd config get gateway.auth.trustedProxy",
    trusted_proxy.LOOPBACK_SOURCE: "openclawd config set gateway.auth.trustedProxy.allowLoopback true",
    trusted_proxy.USER_MISSING: "openclawd config get gateway.auth.trustedProxy.userHeader",
}


def for_reason(reason: str) -> str | None:
    """Where the reason says it all."""
    return _BY_REASON.get(reason)


def for_limit(source: str) -> str:
    """Nobody has to wait who may clear the limit."""
    command = f"openclawd gateway limits --clear {shlex.quote(source)}"
    if source.startswith("proxy:"):
        return f"{command}; if that is your proxy, list it in gateway.trustedProxies"
    return command


def for_origin(header: str | None, rules: OriginRules) -> str:
    """The command that allows the page, if it is the owner's."""
    origin = parse_origin(header) if header is not None else None
    return allowing(origin, rules) if origin is not None else _DASHBOARD


def for_proxy(reason: str, address: str, user: str | None) -> str | None:
    """What a proxy should have said, or where it should have been listed."""
    if reason == trusted_proxy.UNTRUSTED_SOURCE:
        return f"add {address} to gateway.trustedProxies, if it is your proxy"
    if reason == trusted_proxy.USER_NOT_ALLOWED:
        return f"add {shlex.quote(user or '')} to gateway.auth.trustedProxy.allowUsers"
    if reason.startswith(trusted_proxy.MISSING_HEADER):
        return f"let the proxy send the header {reason.removeprefix(trusted_proxy.MISSING_HEADER)}"
    return for_reason(reason)
