"""Chatting over the wire: send, wait for the outcome, read what was said."""

from collections.abc import Callable
from typing import Any, Final

import trio

from tests.support.wire_client import PATIENCE_S, WireClient

MAIN: Final = "agent:main:main"
TERMINAL: Final = ("final", "error", "aborted")
_ASK_AGAIN_S: Final = 0.05


async def send(client: WireClient, run_id: str, message: str, session: str = MAIN, **more: object) -> Any:
    """`chat.send`; its acknowledgement."""
    params = {"sessionKey": session, "message": message, "idempotencyKey": run_id, **more}
    return await client.call("chat.send", params)


async def story(client: WireClient, run_id: str) -> list[dict[str, Any]]:
    """Every chat and agent frame of a run, in order, up to its terminal chat event."""
    frames: list[dict[str, Any]] = []
    while not (frames and frames[-1]["payload"].get("state") in TERMINAL):
        frames.append(await client.event_of(("chat", "agent"), runId=run_id))
    return frames


async def history(client: WireClient, session: str = MAIN) -> list[dict[str, Any]]:
    """The messages of a session."""
    messages: list[dict[str, Any]] = (await client.call("chat.history", {"sessionKey": session}))["messages"]
    return messages


async def settled_history(client: WireClient, session: str = MAIN) -> list[dict[str, Any]]:
    """The messages of a session once nothing is under way in it."""
    with trio.fail_after(PATIENCE_S):
        while True:
            found = await client.call("chat.history", {"sessionKey": session})
            if not found["activeRuns"]:
                return list(found["messages"])
            await trio.sleep(_ASK_AGAIN_S)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that sends no event."""
    with trio.fail_after(PATIENCE_S):
        while True:
            if condition():
                return
            await trio.sleep(_ASK_AGAIN_S)


def text_of(message: dict[str, Any]) -> str:
    """The words of a message."""
    return "".join(part["text"] for part in message["content"] if part["type"] == "text")


def said(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Who said what."""
    return [(message["role"], text_of(message)) for message in messages]
