"""The events of one run, in each generation's shapes and order (protocol.md 7.2, 7.3).

v3: lifecycle start, (agent assistant, chat delta)*, lifecycle end or error, then one last chat event: final,
aborted or error. v4 hears more: what the gateway is doing before the first word, which model answers, and
what it cost. So `seq`, which counts the agent events of the run from 1, counts for each generation apart; a
chat event carries the number of the agent event it belongs to. The session key is canonical in all of them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from openclawd.agents.model import ModelErrorKind
from openclawd.auth.scopes import READ
from openclawd.events.event import Event
from openclawd.protocol.versions import V3, V4
from openclawd.sessions.transcript import text_content
from openclawd.store.records import RunRecord

Publish = Callable[[Event], None]

# `errorKind` of v4's error state, where it has a word for it.
_ERROR_KINDS: Final[Mapping[ModelErrorKind, str]] = {
    ModelErrorKind.CONTEXT_TOO_LONG: "context_length",
    ModelErrorKind.RATE_LIMITED: "rate_limit",
    ModelErrorKind.REFUSED: "refusal",
    ModelErrorKind.UNREACHABLE: "timeout",
}
_ERROR_KIND_OTHERWISE: Final = "unknown"


class Reporter:
    """Tells the clients about one run.

    `again` says that clients may have heard of a part of its answer, which is void: the gateway stopped in
    the middle of it, and it is asked again under the same id.
    """

    def __init__(
        self,
        run: RunRecord,
        *,
        agent_id: str,
        publish: Publish,
        now_ms: Callable[[], int],
        again: bool = False,
    ) -> None:
        self._run = run
        self._agent_id = agent_id
        self._publish = publish
        self._now_ms = now_ms
        self._replace = again
        self._seq = {V3: 0, V4: 0}
        self._started_ms: int | None = None

    def started(self) -> None:
        """Its turn has come, and the question is being put together."""
        self._status("preparing_context")
        self._started_ms = self._now_ms()
        self._agent("lifecycle", {"phase": "start", "startedAt": self._started_ms})

    def asking(self, provider: str, model: str) -> None:
        """The model is being asked."""
        self._status("starting_model")
        self._agent_v4("lifecycle", {"phase": "model", "provider": provider, "model": model})

    def piece(self, text: str, new: str) -> None:
        """The answer grew by `new` to `text`."""
        self._agent("assistant", {"text": text, "delta": new})

    def chat_v3(self, text: str, _new: str) -> None:
        """The answer so far, for clients that only show it; the next one makes up for one that is dropped."""
        payload = {**self._chat_base(V3), "state": "delta", "message": self._message(text)}
        self._publish(Event("chat", payload, only=V3, scope=READ, drop_if_slow=True))

    def chat_v4(self, text: str, new: str) -> None:
        """The same, and what is new of it, or all of it where clients may hold something else.

        A client from which one was withheld has the whole text in the message of the next.
        """
        payload = {**self._chat_base(V4), "state": "delta", "deltaText": text if self._replace else new}
        if self._replace:
            payload["replace"] = True
            self._replace = False
        payload["message"] = self._message(text)
        self._publish(Event("chat", payload, only=V4, scope=READ, drop_if_slow=True))

    def final(self, text: str, usage: Mapping[str, Any], stop_reason: str) -> None:
        """The whole answer and what it cost. A client that gets no message, as it is empty, reads the
        history.
        """
        if usage.get("output"):
            self._agent_v4("usage", {"outputTokens": usage["output"]})
        self._ended({}, {"stopReason": stop_reason, "aborted": False})
        more: dict[str, Any] = {"message": self._message(text)} if text else {}
        if usage.get("totalTokens"):
            more["usage"] = usage
        self._chat("final", more, {"stopReason": stop_reason})

    def answered(self, message: Mapping[str, Any]) -> None:
        """A command's answer: one final chat event with the full transcript message."""
        self._chat("final", {"message": message}, {"stopReason": message["stopReason"]})

    def aborted(self, reason: str, text: str) -> None:
        """Stopped; `text` is what was said until then."""
        if self._started_ms is not None:
            self._ended({"aborted": True}, {"stopReason": reason})
        self._chat("aborted", {"stopReason": reason} | ({"message": self._message(text)} if text else {}))

    def failed(self, error: str, kind: ModelErrorKind | None = None) -> None:
        """Ended by an error, in words for the user; `kind` where it was the model's."""
        data = {"phase": "error", "error": error, "endedAt": self._now_ms()}
        self._agent("lifecycle", data)
        known = _ERROR_KINDS.get(kind, _ERROR_KIND_OTHERWISE) if kind is not None else _ERROR_KIND_OTHERWISE
        self._chat("error", {"errorMessage": error}, {"errorKind": known})

    def _ended(self, more: Mapping[str, Any], more_v4: Mapping[str, Any]) -> None:
        data = {"phase": "end", "endedAt": self._now_ms(), **more}
        self._agent("lifecycle", data, {**data, "startedAt": self._started_ms, **more_v4})

    def _message(self, text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text_content(text), "timestamp": self._now_ms()}

    def _status(self, phase: str) -> None:
        self._agent_v4("run_status", {"phase": phase})
        payload = {**self._chat_base(V4), "state": "status", "phase": phase}
        self._publish(Event("chat", payload, only=V4, scope=READ, drop_if_slow=True))

    def _agent(self, stream: str, data: Mapping[str, Any], data_v4: Mapping[str, Any] | None = None) -> None:
        self._publish(
            Event(
                "agent",
                self._agent_form(V3, stream, data),
                self._agent_form(V4, stream, data if data_v4 is None else data_v4),
                scope=READ,
            )
        )

    def _agent_v4(self, stream: str, data: Mapping[str, Any]) -> None:
        self._publish(Event("agent", self._agent_form(V4, stream, data), only=V4, scope=READ))

    def _agent_form(self, generation: int, stream: str, data: Mapping[str, Any]) -> dict[str, Any]:
        self._seq[generation] += 1
        form = {
            "runId": self._run.run_id,
            "stream": stream,
            "data": data,
            "sessionKey": self._run.session_key,
            "seq": self._seq[generation],
            "ts": self._now_ms(),
        }
        if generation == V4:
            form |= {"agentId": self._agent_id, "sessionId": self._run.session_id, "isHeartbeat": False}
        return form

    def _chat(self, state: str, more: Mapping[str, Any], more_v4: Mapping[str, Any] | None = None) -> None:
        payload = {**self._chat_base(V3), "state": state, **more}
        payload_v4 = {**self._chat_base(V4), "state": state, **more, **(more_v4 or {})}
        self._publish(Event("chat", payload, payload_v4, scope=READ))

    def _chat_base(self, generation: int) -> dict[str, Any]:
        base = {
            "runId": self._run.run_id,
            "sessionKey": self._run.session_key,
            # A run that ends before it began has had no agent event; stock numbers such a lone one 1.
            "seq": self._seq[generation] or 1,
        }
        return base if generation == V3 else base | {"agentId": self._agent_id}
