"""What a page did behind the person's back: errors, refused contents, calls to elsewhere, sockets."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebSocket, WebSocketRoute

_WITH_A_HOST = ("http", "https", "ws", "wss")


class Witness:
    """Watches every page of a context from before its first script on. `faults` must stay empty."""

    def __init__(self, context: BrowserContext) -> None:
        self.faults: list[str] = []
        self.sockets: list[str] = []
        self.requests: list[str] = []
        self._home = ""
        self._allowed: list[re.Pattern[str]] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self._fault(f"page error: {error.error}"))
        context.on("dialog", lambda dialog: self._fault(f"dialog: {dialog.message}"))
        context.on("request", self._request)
        context.on("page", lambda page: page.on("websocket", self._socket))

    def lives_at(self, url: str) -> None:
        """The one host and port that may be spoken to."""
        self._home = urlsplit(url).netloc

    def allow(self, pattern: str) -> None:
        """Faults whose whole text is this are none in this test."""
        self._allowed.append(re.compile(pattern, re.DOTALL))

    def allow_a_gateway_that_is_away(self) -> None:
        """The browser itself reports every connection that it could not open; and behind a Switchboard, where
        the page's socket is Playwright's, what that passes on to a real one that is closing already.
        """
        here = re.escape(self._home)
        self.allow("console error: WebSocket is already in CLOSING or CLOSED state.")
        self.allow(rf"console error: WebSocket connection to 'ws://{here}/[^']*' failed: .*")
        self.allow(
            rf"console error: Failed to load resource: net::ERR_CONNECTION_(REFUSED|RESET) \(http://{here}/.*\)"
        )

    def check(self) -> None:
        """Raises AssertionError with everything that was seen and not allowed."""
        left = [fault for fault in self.faults if not any(each.fullmatch(fault) for each in self._allowed)]
        assert not left, "the page did what it may not:\n" + "\n".join(left)

    def _fault(self, text: str) -> None:
        self.faults.append(text)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            where = message.location["url"] if message.text.startswith("Failed to load") else ""
            self._fault(f"console {message.type}: {message.text}" + (f" ({where})" if where else ""))

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        self._visit(request.url)

    def _socket(self, socket: WebSocket) -> None:
        self.sockets.append(socket.url)
        self._visit(socket.url)

    def _visit(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in _WITH_A_HOST and parts.netloc != self._home:
            self._fault(f"spoke to another host: {url}")


class Switchboard:
    """Stands between one page and its gateway: it can lose what either says, and change the hello."""

    def __init__(self, page: Page) -> None:
        self.sent: list[dict[str, Any]] = []
        self.lost: list[dict[str, Any]] = []
        self.swallows = ""  # requests for this method do not reach the gateway
        self.policy: dict[str, Any] = {}  # what a hello says in place of the gateway's own
        self.scopes: list[str] | None = None  # and what it grants
        self.goodbye: dict[str, Any] = {}  # what the word before a restart says in place of the gateway's own
        self.answers: dict[str, dict[str, Any]] = {}  # what requests for a method are answered here
        self.refuses: dict[str, dict[str, Any]] = {}  # the error that requests for a method always have
        self.turns_away: list[tuple[int, str]] = []  # the closes that the next connections meet, at once
        self._page: WebSocketRoute | None = None
        self._doomed = ""
        self._refusals: dict[str, dict[str, Any]] = {}
        page.route_web_socket(re.compile("."), self._connect)

    def lose_the_answer_to(self, method: str) -> None:
        """The next answer to `method` does not reach the page, and the connection breaks in its place."""
        self._doomed = method

    def refuse_once(self, method: str, error: dict[str, Any]) -> None:
        """The next request for `method` does not reach the gateway, and has this error for an answer."""
        self._refusals[method] = error

    def tell(self, event: str, payload: dict[str, Any]) -> None:
        """An event that the gateway did not send, to the page alone."""
        assert self._page is not None
        self._page.send(json.dumps({"type": "event", "event": event, "payload": payload}))

    def requests(self, method: str) -> list[dict[str, Any]]:
        """The params of the page's requests for `method`."""
        return [frame["params"] for frame in self.sent if frame["method"] == method]

    def _connect(self, page: WebSocketRoute) -> None:
        if self.turns_away:
            code, reason = self.turns_away.pop(0)
            page.close(code=code, reason=reason)
            return
        gateway, self._page = page.connect_to_server(), page
        doomed: set[str] = set()

        def outward(message: str | bytes) -> None:
            frame = json.loads(message)
            self.sent.append(frame)
            if frame["method"] == self.swallows:
                return
            error = self.refuses.get(frame["method"]) or self._refusals.pop(frame["method"], None)
            if error is not None:
                page.send(json.dumps({"type": "res", "id": frame["id"], "ok": False, "error": error}))
                return
            answer = self.answers.get(frame["method"])
            if answer is not None:
                page.send(json.dumps({"type": "res", "id": frame["id"], "ok": True, "payload": answer}))
                return
            if frame["method"] == self._doomed:
                doomed.add(frame["id"])
                self._doomed = ""
            gateway.send(message)

        def inward(message: str | bytes) -> None:
            frame = json.loads(message)
            if frame.get("payload", {}).get("type") == "hello-ok":
                frame["payload"]["policy"].update(self.policy)
                if self.scopes is not None:
                    frame["payload"]["auth"]["scopes"] = self.scopes
                message = json.dumps(frame)
            if frame.get("event") == "shutdown":
                frame["payload"].update(self.goodbye)
                message = json.dumps(frame)
            if frame.get("id") in doomed:
                self.lost.append(frame)
                gateway.close()
                page.close(code=3000, reason="the line broke")
            elif not self.lost or frame not in self.lost:
                page.send(message)

        page.on_message(outward)
        gateway.on_message(inward)
