"""What the store hands out and takes in about sessions and runs. Times are wall-clock milliseconds."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

# A transcript message as protocol.md 7.4 has it: {role, content[], timestamp, ...}.
Message = dict[str, Any]


class RunKind(StrEnum):
    """What was asked for."""

    TURN = "turn"
    """A turn of the model; waits for its place in the session's queue."""
    COMMAND = "command"
    """A slash command; answered, and finished, the moment it is accepted."""
    COMPACTION = "compaction"
    """A turn whose answer sums the conversation up, and from which on it begins for the model."""


class RunState(StrEnum):
    """Where a run stands. The last three are terminal: a run reaches exactly one of them, once."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"
    ABORTED = "aborted"


@attrs.frozen
class RunOptions:
    """What was asked for this one run; None where the session or the config decides."""

    model: str | None = None
    """`provider/model`"""
    thinking: str | None = None
    extra_system_prompt: str | None = None


@attrs.frozen
class RunRecord:
    """One accepted message. `seq` is the order of acceptance, over all sessions and for ever."""

    seq: int
    run_id: str
    session_key: str
    session_id: str
    kind: RunKind
    state: RunState
    attempts: int
    """How often it was begun, but for those times when it was interrupted on purpose."""
    interruptions: int
    """How often it was begun and put back: clients may have heard of an answer that is void."""
    timeout_ms: int | None
    accepted_at_ms: int
    started_at_ms: int | None
    ended_at_ms: int | None
    error: str | None
    options: RunOptions = RunOptions()

    @property
    def finished(self) -> bool:
        """Whether it has its outcome."""
        return self.ended_at_ms is not None


@attrs.frozen(eq=False, repr=False)
class Attachment:
    """A file that came with a message; the message's content names it by its id."""

    attachment_id: str
    media_type: str
    file_name: str | None
    data: bytes


@attrs.frozen(eq=False, repr=False)
class Submission:
    """A message to accept.

    `message` is the user's words for a turn, the answer for a command. `shown` is false for a prompt of
    ours, which the model reads and the history does not show. `fresh` begins a new conversation under the
    same key; `new_session_id` names it, or the first one of an unknown key. `settings` are merged into
    those of the session (None takes one away) in the same moment. With `expected_session_id` the message is
    taken only for that conversation.
    """

    run_id: str
    session_key: str
    kind: RunKind
    accepted_at_ms: int
    new_session_id: str
    message: Message
    shown: bool = True
    fresh: bool = False
    timeout_ms: int | None = None
    options: RunOptions = RunOptions()
    attachments: tuple[Attachment, ...] = ()
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    expected_session_id: str | None = None


@attrs.frozen(eq=False, repr=False)
class Accepted:
    """The run of a submission: its own (`new`), or the earlier one that had the same id.

    `message` is what it added to the shown transcript.
    """

    run: RunRecord
    new: bool
    message: "StoredMessage | None" = None


@attrs.frozen(eq=False, repr=False)
class TokenCount:
    """What the last turn cost; `total` is how much of the model's context it filled."""

    input: int
    output: int
    total: int


@attrs.frozen(eq=False, repr=False)
class Ending:
    """The one outcome of a run, with what it adds to the transcript."""

    state: RunState
    error: str | None = None
    message: Message | None = None
    provider: str | None = None
    model: str | None = None
    tokens: TokenCount | None = None
    timed_out: bool = False
    """Aborted by the run's time limit, not by a person."""


@attrs.frozen(eq=False, repr=False)
class LastRun:
    """The run of a session that ended last; commands are not meant."""

    run_id: str
    state: RunState
    timed_out: bool
    started_at_ms: int | None
    ended_at_ms: int
    error: str | None


@attrs.frozen(eq=False, repr=False)
class Finished:
    """A run got its outcome; `message` is what that added to the transcript."""

    message: "StoredMessage | None"


@attrs.frozen(eq=False, repr=False)
class Stoppable:
    """What an abort found: runs that it ended while they were queued, and runs that somebody has to stop."""

    ended: tuple[RunRecord, ...]
    running: tuple[RunRecord, ...]


@attrs.frozen(eq=False, repr=False)
class Unfinished:
    """What the process before left: sessions with queued work, and runs that were tried too often."""

    session_keys: tuple[str, ...]
    exhausted: tuple[RunRecord, ...]


@attrs.frozen(eq=False, repr=False)
class SessionRecord:
    """One session key and the conversation it stands for now."""

    key: str
    session_id: str
    label: str | None
    created_at_ms: int
    updated_at_ms: int
    provider: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    aborted_last_run: bool = attrs.field(converter=bool)
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    """What was chosen for it, by the names of `sessions.patch`; `model` is `provider/model`."""
    opening: str | None = None
    """How its conversation begins, on one line."""
    last_interaction_at_ms: int | None = None
    """When a person last said something in it."""
    last_run: LastRun | None = None


@attrs.frozen(eq=False, repr=False)
class StoredMessage:
    """A message and its numbers: `id` is unique for ever, `seq` grows along the transcript, with gaps."""

    id: int
    seq: int
    body: Message


@attrs.frozen(eq=False, repr=False)
class Transcript:
    """A session as a client sees it: shown messages, oldest first, and the runs that are not finished.

    `total` counts all that are shown, also those that were not asked for, and `last_id` is the id of the
    one of them that was written last, 0 without any.
    """

    session_id: str | None
    messages: tuple[StoredMessage, ...]
    total: int
    unfinished: tuple[RunRecord, ...]
    last_id: int = 0
