"""From what a client sends to what the store accepts: words for a model, or the answer to a command."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import attrs

from openclawd.agents.greeting import NEW_SESSION_PROMPT
from openclawd.sessions.commands import CommandName, help_text, parse_command
from openclawd.sessions.transcript import gateway_message, user_message
from openclawd.store.records import RunKind, Submission


@attrs.frozen
class Send:
    """A message on its way in (`chat.send`). The idempotency key is the run id."""

    session_key: str
    message: str
    run_id: str
    attachments: Sequence[Mapping[str, object]] = ()
    timeout_ms: int | None = None


async def submission(
    send: Send,
    key: str,
    text: str,
    *,
    status: Callable[[str], Awaitable[Sequence[str]]],
    now_ms: int,
    new_session_id: str,
) -> Submission:
    """What to accept for `send`; `text` and `key` are its message and session key, made canonical."""
    submit = partial(
        Submission,
        run_id=send.run_id,
        session_key=key,
        accepted_at_ms=now_ms,
        new_session_id=new_session_id,
        timeout_ms=send.timeout_ms,
    )
    command = parse_command(text)
    if command is None:
        return submit(kind=RunKind.TURN, message=user_message(send.run_id, text, now_ms))
    if command.name is CommandName.HELP:
        return submit(kind=RunKind.COMMAND, message=gateway_message(help_text(), now_ms))
    if command.name is CommandName.STATUS:
        return submit(kind=RunKind.COMMAND, message=gateway_message("\n".join(await status(key)), now_ms))
    # /new and /reset: the words that follow begin the conversation, or the model does, at our request.
    return submit(
        kind=RunKind.TURN,
        message=user_message(send.run_id, command.text or NEW_SESSION_PROMPT, now_ms),
        shown=bool(command.text),
        fresh=True,
    )
