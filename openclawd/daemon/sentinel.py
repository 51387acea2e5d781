"""The note that a restart leaves for conversations: stock's file, so that either gateway tells what the other
was asked to.

Written when nothing can stop the restart any more, read and taken away at the next start. What it says waits
as a system event of the session that asked, or of the main one, and its model reads it with the next turn.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from openclawd.methods.services import RestartRequest
from openclawd.store.errors import StoreError

NAME: Final = "restart-sentinel.json"
# A note is a few lines; nothing of this size was written by a gateway.
_MAX_BYTES: Final = 256 * 1024
# What stock leaves a note of whoever asked; other restarts only if somebody wants to be told.
_ALWAYS_TOLD: Final = frozenset({"config-apply", "config-patch", "update"})
_DOCTOR: Final = "openclawd doctor"

# Gets a session key as it was given, None for the main session, and the words for its model.
Tell = Callable[[str | None, str], Awaitable[None]]

_log = logging.getLogger("openclawd.gateway")


def leave_note(state_dir: Path, requests: Sequence[RestartRequest], now_ms: int) -> None:
    """Write down who is to be told of the restart, if anybody is. A disk that is full is no reason not to
    restart: the log says so.
    """
    told = [each for each in requests if each.session_key or each.note or each.kind in _ALWAYS_TOLD]
    if not told:
        return
    first, *others = [_payload(each, now_ms) for each in told]
    # Stock knows one; the others are ours.
    document = {"version": 1, "payload": first} | ({"others": others} if others else {})
    path = state_dir / NAME
    beside = path.with_name(f"{NAME}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        _warn("restart note not written", path, error)


async def deliver_note(state_dir: Path, tell: Tell) -> None:
    """Tell the sessions what the last note says, and take it away.

    A note that cannot be understood is taken away, too. Where the store does not take what it says, it stays
    for the next start.
    """
    path = state_dir / NAME
    try:
        with path.open("rb") as file:
            words = list(_words(orjson.loads(file.read(_MAX_BYTES))))
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        _warn("restart note not understood", path, error)
        words = []
    try:
        for session_key, text in words:
            await tell(session_key, text)
        path.unlink(missing_ok=True)
    except (OSError, StoreError) as error:
        _warn("restart note stays", path, error)


def _warn(message: str, path: Path, error: Exception) -> None:
    _log.warning(message, extra={"fields": {"path": str(path), "error": str(error)}})


def _payload(request: RestartRequest, now_ms: int) -> dict[str, Any]:
    return {
        "kind": request.kind if request.kind in _ALWAYS_TOLD else "restart",
        "status": "ok",
        "ts": now_ms,
        **({"sessionKey": request.session_key} if request.session_key else {}),
        "message": request.note,
        "doctorHint": _DOCTOR,
        "stats": {"mode": request.kind, "reason": request.reason},
    }


def _words(document: dict[str, Any]) -> Iterator[tuple[str | None, str]]:
    if document["version"] != 1:
        raise ValueError(f"version {document['version']}")
    for payload in (document["payload"], *document.get("others", ())):
        kind, status = payload["kind"], payload["status"]
        if status == "ok":
            said = "The gateway has restarted" + (f" ({kind})" if kind != "restart" else "")
        else:
            said = f"The gateway has restarted; {kind} ended with: {status}"
        reason = (payload.get("stats") or {}).get("reason")
        text = "\n".join(
            filter(None, (f"{said}: {reason}" if reason else f"{said}.", payload.get("message")))
        )
        yield payload.get("sessionKey") or None, text
