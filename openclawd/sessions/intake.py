"""From what a client sends to what the store accepts: words for a model, or the answer to a command."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from functools import partial
from typing import Final

import attrs

from openclawd.agents.entries import ModelRef
from openclawd.agents.greeting import NEW_SESSION_PROMPT
from openclawd.agents.model import ModelError
from openclawd.agents.thinking import LEVELS
from openclawd.protocol.errors import RequestError, invalid_request
from openclawd.sessions.addresses import Addresses
from openclawd.sessions.answers import Answers, Sender
from openclawd.sessions.attachments import ReadAttachment, read_attachments
from openclawd.sessions.commands import CommandName, is_stop, parse_command
from openclawd.sessions.settings import settings_of
from openclawd.sessions.source import ModelSource
from openclawd.sessions.text import UnusableText, normalise
from openclawd.sessions.transcript import gateway_message, user_message
from openclawd.store.conversations import Conversations
from openclawd.store.records import RunKind, RunOptions, Submission

_RESETS: Final = frozenset({CommandName.NEW, CommandName.RESET})


class Commands(Enum):
    """What of a message is for the gateway and not for the model."""

    ALL = auto()
    """Stop texts and slash commands: a person writes."""
    RESETS = auto()
    """`/new` and `/reset`: the `agent` method."""
    NONE = auto()


@attrs.frozen(eq=False, repr=False)
class Send:
    """A message on its way in. The idempotency key is the run id."""

    session_key: str
    message: str
    run_id: str
    agent_id: str | None = None
    attachments: Sequence[Mapping[str, object]] = ()
    timeout_ms: int | None = None
    thinking: str | None = None
    model: str | None = None
    extra_system_prompt: str | None = None
    sender: Sender | None = None
    """Who wrote it, where that is known."""
    commands: Commands = Commands.ALL
    expected_session_id: str | None = None
    """The conversation it is meant for; None for whichever there is."""
    may_begin: bool = False
    """Whether a session that is new begins as the expected conversation, rather than being refused."""
    expected_last: str | None = ""
    """The id of a message that the sender saw as the last; None if it saw none, empty if it does not say."""
    interrupts: bool = False
    """Whether what the session does and what waits in it is stopped first."""


@attrs.frozen(eq=False, repr=False)
class Incoming:
    """A message that was read and may be accepted; its key is canonical."""

    send: Send
    key: str
    text: str
    files: tuple[ReadAttachment, ...]
    options: RunOptions
    expected_session_id: str | None

    @property
    def is_stop(self) -> bool:
        """Whether it asks to stop what is under way, and nothing else."""
        return self.send.commands is Commands.ALL and not self.files and is_stop(self.text)


class Intake:
    """Reads messages of all sessions. What cannot be accepted is a RequestError, in words for its sender."""

    def __init__(
        self,
        conversations: Conversations,
        models: ModelSource,
        addresses: Addresses,
        *,
        answers: Answers,
        now_ms: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._conversations = conversations
        self._models = models
        self._addresses = addresses
        self._answers = answers
        self._now_ms = now_ms
        self._new_id = new_id

    async def read(self, send: Send) -> Incoming:
        """Check everything that can be checked before the message is accepted."""
        key = self._addresses.known_key(send.session_key, send.agent_id)
        files = read_attachments(send.attachments)
        try:
            text = normalise(send.message, required=not files)
        except UnusableText as error:
            raise invalid_request(str(error)) from error
        options = RunOptions(
            self._model(send.model, key), _thinking(send.thinking), send.extra_system_prompt or None
        )
        session = await self._conversations.session(key)
        if settings_of(session).send_policy == "deny":
            raise invalid_request("send blocked by session policy")
        expected = send.expected_session_id
        if send.expected_last != "":
            expected = await self._conversation_of(key, send.expected_last, expected)
        return Incoming(send, key, text, files, options, expected)

    async def submission(self, incoming: Incoming) -> Submission:
        """What to accept for a message."""
        send, now_ms = incoming.send, self._now_ms()
        begun = incoming.expected_session_id if send.may_begin else None
        files = tuple(file.stored(self._new_id()) for file in incoming.files)
        submit = partial(
            Submission,
            run_id=send.run_id,
            session_key=incoming.key,
            accepted_at_ms=now_ms,
            new_session_id=begun or self._new_id(),
            timeout_ms=send.timeout_ms,
            options=incoming.options,
            expected_session_id=incoming.expected_session_id,
        )
        command = None if send.commands is Commands.NONE else parse_command(incoming.text)
        if command is not None and command.name in _RESETS:
            # The words that follow begin the conversation, or the model does, at our request.
            text = command.text or ("" if files else NEW_SESSION_PROMPT)
            return submit(
                kind=RunKind.TURN,
                message=user_message(send.run_id, text, now_ms, files),
                attachments=files,
                shown=bool(command.text or files),
                fresh=True,
                new_session_id=self._new_id(),
            )
        if command is not None and send.commands is Commands.ALL and not files:
            reply = await self._answers.reply(command, incoming.key, send.sender)
            if reply.sums_up:
                message = user_message(send.run_id, reply.text, now_ms)
                return submit(kind=RunKind.COMPACTION, message=message, shown=False)
            answer = gateway_message(reply.text, now_ms)
            return submit(kind=RunKind.COMMAND, message=answer, settings=reply.settings)
        message = user_message(send.run_id, incoming.text, now_ms, files)
        return submit(kind=RunKind.TURN, message=message, attachments=files)

    def _model(self, wanted: str | None, key: str) -> str | None:
        if wanted is None:
            return None
        try:
            model = self._models.resolve(wanted, self._addresses.agent_of(key))
        except ModelError as error:
            raise invalid_request(str(error)) from error
        return str(ModelRef(model.provider, model.id))

    async def _conversation_of(self, key: str, message_id: str | None, session_id: str | None) -> str | None:
        """The conversation whose last message the sender saw; it need not be the last any more."""
        if message_id is None:
            if (await self._conversations.transcript(key, 1)).total:
                raise changed()
            return session_id
        found = await self._conversations.messages.find(key, message_id)
        if found is None or session_id not in {None, found.session_id}:
            raise changed()
        return found.session_id


def changed() -> RequestError:
    """The sender looks at another conversation than the one that its message would go to."""
    return invalid_request("this session has begun a new conversation; read chat.history and send again")


def _thinking(wanted: str | None) -> str | None:
    level = (wanted or "").strip().lower()
    if level and level not in LEVELS:
        raise invalid_request(f'invalid thinking level "{wanted}" (use {"|".join(LEVELS)})')
    return level or None
