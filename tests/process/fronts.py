"""A person at a browser, somewhere before a gateway, who does what he is told and nothing else.

He opens the page, and the page opens its socket. Whoever refuses him, page or log, must name one command; he
runs it on the gateway's machine and tries again.
"""

import re
import shlex
import ssl
from html import unescape
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

import attrs

from tests.process.clients import PAGE, STOCK_PAGE_SCOPES
from tests.support.device import Device
from tests.support.gateway_process import TOKEN, GatewayProcess
from tests.support.wire_client import Refused, wire_client

TIMEOUT_S = 10.0
# More commands than this and nobody follows any more.
COMMANDS_MAX = 4


@attrs.define
class Browser:
    """One browser. `host` is what stands in its address bar behind the scheme; it reaches 127.0.0.1:`port`
    from the address `source`.
    """

    gateway: GatewayProcess
    port: int
    host: str
    path: str = "/"
    tls: ssl.SSLContext | None = None
    source: str = "127.0.0.2"
    headers: dict[str, str] = attrs.field(factory=dict)
    """What a proxy that is not there would add."""

    auth: dict[str, str] | None = attrs.field(factory=lambda: {"token": TOKEN})
    device: Device = attrs.field(factory=Device)
    scheme: str = attrs.field()
    """What stands in its address bar before the host; https may also end at a proxy that is not there."""

    @scheme.default
    def _scheme(self) -> str:
        return "https" if self.tls else "http"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    async def arrive(self) -> list[str]:
        """The commands that it took to be connected."""
        done: list[str] = []
        while command := self.open_page() or await self.open_socket():
            done.append(command)
            assert len(done) <= COMMANDS_MAX, done
            program, *arguments = shlex.split(command)
            assert program == "openclawd", command
            ran = self.gateway.command(*arguments)
            assert ran.returncode == 0, (done, ran.stderr)
        return done

    def open_page(self) -> str | None:
        """The command that the page shows in its place; None when it is the page."""
        status, text = self.get(self.path)
        if status == 200:
            assert "<title>openclawd</title>" in text
            return None
        assert status in {403, 421}, (status, text)
        shown = re.search("<pre>(.*)</pre>", text)
        assert shown is not None, text
        command = unescape(shown[1])
        self._assert_logged(command)
        return command

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and body of a page that is opened from the address bar."""
        source = (self.source, 0)
        connection = (
            HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S, source_address=source)
            if self.tls is None
            else _connection(self.port, self.tls, source)
        )
        own = {"Host": self.host, "Accept": "text/html,*/*;q=0.8"}
        if self.scheme == "https" or self.host.startswith(("localhost", "127.")):
            # Browsers tell this to secure places only.
            own |= {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        try:
            connection.request("GET", path, headers=own | self.headers | headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    async def open_socket(self) -> str | None:
        """The command that the log names for the page's refusal; None when it is connected."""
        headers = [("Origin", self.origin), *self.headers.items()]
        async with wire_client(
            self.port,
            host_header=self.host,
            headers=headers,
            resource=self.path,
            source=self.source,
            tls=self.tls,
        ) as client:
            try:
                await client.connect(
                    auth=self.auth,
                    client=PAGE,
                    device=self.device,
                    scopes=STOCK_PAGE_SCOPES,
                    protocol=(4, 4),
                )
            except Refused as refused:
                command = _command(self.last_refusal)
                details = refused.error["details"]
                if details["code"] == "CONTROL_UI_ORIGIN_NOT_ALLOWED":
                    assert details["command"] == command, (details, command)
                return command
            (line,) = self.gateway.decisions("admitted", conn=client.hello["server"]["connId"])
            assert line["origin"] == self.origin
            return None

    @property
    def last_refusal(self) -> dict[str, Any]:
        """The last line of the log that says `refused`."""
        return self.gateway.decisions("refused")[-1]

    def _assert_logged(self, command: str) -> None:
        line = self.last_refusal
        assert _command(line) == command
        assert line["host"]
        assert line["address"]


def _command(line: dict[str, Any]) -> str:
    """What the log line says to do: a command, perhaps behind "if the page is yours: "."""
    return str(line["next"]).rpartition(": ")[2]


def _connection(port: int, tls: ssl.SSLContext, source: tuple[str, int]) -> HTTPSConnection:
    return HTTPSConnection("localhost", port, timeout=TIMEOUT_S, context=tls, source_address=source)
