"""The reference client, seen from a test: a Node process that does what it is told and says what it hears."""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.reference_client.install import node, reference_client

PATIENCE_S = 20.0

Report = dict[str, Any]


class Answered(Exception):
    """The gateway refused a request: code, message and details of the error."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.error = dict(error)


class ReferenceClient:
    """One GatewayClient in a process of its own."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._ids = 0
        self._reports: deque[Report] = deque()
        self._arrived = trio.Condition()
        self._telling = trio.Lock()

    @property
    def reports(self) -> list[Report]:
        """What came and was not yet asked for."""
        return list(self._reports)

    async def start(self, **options: object) -> None:
        """Connect with these options of GatewayClient; what follows is reported."""
        await self._tell("start", **options)

    async def hello(self) -> dict[str, Any]:
        """The next hello-ok."""
        return dict((await self.report("hello"))["hello"])

    async def event(self, name: str, **payload: object) -> dict[str, Any]:
        """The payload of the next event of that name whose payload has these members."""

        def wanted(report: Report) -> bool:
            event = report.get("event", {})
            found = event.get("payload", {})
            return event.get("event") == name and all(found.get(key) == payload[key] for key in payload)

        return dict((await self._next(wanted))["event"]["payload"])

    async def report(self, on: str) -> Report:
        """The next report of that kind: hello, refused, paused, closed, gap, token stored, token cleared."""
        return await self._next(lambda report: report["on"] == on)

    async def call(self, method: str, params: object = None, *, final: bool = False) -> Any:
        """The payload of the answer (with `final`, of the last one). Raises Answered."""
        return await self._ask("request", method=method, params=params or {}, expectFinal=final)

    async def subscribe(self, key: str) -> Any:
        """Follow a session's messages, by the client's own coordinator."""
        return await self._ask("subscribe", key=key)

    async def follow(self, key: str, limit: int = 200) -> None:
        """Load the history of `key` into the client's own projection, or load it again."""
        await self._ask("follow", key=key, limit=limit)

    async def projection(self) -> dict[str, Any]:
        """What the projection shows: messages and runs."""
        return dict(await self._ask("projection"))

    async def upgrade(self, *scopes: str) -> dict[str, Any]:
        """Ask for these scopes by the client's own GatewayScopeUpgrade, and wait; a report `pending` comes
        before, and a reconnect follows an approval."""
        return dict(await self._ask("upgrade", scopes=scopes))

    async def stop(self) -> None:
        """Disconnect for good."""
        await self._ask("stop")

    async def _ask(self, do: str, **args: object) -> Any:
        self._ids += 1
        number = self._ids
        await self._tell(do, id=number, **args)
        answer = await self._next(lambda report: report["on"] == "answer" and report["id"] == number)
        if "error" in answer:
            raise Answered(answer["error"])
        return answer.get("payload")

    async def _tell(self, do: str, **args: object) -> None:
        assert self._process.stdin is not None
        async with self._telling:
            await self._process.stdin.send_all(json.dumps({"do": do, **args}).encode() + b"\n")

    async def _next(self, wanted: Callable[[Report], bool]) -> Report:
        with trio.fail_after(PATIENCE_S):
            async with self._arrived:
                while True:
                    for report in self._reports:
                        if wanted(report):
                            self._reports.remove(report)
                            return report
                    await self._arrived.wait()

    async def listen(self) -> None:
        """Take the reports until the process ends."""
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            async with self._arrived:
                self._reports.extend(json.loads(line) for line in lines)
                self._arrived.notify_all()


@asynccontextmanager
async def reference(folder: Path) -> AsyncIterator[ReferenceClient]:
    """A reference client whose identity and tokens are kept in `folder`, which exists."""
    installed = await trio.to_thread.run_sync(reference_client)
    command = [str(node()), str(installed / "driver.mjs"), str(folder)]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(command, stdin=-1, stdout=-1)
        client = ReferenceClient(process)
        nursery.start_soon(client.listen)
        try:
            yield client
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
            nursery.cancel_scope.cancel()
