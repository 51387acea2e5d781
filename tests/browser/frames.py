"""What a page and its gateway say to each other, on the page's own sockets."""

import json
from typing import Any

from playwright.sync_api import Page, WebSocket


class Frames:
    """Listens from before the first socket of `page` on; one connection after the other."""

    def __init__(self, page: Page) -> None:
        self.connections: list[Connection] = []
        page.on("websocket", lambda socket: self.connections.append(Connection(socket)))

    @property
    def hellos(self) -> list[dict[str, Any]]:
        """What the gateway greeted the page with."""
        return [hello for each in self.connections for hello in each.hellos]

    @property
    def last(self) -> "Connection":
        return self.connections[-1]


class Connection:
    """One socket, from its opening on."""

    def __init__(self, socket: WebSocket) -> None:
        self.sent: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        socket.on("framesent", lambda payload: self.sent.append(json.loads(payload)))
        socket.on("framereceived", lambda payload: self.heard.append(json.loads(payload)))

    def requests(self, method: str) -> list[dict[str, Any]]:
        """The params of the page's requests for `method`."""
        return [frame["params"] for frame in self.sent if frame["method"] == method]

    @property
    def hellos(self) -> list[dict[str, Any]]:
        """The greeting, if there was one."""
        payloads = [frame["payload"] for frame in self.heard if frame["type"] == "res" and "payload" in frame]
        return [payload for payload in payloads if payload.get("type") == "hello-ok"]

    @property
    def position(self) -> tuple[str, int]:
        """Where the page stands: the epoch and the `seq` of the last event that it heard here."""
        epoch = self.hellos[0]["resume"]["epoch"]
        frame = [frame for frame in self.heard if "seq" in frame][-1]
        return frame.get("epoch", epoch), frame["seq"]
