"""The reading side of conversations, as clients ask for it: whole histories, single messages, files."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from openclawd.protocol.errors import invalid_request
from openclawd.protocol.versions import V3
from openclawd.sessions.addresses import Addresses
from openclawd.sessions.history import (
    Cursor,
    HistoryQuery,
    Page,
    clipped,
    delta_v4,
    history_v3,
    history_v4,
    longest_text,
    numbered,
)
from openclawd.sessions.keys import kind_of
from openclawd.sessions.listing import Listing
from openclawd.sessions.workers import Workers
from openclawd.store.conversations import Conversations
from openclawd.store.records import Attachment, RunState

# How often a history is read again because a run changed its state in between.
_TRIES: Final = 3
# What came since a cursor is read in one go up to here; who missed more reads everything again.
_MAX_NEWER: Final = 1000


class Reading:
    """Reads for clients; keys may be spelt in any way. Every call raises RequestError."""

    def __init__(
        self,
        conversations: Conversations,
        listing: Listing,
        addresses: Addresses,
        workers: Workers,
        *,
        main_key: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._conversations = conversations
        self._listing = listing
        self._addresses = addresses
        self._workers = workers
        self._main_key = main_key
        self._now_ms = now_ms

    async def history(self, query: HistoryQuery, generation: int) -> dict[str, Any]:
        """The answer of `chat.history` to a client of that wire generation."""
        key = self._addresses.key(query.session_key, query.agent_id)
        if query.cursor is not None:
            return await self._delta(key, query)
        if generation == V3:
            return history_v3(await self._page(key, query, {}))
        page = await self._page(key, query, await self._row(key))
        default = self._listing.chosen(key, None)
        defaults: dict[str, Any] = {"modelProvider": default.provider, "model": default.model}
        if default.window is not None:
            defaults["contextTokens"] = default.window
        return history_v4(page) | {"defaults": defaults | default.thinking()}

    async def message(
        self, session_key: str, agent_id: str | None, message_id: str, max_chars: int
    ) -> dict[str, Any]:
        """The answer of `chat.message.get`: one message whole, or why it cannot be had."""
        found = await self._conversations.messages.find(
            self._addresses.key(session_key, agent_id), message_id
        )
        if found is None:
            return {"ok": False, "unavailableReason": "not_found"}
        if not found.shown:
            return {"ok": False, "unavailableReason": "not_visible"}
        if longest_text(found.message.body) > max_chars:
            return {"ok": False, "unavailableReason": "oversized"}
        return {"ok": True, "message": numbered(found.message, max_chars)}

    async def attachment(self, session_key: str, attachment_id: str) -> Attachment:
        """A file that came with a message of the present conversation."""
        session = await self._conversations.session(self._addresses.key(session_key))
        if session is not None:
            found = await self._conversations.attachment(session.session_id, attachment_id)
            if found is not None:
                return found
        raise invalid_request("attachment not found")

    async def _delta(self, key: str, query: HistoryQuery) -> dict[str, Any]:
        cursor = Cursor.read(query.cursor or "")
        if cursor is None:
            return {"kind": "reset"}
        page = await self._page(key, query, await self._row(key))
        newer = await self._conversations.messages.since(key, cursor.last_id, _MAX_NEWER)
        return delta_v4(page, cursor, newer)

    async def _page(self, key: str, query: HistoryQuery, row: Mapping[str, Any]) -> Page:
        offset = query.offset if query.message_id is None else await self._around(key, query)
        for _ in range(_TRIES):
            transcript = await self._conversations.transcript(
                key, query.limit, offset=offset, clip=partial(clipped, max_chars=query.max_chars)
            )
            running = self._workers.running(key)
            if all(
                run.state is not RunState.RUNNING or run.run_id in running for run in transcript.unfinished
            ):
                break
        if query.session_id not in {None, transcript.session_id}:
            raise invalid_request(
                f"sessionId {query.session_id} is not the present conversation of this session; earlier ones"
                " cannot be read any more"
            )
        inputs: dict[str, int] = {}
        if query.input_run_ids:
            inputs = await self._conversations.messages.inputs(key, query.input_run_ids)
        return Page(
            query=query,
            offset=offset,
            transcript=transcript,
            session=await self._conversations.session(key),
            row=row,
            running=running,
            inputs=inputs,
            now_ms=self._now_ms(),
        )

    async def _around(self, key: str, query: HistoryQuery) -> int:
        """How many newer messages to skip to have the wanted one in the middle."""
        found = await self._conversations.messages.find(key, query.message_id or "")
        if found is None or not found.shown:
            raise invalid_request("message not found")
        return max(0, found.newer - query.limit // 2)

    async def _row(self, key: str) -> dict[str, Any]:
        """The session as `sessions.list` has it, or as much as can be said of one that is not there yet."""
        row = await self._listing.row(key)
        if row is not None:
            return row
        chosen = self._listing.chosen(key, None)
        return {
            "key": key,
            "kind": kind_of(key),
            "agentId": self._addresses.agent_of(key),
            "isMain": key == self._main_key,
            "isBackground": False,
            "updatedAt": None,
            "archived": False,
            "pinned": False,
            "unread": False,
            "totalTokensFresh": False,
            "modelProvider": chosen.provider,
            "model": chosen.model,
        }
