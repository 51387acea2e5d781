"""What is done to whole sessions: choosing settings, starting over, shortening, deleting.

A run that is under way keeps its conversation: a session is stopped before it starts over or goes, and what
was accepted for it meanwhile is stopped, too, so that every accepted message still has its one outcome.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import attrs
import trio

from openclawd.protocol.errors import RequestError, invalid_request, unavailable
from openclawd.protocol.versions import V4
from openclawd.sessions.addresses import Addresses
from openclawd.sessions.listing import Listing
from openclawd.sessions.news import SessionNews
from openclawd.sessions.settings import MAX_LABEL_CHARS, Chooser, SessionSettings, settings_of
from openclawd.sessions.transcript import compaction_message
from openclawd.store.administration import Expected, LabelTaken, SessionChanged, Unsettled
from openclawd.store.conversations import Conversations
from openclawd.store.errors import ConversationChanged
from openclawd.store.records import RunKind, RunState, SessionRecord, Submission
from openclawd.store.runs import RunQueue

T = TypeVar("T")

# protocol.md 7.6: how long a reset waits for what is under way.
SETTLE_TIMEOUT_S: Final = 15.0
# Between two looks at a session that somebody keeps sending to.
_LOOK_AGAIN_S: Final = 0.05
# A summary is one answer of the model, which has this long for it.
COMPACTION_TIMEOUT_S: Final = 600.0

# Patches that are about how a list shows the session leave its place in it.
_QUIET: Final = frozenset({"unread", "pinned", "archived"})


@attrs.frozen(eq=False, repr=False)
class Live:
    """The sessions at work, as far as they are needed here; keys are canonical."""

    stop: Callable[[str], Awaitable[object]]
    """Stop what is under way in a session and what waits; returns when that has its outcome, or will not."""
    wake: Callable[[str], None]
    """Say that there is something in the queue of a session."""
    wait: Callable[[str, float], Awaitable[object]]
    """Return when the run of that id has its outcome, or so many seconds are over."""


@attrs.frozen
class Compaction:
    """What became of a conversation that was to be shortened: `kept` messages, or the reason why not."""

    compacted: bool
    kept: int | None = None
    reason: str | None = None
    failed: bool = False


class SessionAdmin:
    """Administration of all sessions; keys may be spelt in any way and are made canonical here.

    Every call raises RequestError for what cannot be done, in words for a person.
    """

    def __init__(
        self,
        conversations: Conversations,
        runs: RunQueue,
        *,
        listing: Listing,
        chooser: Chooser,
        addresses: Addresses,
        main_key: str,
        live: Live,
        news: SessionNews,
        now_ms: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self.chooser = chooser
        self.chosen = listing.chosen
        self.addresses = addresses
        self._administration = conversations.administration
        self._conversations = conversations
        self._runs = runs
        self._main_key = main_key
        self._live = live
        self._news = news
        self._now_ms = now_ms
        self._new_id = new_id

    async def patch(
        self,
        session_key: str,
        changes: Mapping[str, Any],
        *,
        agent_id: str | None = None,
        expected: Expected | None = None,
        generation: int = V4,
    ) -> SessionRecord:
        """Change what is chosen for a session (wire names; None takes away); a missing one is made."""
        key = self.addresses.known_key(session_key, agent_id)
        checked = await self.checked(key, changes, generation=generation)
        try:
            session = await self._administration.patch(
                key,
                checked,
                now_ms=self._now_ms(),
                new_session_id=self._new_id(),
                expected=expected,
                quietly=bool(changes) and _QUIET.issuperset(changes),
            )
        except LabelTaken as error:
            raise invalid_request(f"label already in use: {checked['label']}") from error
        except SessionChanged as error:
            raise _changed(key) from error
        self._news.changed(key, "patch")
        return session

    async def checked(self, key: str, changes: Mapping[str, Any], *, generation: int = V4) -> dict[str, Any]:
        """What to store for `changes` of the session with this canonical key; nothing is stored yet."""
        return self.chooser.changes(
            changes,
            await self.settings(key),
            agent_id=self.addresses.agent_of(key),
            now_ms=self._now_ms(),
            max_label_chars=MAX_LABEL_CHARS[generation],
        )

    async def settings(self, key: str) -> SessionSettings:
        """What is chosen for the session with this canonical key."""
        return settings_of(await self._conversations.session(key))

    async def reset(self, session_key: str, *, agent_id: str | None = None) -> SessionRecord:
        """Begin a new conversation under the key; what was chosen for the session stays."""
        key = self.addresses.known_key(session_key, agent_id)

        async def begin_again() -> SessionRecord:
            return await self._administration.reset(key, now_ms=self._now_ms(), new_session_id=self._new_id())

        session = await self._when_settled(key, begin_again)
        self._news.changed(key, "reset")
        return session

    async def delete(
        self, session_key: str, *, agent_id: str | None = None, expected: Expected | None = None
    ) -> bool:
        """Remove a session and everything said in it; false if there is none. The main session stays."""
        key = self.addresses.key(session_key, agent_id)
        if key == self._main_key:
            raise invalid_request(f"Cannot delete the main session ({key}).")
        wanted = expected

        async def remove() -> bool:
            nonlocal wanted
            try:
                return await self._administration.delete(key, expected=wanted)
            except Unsettled:
                # It was as expected until now; stopping what is under way is a change of ours.
                wanted = wanted and attrs.evolve(wanted, updated_at_ms=None)
                raise

        try:
            deleted = await self._when_settled(key, remove)
        except SessionChanged as error:
            raise _changed(key) from error
        if deleted:
            self._news.changed(key, "delete")
        return deleted

    async def compact(
        self, session_key: str, max_lines: int | None, *, agent_id: str | None = None
    ) -> Compaction:
        """Keep the last `max_lines` messages, or (None) let the model sum up what was said."""
        key = self.addresses.key(session_key, agent_id)
        if max_lines is None:
            return await self._sum_up(key)
        try:
            shortened = await self._administration.keep_last(key, max_lines, now_ms=self._now_ms())
        except Unsettled as error:
            raise _active(key) from error
        if shortened is None:
            return Compaction(compacted=False, reason="no sessionId")
        if shortened.kept == shortened.before:
            return Compaction(compacted=False, kept=shortened.kept)
        self._news.changed(key, "compact")
        return Compaction(compacted=True, kept=shortened.kept)

    async def _sum_up(self, key: str) -> Compaction:
        transcript = await self._conversations.transcript(key, 1)
        if transcript.session_id is None:
            return Compaction(compacted=False, reason="no sessionId")
        if not transcript.messages:
            return Compaction(compacted=False, reason="no transcript")
        run_id = self._new_id()
        now_ms = self._now_ms()
        asked = Submission(
            run_id=run_id,
            session_key=key,
            kind=RunKind.COMPACTION,
            accepted_at_ms=now_ms,
            new_session_id=self._new_id(),
            message=compaction_message(run_id, "", now_ms),
            shown=False,
            timeout_ms=int(COMPACTION_TIMEOUT_S * 1000),
            expected_session_id=transcript.session_id,
        )
        try:
            await self._runs.accept(asked)
        except ConversationChanged:
            return await self._sum_up(key)
        self._live.wake(key)
        await self._live.wait(run_id, COMPACTION_TIMEOUT_S)
        run = await self._runs.find(run_id)
        if run is None or not run.finished:
            return Compaction(compacted=False, failed=True, reason="the summary is still being written")
        if run.state is not RunState.DONE:
            return Compaction(compacted=False, failed=True, reason=run.error or "stopped")
        self._news.changed(key, "compact")
        return Compaction(compacted=True)

    async def _when_settled(self, key: str, change: Callable[[], Awaitable[T]]) -> T:
        """Make a change that needs a session with nothing under way; stops what is.

        Nothing is stopped for a change that is refused for other reasons.
        """
        with trio.move_on_after(SETTLE_TIMEOUT_S):
            with suppress(Unsettled):
                return await change()
            while True:
                await self._live.stop(key)
                try:
                    return await change()
                except Unsettled:
                    await trio.sleep(_LOOK_AGAIN_S)
        raise _active(key)


def _active(key: str) -> RequestError:
    return unavailable(f"Session {key} is still active; try again in a moment.", retryable=True)


def _changed(key: str) -> RequestError:
    return invalid_request(f"Session {key} has changed since it was read; read it again.")
