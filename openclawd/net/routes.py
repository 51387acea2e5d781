"""What the port answers over HTTP (protocol: HTTP routing): the page, its configuration, health, avatars."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import attrs
import orjson

from openclawd.net.http import Request, Response, text
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
    ("X-Frame-Options", "DENY"),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cache-Control", "no-cache"),
)
_NOT_CACHED: Final = (("Cache-Control", "no-cache"),)


@attrs.frozen(eq=False, repr=False)
class Readiness:
    """Whether the gateway takes work, and what keeps it from doing so."""

    failing: tuple[str, ...]
    uptime_ms: int


@attrs.frozen(eq=False, repr=False)
class PageConfig:
    """What the page learns before it connects: `base_path` is empty or starts with a slash and does not end
    in one.
    """

    enabled: bool
    base_path: str
    assistant_name: str
    assistant_avatar: str
    assistant_agent_id: str
    auth_mode: str
    server_version: str


class Routes:
    """Answers every HTTP request that is not an upgrade."""

    def __init__(
        self,
        *,
        page: PageConfig,
        site: Site,
        readiness: Callable[[], Readiness],
        bearer_is_valid: Callable[[str], bool],
        avatar_file: Callable[[str], Path | None],
    ) -> None:
        self._page = page
        self._site = site
        self._readiness = readiness
        self._bearer_is_valid = bearer_is_valid
        self._avatar_file = avatar_file
        self._probes: Mapping[str, Callable[[], Response]] = {
            "/health": self._live,
            "/healthz": self._live,
            "/ready": self._ready,
            "/readyz": self._ready,
        }

    async def respond(self, request: Request) -> Response:
        """The answer to `request`."""
        if request.method not in {"GET", "HEAD"}:
            return text(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed", ("Allow", "GET, HEAD"))
        if (probe := self._probes.get(request.path)) is not None:
            return probe()
        if not self._page.enabled:
            return text(HTTPStatus.NOT_FOUND, "Not Found")
        base = self._page.base_path
        if base and request.path == base:
            return Response(HTTPStatus.FOUND, (("Location", f"{base}/"),))
        if base and not request.path.startswith(f"{base}/"):
            return text(HTTPStatus.NOT_FOUND, "Not Found")
        path = request.path.removeprefix(base)
        return await (self._special(request, path) or self._static(request, path))

    def _special(self, request: Request, path: str) -> Awaitable[Response] | None:
        if path == "/__openclaw/control-ui-config.json":
            return _ready_made(self._page_config())
        if path == "/control-ui-config.json":
            return _ready_made(self._page_config() if self._authorised(request) else _unauthorised())
        if path.startswith("/avatar/"):
            return self._avatar(request, path.removeprefix("/avatar/"))
        if not self._page.base_path and (path == "/ui" or path.startswith("/ui/")):
            return _ready_made(text(HTTPStatus.NOT_FOUND, "Not Found"))
        return None

    async def _static(self, request: Request, path: str) -> Response:
        response = await self._site.respond(request, path.lstrip("/") or "index.html")
        if response is None:
            return text(HTTPStatus.NOT_FOUND, "Not Found")
        return attrs.evolve(response, headers=(*_PAGE, *response.headers))

    def _page_config(self) -> Response:
        page = self._page
        body = {
            "basePath": page.base_path,
            "assistantName": page.assistant_name,
            "assistantAvatar": page.assistant_avatar,
            "assistantAgentId": page.assistant_agent_id,
            "serverVersion": page.server_version,
            # Ours: lets the page know whether it needs a credential before it tries.
            "authMode": page.auth_mode,
        }
        return _json(HTTPStatus.OK, body, *_NOT_CACHED)

    def _authorised(self, request: Request) -> bool:
        if self._page.auth_mode == "none":
            return True
        scheme, _, credential = (request.header("authorization") or "").partition(" ")
        return scheme.lower() == "bearer" and self._bearer_is_valid(credential.strip())

    async def _avatar(self, request: Request, agent_id: str) -> Response:
        file = self._avatar_file(agent_id)
        if request.query.get("meta") == ["1"]:
            url = f"{self._page.base_path}/avatar/{agent_id}" if file is not None else None
            return _json(HTTPStatus.OK, {"avatarUrl": url}, *_NOT_CACHED)
        response = await Site(file.parent).respond(request, file.name) if file is not None else None
        if response is None:
            return text(HTTPStatus.NOT_FOUND, "Not Found")
        return attrs.evolve(response, headers=(*_PAGE, *response.headers))

    def _live(self) -> Response:
        return _json(HTTPStatus.OK, {"ok": True, "status": "live"}, *_NOT_CACHED)

    def _ready(self) -> Response:
        readiness = self._readiness()
        status = HTTPStatus.SERVICE_UNAVAILABLE if readiness.failing else HTTPStatus.OK
        body = {
            "ready": not readiness.failing,
            "failing": list(readiness.failing),
            "uptimeMs": readiness.uptime_ms,
        }
        return _json(status, body, *_NOT_CACHED)


async def _ready_made(response: Response) -> Response:
    return response


def _json(status: HTTPStatus, body: Mapping[str, object], *headers: tuple[str, str]) -> Response:
    return Response(
        status, (("Content-Type", "application/json; charset=utf-8"), *headers), orjson.dumps(body)
    )


def _unauthorised() -> Response:
    error = {"error": {"message": "Unauthorized", "type": "unauthorized"}}
    return _json(HTTPStatus.UNAUTHORIZED, error, ("WWW-Authenticate", "Bearer"))
