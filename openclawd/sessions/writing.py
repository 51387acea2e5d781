"""The writing side of conversations: messages are accepted, put in by the gateway, sessions are made.

Accepted means durable: when `accept` returns, the message is on disk, in its place of the session's queue,
and will end in exactly one outcome, whatever happens to this process.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import attrs
import trio

from openclawd.auth.scopes import READ
from openclawd.events.event import Event
from openclawd.protocol.errors import invalid_request, unavailable
from openclawd.sessions.addresses import Addresses
from openclawd.sessions.admin import SessionAdmin
from openclawd.sessions.intake import Intake, Send, changed
from openclawd.sessions.news import SessionNews
from openclawd.sessions.reporter import Publish
from openclawd.sessions.run import StopReason
from openclawd.sessions.text import UnusableText, normalise
from openclawd.sessions.transcript import gateway_message
from openclawd.sessions.workers import Workers
from openclawd.store.conversations import Conversations
from openclawd.store.errors import ConversationChanged
from openclawd.store.records import (
    RunKind,
    RunRecord,
    RunState,
    SessionRecord,
    StoredMessage,
    Submission,
)
from openclawd.store.runs import RunQueue

# So that the same idempotency key names the same new session after a restart, too.
_NAMESPACE: Final = uuid5(NAMESPACE_URL, "openclawd:sessions.create")


@attrs.frozen(eq=False, repr=False)
class Sent:
    """What became of a message.

    `run` is its run, `new` unless its idempotency key was used before; `message` is what it added to the
    transcript. Without a run it was a stop text, which stopped `stopped`.
    """

    run: RunRecord | None
    new: bool = False
    message: StoredMessage | None = None
    stopped: Sequence[str] = ()


@attrs.frozen(eq=False, repr=False)
class NewSession:
    """What `sessions.create` asks for; the settings by their wire names."""

    key: str | None = None
    agent_id: str | None = None
    parent_key: str | None = None
    idempotency_key: str | None = None
    settings: dict[str, Any] = attrs.field(factory=dict)


class Writing:
    """Writes for clients; keys may be spelt in any way. Every call raises RequestError."""

    def __init__(
        self,
        runs: RunQueue,
        conversations: Conversations,
        intake: Intake,
        workers: Workers,
        admin: SessionAdmin,
        *,
        addresses: Addresses,
        publish: Publish,
        news: SessionNews,
        now_ms: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._runs = runs
        self._conversations = conversations
        self._intake = intake
        self._workers = workers
        self._admin = admin
        self._addresses = addresses
        self._publish = publish
        self._news = news
        self._now_ms = now_ms
        self._new_id = new_id

    async def accept(self, send: Send) -> Sent:
        """Accept a message, or carry out the stop it asks for.

        What follows from it is published later than this returns, so that the acknowledgement comes first.
        """
        known = await self._runs.find(send.run_id)
        if known is not None:
            # What holds for a message held when it was accepted; a retry changes nothing.
            return self._sent_before(known, self._addresses.key(send.session_key, send.agent_id))
        incoming = await self._intake.read(send)
        key = incoming.key
        if incoming.is_stop:
            return Sent(None, stopped=await self._workers.abort(key, None, StopReason.STOP))
        if send.interrupts:
            await self._workers.stop(key)
        asked = await self._intake.submission(incoming)
        try:
            accepted = await self._runs.accept(asked)
        except ConversationChanged:
            raise changed() from None
        run = accepted.run
        if not accepted.new:
            return self._sent_before(run, key)
        if accepted.message is not None:
            self._soon(partial(self._news.message, key, run.run_id, accepted.message))
        self._news.changed(key, "send")
        if run.kind is RunKind.COMMAND:
            self._soon(partial(self._workers.reporter(run).answered, asked.message))
        else:
            self._workers.wake(key)
        return Sent(run, new=True, message=accepted.message)

    async def inject(self, session_key: str, agent_id: str | None, message: str, label: str | None) -> str:
        """Put words of the gateway into a conversation; the id of the message that they make.

        They are behind everything that was accepted before, and no model reads them.
        """
        key = self._addresses.key(session_key, agent_id)
        session = await self._conversations.session(key)
        if session is None:
            raise invalid_request("session not found")
        try:
            text = normalise(message)
        except UnusableText as error:
            raise invalid_request(str(error)) from error
        now_ms = self._now_ms()
        body = gateway_message(f"[{label}]\n\n{text}" if label else text, now_ms)
        asked = Submission(
            run_id=f"inject-{self._new_id()}",
            session_key=key,
            kind=RunKind.COMMAND,
            accepted_at_ms=now_ms,
            new_session_id=self._new_id(),
            message=body,
            expected_session_id=session.session_id,
        )
        try:
            accepted = await self._runs.accept(asked)
        except ConversationChanged:
            raise changed() from None
        stored = accepted.message
        if stored is None:
            raise AssertionError("what is injected is shown")
        self._tell_injected(key, str(stored.id), body)
        self._news.message(key, None, stored)
        self._news.changed(key, "inject")
        return str(stored.id)

    async def create(self, wanted: NewSession) -> SessionRecord:
        """Make a session with nothing said in it, or change the settings of the one that has the key.

        The one that an idempotency key made before stays as it is.
        """
        if wanted.key is not None:
            key = self._addresses.known_key(wanted.key, wanted.agent_id)
        else:
            unique = uuid5(_NAMESPACE, wanted.idempotency_key) if wanted.idempotency_key else self._new_id()
            key = self._addresses.new_key(str(unique), wanted.agent_id)
        if wanted.parent_key is not None:
            parent = self._addresses.key(wanted.parent_key)
            if await self._conversations.session(parent) is None:
                raise invalid_request(f"unknown parent session: {wanted.parent_key}")
        known = await self._conversations.session(key)
        if known is not None and (wanted.key is None or not wanted.settings):
            return known
        session = await self._admin.patch(key, wanted.settings)
        if known is None:
            self._news.changed(key, "create")
        return session

    def _sent_before(self, run: RunRecord, key: str) -> Sent:
        if run.session_key != key:
            raise invalid_request("idempotencyKey was used for another session; use a new key")
        return Sent(run)

    def _tell_injected(self, key: str, message_id: str, body: dict[str, Any]) -> None:
        payload = {
            "runId": f"inject-{message_id}",
            "sessionKey": key,
            "seq": 0,
            "state": "final",
            "message": body,
        }
        payload_v4 = payload | {"agentId": self._addresses.agent_of(key)}
        self._publish(Event("chat", payload, payload_v4=payload_v4, scope=READ))

    def _soon(self, tell: Callable[[], None]) -> None:
        # The next turn of the loop, when the acknowledgement is on its way.
        trio.lowlevel.current_trio_token().run_sync_soon(tell)


def acknowledgement(sent: Sent) -> dict[str, object]:
    """What `chat.send` answers; a key that was used before never runs twice."""
    run = sent.run
    if run is None:
        return {"ok": True, "aborted": bool(sent.stopped), "runIds": sent.stopped}
    if sent.new:
        return {"runId": run.run_id, "status": "started"}
    if run.state is RunState.ERROR:
        raise unavailable(run.error or "the run failed", runId=run.run_id)
    return {"runId": run.run_id, "status": "ok" if run.finished else "in_flight"}
