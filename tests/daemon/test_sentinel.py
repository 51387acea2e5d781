"""Who asked for a restart is told when it is done, once, in the session that asked."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from openclawd.daemon.sentinel import NAME, deliver_note, leave_note
from openclawd.methods.services import RestartRequest
from openclawd.store.errors import closed

KEY = "agent:main:garden"
NOW_MS = 1_800_000_000_000


async def delivered(state_dir: Path) -> list[tuple[str | None, str]]:
    """What the sessions are told at a start."""
    told: list[tuple[str | None, str]] = []

    async def tell(session_key: str | None, text: str) -> None:
        told.append((session_key, text))

    await deliver_note(state_dir, tell)
    return told


def nothing_left(state_dir: Path) -> bool:
    """Whether no file is there."""
    return not any(state_dir.iterdir())


def written(state_dir: Path) -> dict[str, Any]:
    """The note."""
    document: dict[str, Any] = orjson.loads((state_dir / NAME).read_bytes())
    return document


async def test_the_session_that_asked_is_told_once(tmp_path: Path) -> None:
    asked = RestartRequest("new certificate", "restart", session_key=KEY, note="Go on with step 2.")
    leave_note(tmp_path, [asked], NOW_MS)
    told = [(KEY, "The gateway has restarted: new certificate\nGo on with step 2.")]
    assert await delivered(tmp_path) == told
    assert await delivered(tmp_path) == []
    assert nothing_left(tmp_path)


async def test_everybody_who_joined_a_restart_is_told(tmp_path: Path) -> None:
    requests = [
        RestartRequest("one", "restart", note="for the main session"),
        RestartRequest("SIGUSR1", "signal"),
        RestartRequest("two", "restart", session_key=KEY),
    ]
    leave_note(tmp_path, requests, NOW_MS)
    assert await delivered(tmp_path) == [
        (None, "The gateway has restarted: one\nfor the main session"),
        (KEY, "The gateway has restarted: two"),
    ]


def test_the_note_has_stocks_shape_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    leave_note(tmp_path, [RestartRequest("gateway.port", "config-patch", session_key=KEY)], NOW_MS)
    assert written(tmp_path) == {
        "version": 1,
        "payload": {
            "kind": "config-patch",
            "status": "ok",
            "ts": NOW_MS,
            "sessionKey": KEY,
            "message": None,
            "doctorHint": "openclawd doctor",
            "stats": {"mode": "config-patch", "reason": "gateway.port"},
        },
    }
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["signal", "restart", "config-reload"])
def test_a_restart_that_nobody_wants_to_be_told_of_leaves_no_note(tmp_path: Path, kind: Any) -> None:
    leave_note(tmp_path, [RestartRequest("SIGUSR1", kind)], NOW_MS)
    assert nothing_left(tmp_path)


async def test_a_note_of_stock_about_a_failure_says_so(tmp_path: Path) -> None:
    payload = {"kind": "update", "status": "error", "ts": 1, "message": None, "stats": {"reason": "no disk"}}
    (tmp_path / NAME).write_bytes(orjson.dumps({"version": 1, "payload": payload}))
    ((key, text),) = await delivered(tmp_path)
    assert key is None
    assert text == "The gateway has restarted; update ended with: error: no disk"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b'{"version":2,"payload":{}}', b'{"version":1}', b'{"version":1,"payload":[]}'],
)
async def test_a_note_that_cannot_be_understood_is_taken_away(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert await delivered(tmp_path) == []
    assert nothing_left(tmp_path)


async def test_a_note_that_could_not_be_kept_stays_for_the_next_start(tmp_path: Path) -> None:
    leave_note(tmp_path, [RestartRequest("one", "restart", session_key=KEY)], NOW_MS)

    async def full(_session_key: str | None, _text: str) -> None:
        raise closed(tmp_path)

    await deliver_note(tmp_path, full)
    assert len(await delivered(tmp_path)) == 1


def test_a_place_that_cannot_be_written_does_not_stop_a_restart(tmp_path: Path) -> None:
    leave_note(tmp_path / "missing", [RestartRequest("one", "restart", session_key=KEY)], NOW_MS)
