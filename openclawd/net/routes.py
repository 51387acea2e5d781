"""What the port answers over HTTP (protocol: HTTP routing): the page, its configuration, health, avatars."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import attrs

from openclawd.net.bearer import Bearers, presents_bearer
from openclawd.net.guard import Caller
from openclawd.net.http import Request, Response, json, text
from openclawd.net.static import Site

# No other host, no plugin, no frame; a style attribute is what stock pages need.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
    )
)
_PAGE: Final = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cache-Control", "no-cache"),
)
# A window that opened ours has no hold on it.
_OWN_WINDOW: Final = ("Cross-Origin-Opener-Policy", "same-origin")
_BELOW_BASE: Final = """Not Found

The page is at {base}/, as gateway.controlUi.basePath says.
If a proxy takes that off the path, run this on the gateway's machine and restart the gateway:

  openclawd config unset gateway.controlUi.basePath
"""
_NOT_CACHED: Final = (("Cache-Control", "no-cache"),)


@attrs.frozen(eq=False, repr=False)
class Readiness:
    """Whether the gateway takes work, and what keeps it from doing so."""

    failing: tuple[str, ...]
    uptime_ms: int
    event_loop: Callable[[], Mapping[str, object]]


@attrs.frozen(eq=False, repr=False)
class Assistant:
    """Who answers on the page where nobody was chosen."""

    name: str
    avatar: str
    agent_id: str


@attrs.frozen(eq=False, repr=False)
class PageConfig:
    """What the page learns before it connects: `base_path` is empty or starts with a slash and does not end
    in one.
    """

    enabled: bool
    base_path: str
    assistant: Callable[[], Assistant]
    auth_mode: Callable[[], str]
    server_version: str


class Routes:
    """Answers every HTTP request that is not an upgrade."""

    def __init__(
        self,
        *,
        page: PageConfig,
        site: Site,
        readiness: Callable[[], Readiness],
        bearers: Bearers,
        avatar_file: Callable[[str], Path | None],
        metrics: Callable[[], Response],
    ) -> None:
        self._page = page
        self._site = site
        self._readiness = readiness
        self._bearers = bearers
        self._avatar_file = avatar_file
        self._metrics = metrics

    async def respond(self, request: Request, caller: Caller) -> Response:
        """The answer to a request that the guard has let pass."""
        if request.method not in {"GET", "HEAD"}:
            return text(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed", ("Allow", "GET, HEAD"))
        if request.path in {"/health", "/healthz"}:
            return json(HTTPStatus.OK, {"ok": True, "status": "live"}, *_NOT_CACHED)
        if request.path in {"/ready", "/readyz"}:
            return await self._ready(request, caller)
        if request.path == "/metrics":
            return await self._for_the_authorised(request, caller, self._metrics)
        if not self._page.enabled:
            return text(HTTPStatus.NOT_FOUND, "Not Found")
        base = self._page.base_path
        if base and request.path == base:
            return Response(HTTPStatus.FOUND, (("Location", f"{base}/"),))
        if base and not request.path.startswith(f"{base}/"):
            return text(HTTPStatus.NOT_FOUND, _BELOW_BASE.format(base=base))
        path = request.path.removeprefix(base)
        return await (self._special(request, caller, path) or self._static(request, caller, path))

    def _special(self, request: Request, caller: Caller, path: str) -> Awaitable[Response] | None:
        if path == "/__openclaw/control-ui-config.json":
            return _ready_made(self._page_config())
        if path == "/control-ui-config.json":
            return self._for_the_authorised(request, caller, self._page_config)
        if path.startswith("/avatar/"):
            return self._avatar(request, path.removeprefix("/avatar/"))
        if not self._page.base_path and (path == "/ui" or path.startswith("/ui/")):
            return _ready_made(text(HTTPStatus.NOT_FOUND, "Not Found"))
        return None

    async def _for_the_authorised(
        self, request: Request, caller: Caller, respond: Callable[[], Response]
    ) -> Response:
        return await self._bearers.refusal(request, caller) or respond()

    async def _static(self, request: Request, caller: Caller, path: str) -> Response:
        response = await self._site.respond(request, path.lstrip("/") or "index.html")
        if response is None:
            return text(HTTPStatus.NOT_FOUND, "Not Found")
        own_window = () if _is_insecure(request, caller) else (_OWN_WINDOW,)
        return attrs.evolve(response, headers=(*_PAGE, *own_window, *response.headers))

    def _page_config(self) -> Response:
        page, assistant = self._page, self._page.assistant()
        body = {
            "basePath": page.base_path,
            "assistantName": assistant.name,
            "assistantAvatar": assistant.avatar,
            "assistantAgentId": assistant.agent_id,
            "serverVersion": page.server_version,
            # Ours: lets the page know whether it needs a credential before it tries.
            "authMode": page.auth_mode(),
        }
        return json(HTTPStatus.OK, body, *_NOT_CACHED)

    async def _avatar(self, request: Request, agent_id: str) -> Response:
        file = self._avatar_file(agent_id)
        if request.query.get("meta") == ["1"]:
            url = f"{self._page.base_path}/avatar/{agent_id}" if file is not None else None
            return json(HTTPStatus.OK, {"avatarUrl": url}, *_NOT_CACHED)
        response = await Site(file.parent).respond(request, file.name) if file is not None else None
        if response is None:
            return text(HTTPStatus.NOT_FOUND, "Not Found")
        return attrs.evolve(response, headers=(*_PAGE, *response.headers))

    async def _ready(self, request: Request, caller: Caller) -> Response:
        """Yes or no for everybody; what is behind it for who is on this machine or has the secret.

        A wrong secret gets what everybody gets, late as ever: a monitor with an old token must not take the
        gateway for dead.
        """
        readiness = self._readiness()
        status = HTTPStatus.SERVICE_UNAVAILABLE if readiness.failing else HTTPStatus.OK
        body: dict[str, object] = {"ready": not readiness.failing}
        if caller.locality.is_local or (
            presents_bearer(request) and await self._bearers.refusal(request, caller) is None
        ):
            body |= {
                "failing": list(readiness.failing),
                "uptimeMs": readiness.uptime_ms,
                "eventLoop": readiness.event_loop(),
            }
        return json(status, body, *_NOT_CACHED)


async def _ready_made(response: Response) -> Response:
    return response


def _is_insecure(request: Request, caller: Caller) -> bool:
    """Whether a browser asks from an insecure place, where it would only complain of the header: it tells
    none of what browsers tell secure places.
    """
    told = caller.locality.scheme == "https" or request.header("sec-fetch-site") is not None
    return not told and (request.header("user-agent") or "").startswith("Mozilla/")
