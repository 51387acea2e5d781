"""Which session somebody means who does not know its key, and the last words of sessions."""

import re
from collections.abc import Sequence
from typing import Any, Final

import attrs

from openclawd.protocol.errors import RequestError, invalid_request
from openclawd.sessions.addresses import Addresses
from openclawd.sessions.keys import kind_of
from openclawd.sessions.transcript import text_of
from openclawd.store.conversations import Conversations
from openclawd.store.errors import StoreError
from openclawd.store.records import SessionRecord

# protocol.md 6.1: keys beyond these are left out.
MAX_PREVIEWS: Final = 64
_NOT_SLUG: Final = re.compile(r"[\W_]+")


@attrs.frozen(eq=False, repr=False)
class Reference:
    """What is known of a session: one of the first four."""

    key: str | None = None
    session_id: str | None = None
    label: str | None = None
    short_id: str | None = None
    """How the id of its conversation begins."""
    slug_hint: str | None = None
    """Its label as an address has it; decides between several whose ids begin alike."""
    agent_id: str | None = None
    spawned_by: str | None = None
    include_global: bool = False
    include_unknown: bool = False

    @property
    def text(self) -> str:
        """The one that was given. RequestError if it is not one."""
        given = [text for text in (self.key, self.session_id, self.label, self.short_id) if text is not None]
        if not given:
            raise invalid_request("Either key, sessionId, or label is required")
        if len(given) > 1:
            raise invalid_request("Provide either key, sessionId, or label (not multiple)")
        return given[0]


class Finder:
    """Reads the store for sessions that are named in other ways than by key."""

    def __init__(self, conversations: Conversations, addresses: Addresses) -> None:
        self._conversations = conversations
        self._addresses = addresses

    async def find(self, reference: Reference) -> list[SessionRecord]:
        """Every session that may be meant, the latest first."""
        text = reference.text
        if reference.spawned_by is not None:
            # No session is spawned by another in this gateway yet.
            return []
        if reference.key is not None:
            session = await self._conversations.session(self._addresses.key(text, reference.agent_id))
            return [] if session is None else [session]
        directory = self._conversations.directory
        if reference.label is not None:
            found = await directory.by_label(text)
        else:
            found = await directory.by_id(text, prefix=reference.short_id is not None)
        found = [session for session in found if self._fits(session, reference)]
        named = [session for session in found if _slug(session.label or "") == reference.slug_hint]
        return named or found

    async def preview(self, keys: Sequence[str], limit: int, max_chars: int) -> list[dict[str, Any]]:
        """The last messages of each session (`sessions.preview`), as far as they have words."""
        return [await self._preview(key, limit, max_chars) for key in keys[:MAX_PREVIEWS]]

    async def _preview(self, session_key: str, limit: int, max_chars: int) -> dict[str, Any]:
        try:
            key = self._addresses.key(session_key)
        except RequestError:
            # What is no key names no session; the others are shown all the same.
            return {"key": session_key, "status": "missing", "items": []}
        try:
            transcript = await self._conversations.transcript(key, limit)
        except StoreError:
            return {"key": session_key, "status": "error", "items": []}
        if transcript.session_id is None:
            return {"key": session_key, "status": "missing", "items": []}
        items = [
            {"role": stored.body["role"], "text": _cut(text, max_chars)}
            for stored in transcript.messages
            if (text := text_of(stored.body).strip())
        ]
        return {"key": session_key, "status": "ok" if items else "empty", "items": items}

    def _fits(self, session: SessionRecord, reference: Reference) -> bool:
        kind = kind_of(session.key)
        if (kind == "global" and not reference.include_global) or (
            kind == "unknown" and not reference.include_unknown
        ):
            return False
        agent_id = reference.agent_id
        return agent_id is None or self._addresses.agent_of(session.key) == agent_id.strip().lower()


def _slug(label: str) -> str:
    return _NOT_SLUG.sub("-", label.lower()).strip("-")


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else text[: max_chars - 3] + "..."
