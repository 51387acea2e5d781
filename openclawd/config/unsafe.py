"""What forbids a start though the file can be read: what is not supported and unsafe to ignore, what would
let in everybody, and what would let in nobody (protocol.md 11.5).
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from openclawd.config.load import LoadedConfig

if TYPE_CHECKING:
    from openclawd.config.settings import GatewaySettings

# Where it stands, what is wrong, what helps.
Refusal = tuple[tuple[str, ...], str, str | None]

_LOOPBACK: Final = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
_TRUSTED_PROXY: Final = ("gateway", "auth", "trustedProxy")
_TRUSTED_PROXIES: Final = ("gateway", "trustedProxies")
# They would say which of the proxy's users may do what.
_NARROWING: Final[tuple[tuple[str, ...], ...]] = (
    ("gateway", "auth", "identityScopes"),
    (*_TRUSTED_PROXY, "cloudflareAccessOidc"),
)


def refusals(loaded: LoadedConfig, settings: "GatewaySettings") -> Iterator[Refusal]:
    """Why no gateway may start with these settings, which were made of `loaded`."""
    yield from _unsupported(loaded)
    if settings.bind == "custom" and settings.custom_bind_host is None:
        yield ("gateway", "customBindHost"), "bind custom needs an address here", None
    elif settings.auth_mode == "password" and settings.password is None:
        hint = "set gateway.auth.password or OPENCLAW_GATEWAY_PASSWORD"
        yield ("gateway", "auth", "password"), "mode password needs a password", hint
    elif settings.auth_mode == "trusted-proxy":
        yield from _proxy(loaded, settings)
    elif lets_everybody_in(settings) and not is_loopback(settings):
        sentence = f"Refusing to bind gateway to {settings.bind} without auth."
        hint = "set gateway.auth.token, or bind to loopback"
        if settings.auth_mode == "token":
            hint = "bind to loopback, or have a token made: openclawd gateway token rotate"
        yield ("gateway", "bind"), sentence, hint


def is_loopback(settings: "GatewaySettings") -> bool:
    """Whether no one but this machine can reach it. `auto` may end on every address."""
    if settings.bind == "custom" and settings.custom_bind_host is not None:
        return ipaddress.ip_address(settings.custom_bind_host).is_loopback
    return settings.bind == "loopback"


def lets_everybody_in(settings: "GatewaySettings") -> bool:
    """Whether nothing is asked of a client, or nothing yet."""
    return settings.auth_mode == "none" or (settings.auth_mode == "token" and settings.token is None)


def _unsupported(loaded: LoadedConfig) -> Iterator[Refusal]:
    gateway = loaded.config.gateway
    if gateway.mode == "remote":
        yield ("gateway", "mode"), "a gateway of mode remote runs elsewhere", "set it to local"
    if gateway.tailscale.mode != "off":
        sentence = f"{gateway.tailscale.mode} is not supported"
        yield ("gateway", "tailscale", "mode"), sentence, "run tailscale yourself, set it to off"


def _proxy(loaded: LoadedConfig, settings: "GatewaySettings") -> Iterator[Refusal]:
    """In mode trusted-proxy."""
    rules = settings.trusted_proxy
    if rules.user_header is None:
        hint = 'such as "x-forwarded-user"; the proxy must remove it from what clients send'
        yield (*_TRUSTED_PROXY, "userHeader"), "mode trusted-proxy needs the header with the user", hint
    if not settings.trusted_proxies:
        hint = 'the address of the proxy, such as ["10.0.0.5"]'
        yield _TRUSTED_PROXIES, "mode trusted-proxy needs the proxies", hint
    elif is_loopback(settings):
        # Whoever reaches a loopback address is on this machine.
        if not _holds_loopback(settings.trusted_proxies):
            hint = 'add "127.0.0.1" and "::1", or bind to where the proxy is'
            yield _TRUSTED_PROXIES, "no proxy here can reach a loopback bind", hint
        if not rules.allow_loopback:
            sentence = "a proxy on this machine is not trusted"
            yield (*_TRUSTED_PROXY, "allowLoopback"), sentence, "set it to true"
    for path in _NARROWING:
        if _is_written(loaded.document, path):
            yield path, "is not supported here, and would narrow who may come in", "remove it"


def _holds_loopback(networks: Iterable[str]) -> bool:
    parsed = [ipaddress.ip_network(each, strict=False) for each in networks]
    return any(address in network for address in _LOOPBACK for network in parsed)


def _is_written(document: object, path: Iterable[str]) -> bool:
    for step in path:
        if not isinstance(document, Mapping) or step not in document:
            return False
        document = document[step]
    return True
