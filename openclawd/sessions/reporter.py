"""The events of one run, exactly in stock's shapes and order (protocol.md 7.2, 7.3).

lifecycle start, (agent assistant, chat delta)*, lifecycle end or error, then one last chat event: final,
aborted or error. `seq` counts the agent events of the run from 1; a chat event carries the number of the
agent event it belongs to. The session key is canonical in every one of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from openclawd.auth.scopes import READ
from openclawd.events.event import Event
from openclawd.sessions.transcript import text_content

Publish = Callable[[Event], None]


class Reporter:
    """Tells the clients about one run."""

    def __init__(self, run_id: str, session_key: str, publish: Publish, now_ms: Callable[[], int]) -> None:
        self._run_id = run_id
        self._session_key = session_key
        self._publish = publish
        self._now_ms = now_ms
        self._seq = 0

    def started(self) -> None:
        """The model is about to be asked."""
        self._agent("lifecycle", {"phase": "start", "startedAt": self._now_ms()})

    def piece(self, text: str, delta: str) -> None:
        """The answer grew by `delta` to `text`."""
        self._agent("assistant", {"text": text, "delta": delta})

    def delta(self, text: str) -> None:
        """The answer so far, for clients that only show it; the next one makes up for one that is dropped."""
        self._chat("delta", {"message": self._message(text)}, drop_if_slow=True)

    def final(self, text: str, usage: Mapping[str, Any]) -> None:
        """The whole answer and what it cost. A client that gets no message, as it is empty, reads the
        history.
        """
        self._agent("lifecycle", {"phase": "end", "endedAt": self._now_ms()})
        more: dict[str, Any] = {"message": self._message(text)} if text else {}
        self._chat("final", more | ({"usage": usage} if usage.get("totalTokens") else {}))

    def answered(self, message: Mapping[str, Any]) -> None:
        """A command's answer: one final chat event with the full transcript message."""
        self._chat("final", {"message": message})

    def aborted(self, reason: str, text: str) -> None:
        """Stopped; `text` is what was said until then."""
        if self._seq:
            self._agent("lifecycle", {"phase": "end", "endedAt": self._now_ms(), "aborted": True})
        self._chat("aborted", {"stopReason": reason} | ({"message": self._message(text)} if text else {}))

    def failed(self, error: str) -> None:
        """Ended by an error, in words for the user."""
        self._agent("lifecycle", {"phase": "error", "error": error, "endedAt": self._now_ms()})
        self._chat("error", {"errorMessage": error})

    def _message(self, text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text_content(text), "timestamp": self._now_ms()}

    def _agent(self, stream: str, data: Mapping[str, Any]) -> None:
        self._seq += 1
        payload = {
            "runId": self._run_id,
            "stream": stream,
            "data": data,
            "sessionKey": self._session_key,
            "seq": self._seq,
            "ts": self._now_ms(),
        }
        self._publish(Event("agent", payload, scope=READ))

    def _chat(self, state: str, more: Mapping[str, Any], *, drop_if_slow: bool = False) -> None:
        payload = {
            "runId": self._run_id,
            "sessionKey": self._session_key,
            # A run that ends before it began has had no agent event; stock numbers such a lone one 1.
            "seq": self._seq or 1,
            "state": state,
            **more,
        }
        self._publish(Event("chat", payload, scope=READ, drop_if_slow=drop_if_slow))
