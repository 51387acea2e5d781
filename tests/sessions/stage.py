"""A stage for sessions: a real database, a scripted model, and everything that is published, in order."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from openclawd.agents.entries import ModelEntry, ModelRef
from openclawd.agents.model import Completion, Emit, Model, ModelError, ModelRequest, TextDelta, Usage
from openclawd.agents.roster import AgentProfile, Roster
from openclawd.events.event import Event
from openclawd.protocol.versions import V3
from openclawd.sessions.registry import HistoryQuery, Send, Sessions
from openclawd.sessions.source import ModelSource
from openclawd.store.conversations import Conversations
from openclawd.store.database import Database, open_database
from openclawd.store.records import StoredMessage
from openclawd.store.runs import RunQueue

PATIENCE_S = 10
KEY = "agent:main:main"

Script = Callable[[str, Emit], Awaitable[Completion]]


async def echo(question: str, emit: Emit) -> Completion:
    """Says what it was asked, word by word."""
    for word in f"you said {question}".split(" "):
        emit(TextDelta(word + " "))
        await trio.lowlevel.checkpoint()
    return Completion("stop", Usage(input=10, output=3, cache_read=2))


class ScriptedModel:
    """A model that does what a test says."""

    provider = "scripted"
    id = "model-1"
    api = "openai-completions"

    def __init__(self, script: Script) -> None:
        self._script = script
        self.requests: list[ModelRequest] = []

    async def complete(self, request: ModelRequest, emit: Emit) -> Completion:
        self.requests.append(request)
        return await self._script(request.messages[-1].text, emit)


class OneModel:
    """A catalog of one model, or of none that works."""

    def __init__(self, model: Model | ModelError, window: int, max_tokens: int | None) -> None:
        self._model = model
        self._entry = ModelEntry("model-1", "Model One", "scripted", window, max_tokens=max_tokens)

    def default(self, agent_id: str | None = None) -> ModelRef:
        return ModelRef("scripted", "model-1")

    def fallbacks(self, agent_id: str | None = None) -> Sequence[ModelRef]:
        return []

    def entries(self) -> Sequence[ModelEntry]:
        return [self._entry]

    def find(self, ref: str | ModelRef) -> ModelEntry | None:
        return self._entry if str(ref) == str(self._entry.ref) else None

    def resolve(self, ref: str | ModelRef | None, agent_id: str | None = None) -> Model:
        if isinstance(self._model, ModelError):
            raise self._model
        return self._model


class RecordedNews:
    """What sessions told of themselves, in order."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []
        self.messages: list[tuple[str, str | None, StoredMessage]] = []

    def changed(self, key: str, reason: str) -> None:
        self.changes.append((key, reason))

    def message(self, key: str, run_id: str | None, stored: StoredMessage) -> None:
        self.messages.append((key, run_id, stored))


class Stage:
    """What a test holds."""

    def __init__(self, model: ScriptedModel) -> None:
        self.model = model
        self.events: list[Event] = []
        self.news = RecordedNews()
        self.now_ms = 1_800_000_000_000
        self.sessions: Sessions
        self.database: Database
        self._news = trio.Event()

    def publish(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()
        self._news = trio.Event()

    def clock(self) -> int:
        self.now_ms += 1
        return self.now_ms

    async def send(self, message: str, run_id: str, key: str = "main", **more: Any) -> dict[str, object]:
        return await self.sessions.send(Send(key, message, run_id, **more))

    async def history(
        self, key: str = "main", limit: int = 200, *, generation: int = V3, **more: Any
    ) -> dict[str, Any]:
        return await self.sessions.reading.history(HistoryQuery(key, limit=limit, **more), generation)

    async def settled_history(self, key: str) -> dict[str, Any]:
        """The history once nothing is queued or running in the session."""
        with trio.fail_after(60):
            while True:
                news = self._news
                told = await self.history(key, 1000)
                if not told["activeRuns"]:
                    return told
                await news.wait()

    async def ended(self, run_id: str) -> dict[str, Any]:
        """The last chat event of a run."""
        return await self.heard(lambda event: event["runId"] == run_id and event.get("state") in ENDS)

    async def said(self, run_id: str, text: str) -> dict[str, Any]:
        """The first event that has the answer as far as `text`."""
        return await self.heard(
            lambda event: event["runId"] == run_id and event.get("data", {}).get("text") == text
        )

    async def heard(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        with trio.fail_after(PATIENCE_S):
            while True:
                news = self._news
                for payload in self.told():
                    if wanted(payload):
                        return payload
                await news.wait()

    def of(self, run_id: str, name: str | None = None, generation: int = V3) -> list[dict[str, Any]]:
        """The payloads of a run's events, of one name or all, as clients of one wire generation get them."""
        return [payload for payload in self.told(name, generation) if payload["runId"] == run_id]

    def told(self, name: str | None = None, generation: int = V3) -> list[dict[str, Any]]:
        """The payloads of all events, of one name or all, as clients of one wire generation get them."""
        return [
            dict(event.payload_for(generation))
            for event in self.events
            if event.is_for(generation) and name in {None, event.name}
        ]


ENDS = {"final", "aborted", "error"}


@asynccontextmanager
async def stage(
    directory: Path,
    script: Script = echo,
    *,
    broken: ModelError | None = None,
    scope: str = "per-sender",
    timeout_ms: int = 600_000,
    retry_s: float = 0.01,
    window: int = 8_000,
    max_tokens: int | None = None,
    serving: bool = True,
    models: ModelSource | None = None,
) -> AsyncIterator[Stage]:
    """Sessions at work on the database in `directory`; the block's end is the process's.

    One model does as `script` says, unless there are other `models`.
    """
    model = ScriptedModel(script)
    held = Stage(model)
    async with open_database(directory / "state.sqlite3") as database:
        held.database = database
        held.sessions = Sessions(
            RunQueue(database),
            Conversations(database),
            models or OneModel(broken or model, window, max_tokens),
            roster=Roster(
                [AgentProfile("main", Path("/nowhere"), name="Molly"), AgentProfile("ops", Path("/nowhere"))],
                "main",
                scope,
            ),
            publish=held.publish,
            news=held.news,
            now_ms=held.clock,
            status_lines=lambda: ["openclawd 1.2.3"],
            timeout_ms=timeout_ms,
            retry_s=retry_s,
        )
        async with trio.open_nursery() as nursery:
            if serving:
                await nursery.start(held.sessions.serve)
            yield held
            nursery.cancel_scope.cancel()


def texts(history: dict[str, Any]) -> list[tuple[str, str]]:
    """Who said what in a chat.history."""
    return [
        (message["role"], "".join(part.get("text", "") for part in message["content"]))
        for message in history["messages"]
    ]
