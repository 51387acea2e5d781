"""The events of a run, as clients of each generation hear them."""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest

from openclawd.agents.model import ModelErrorKind
from openclawd.events.event import Event
from openclawd.sessions.reporter import Reporter
from openclawd.store.records import RunKind, RunRecord, RunState

KEY = "agent:main:main"
RUN = RunRecord(
    seq=1,
    run_id="r",
    session_key=KEY,
    session_id="s",
    kind=RunKind.TURN,
    state=RunState.RUNNING,
    attempts=1,
    interruptions=0,
    timeout_ms=None,
    accepted_at_ms=1,
    started_at_ms=1,
    ended_at_ms=None,
    error=None,
)
TEXT = {"role": "assistant", "content": [{"type": "text", "text": "Hi you"}]}


class Told:
    """A reporter, and what it published."""

    def __init__(self, *, again: bool = False) -> None:
        self.events: list[Event] = []
        clock: Iterator[int] = count(1000)
        self.reporter = Reporter(
            RUN, agent_id="main", publish=self.events.append, now_ms=lambda: next(clock), again=again
        )

    def to(self, generation: int, name: str | None = None) -> list[dict[str, Any]]:
        return [
            dict(event.payload_for(generation))
            for event in self.events
            if event.is_for(generation) and name in {None, event.name}
        ]


def steps(payloads: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [
        (p.get("state") or f"{p['stream']} {p['data'].get('phase', '')}".strip(), p["seq"]) for p in payloads
    ]


def whole_run(told: Told) -> None:
    reporter = told.reporter
    reporter.started()
    reporter.asking("mock", "mock-1")
    reporter.piece("Hi", "Hi")
    reporter.chat_v4("Hi", "Hi")
    reporter.chat_v3("Hi", "Hi")
    reporter.piece("Hi you", " you")
    reporter.chat_v4("Hi you", " you")
    reporter.final("Hi you", {"output": 3, "totalTokens": 9}, "stop")


def test_v3_hears_what_it_always_heard() -> None:
    told = Told()
    whole_run(told)
    assert steps(told.to(3)) == [
        ("lifecycle start", 1),
        ("assistant", 2),
        ("delta", 2),
        ("assistant", 3),
        ("lifecycle end", 4),
        ("final", 4),
    ]
    assert told.to(3, "agent")[1] == {
        "runId": "r",
        "stream": "assistant",
        "data": {"text": "Hi", "delta": "Hi"},
        "sessionKey": KEY,
        "seq": 2,
        "ts": told.to(3, "agent")[1]["ts"],
    }
    assert told.to(3, "agent")[-1]["data"].keys() == {"phase", "endedAt"}
    delta, final = told.to(3, "chat")
    assert delta.keys() == {"runId", "sessionKey", "seq", "state", "message"}
    assert final.keys() == {"runId", "sessionKey", "seq", "state", "message", "usage"}


def test_v4_hears_what_the_gateway_does_which_model_answers_and_what_it_cost() -> None:
    told = Told()
    whole_run(told)
    assert steps(told.to(4)) == [
        ("run_status preparing_context", 1),
        ("status", 1),
        ("lifecycle start", 2),
        ("run_status starting_model", 3),
        ("status", 3),
        ("lifecycle model", 4),
        ("assistant", 5),
        ("delta", 5),
        ("assistant", 6),
        ("delta", 6),
        ("usage", 7),
        ("lifecycle end", 8),
        ("final", 8),
    ]
    agent = told.to(4, "agent")
    assert all(
        (event["agentId"], event["sessionId"], event["isHeartbeat"]) == ("main", "s", False)
        for event in agent
    )
    assert agent[3]["data"] == {"phase": "model", "provider": "mock", "model": "mock-1"}
    assert agent[-2]["data"] == {"outputTokens": 3}
    assert agent[-1]["data"].keys() == {"phase", "startedAt", "endedAt", "stopReason", "aborted"}


def test_a_v4_delta_has_what_is_new_and_the_whole() -> None:
    told = Told()
    whole_run(told)
    status, _, first, second, final = told.to(4, "chat")
    assert status == {
        "runId": "r",
        "sessionKey": KEY,
        "agentId": "main",
        "seq": 1,
        "state": "status",
        "phase": "preparing_context",
    }
    assert (first["deltaText"], second["deltaText"]) == ("Hi", " you")
    assert "replace" not in first
    assert second["message"] == TEXT | {"timestamp": second["message"]["timestamp"]}
    assert final["stopReason"] == "stop"
    assert final["message"]["content"] == TEXT["content"]


def test_the_answer_of_a_run_that_is_asked_again_replaces_what_was_heard_of_it() -> None:
    told = Told(again=True)
    told.reporter.piece("Hi", "Hi")
    told.reporter.chat_v4("Hi you", " you")
    told.reporter.chat_v4("Hi you there", " there")
    first, second = told.to(4, "chat")
    assert (first["replace"], first["deltaText"]) == (True, "Hi you")
    assert "replace" not in second
    assert second["deltaText"] == " there"


def test_only_deltas_and_states_may_be_dropped() -> None:
    told = Told()
    whole_run(told)
    kept = [event for event in told.events if not event.drop_if_slow]
    assert {event.name for event in told.events if event.drop_if_slow} == {"chat"}
    assert [event.payload["state"] for event in kept if event.name == "chat"] == ["final"]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (ModelErrorKind.CONTEXT_TOO_LONG, "context_length"),
        (ModelErrorKind.RATE_LIMITED, "rate_limit"),
        (ModelErrorKind.REFUSED, "refusal"),
        (ModelErrorKind.UNREACHABLE, "timeout"),
        (ModelErrorKind.BAD_KEY, "unknown"),
        (None, "unknown"),
    ],
)
def test_v4_learns_what_kind_of_error_it_was(kind: ModelErrorKind | None, word: str) -> None:
    told = Told()
    told.reporter.started()
    told.reporter.failed("no luck", kind)
    assert told.to(4, "chat")[-1]["errorKind"] == word
    assert told.to(3, "chat")[-1].keys() == {"runId", "sessionKey", "seq", "state", "errorMessage"}
    assert steps(told.to(3)) == [("lifecycle start", 1), ("lifecycle error", 2), ("error", 2)]


def test_a_run_stopped_before_it_began_has_its_aborted_event_alone() -> None:
    told = Told()
    told.reporter.aborted("rpc", "")
    assert told.to(3) == [
        {"runId": "r", "sessionKey": KEY, "seq": 1, "state": "aborted", "stopReason": "rpc"}
    ]
    assert told.to(4) == [told.to(3)[0] | {"agentId": "main"}]


def test_a_run_stopped_in_the_middle_keeps_what_was_said() -> None:
    told = Told()
    told.reporter.started()
    told.reporter.aborted("stop", "Hi you")
    assert told.to(3, "agent")[-1]["data"] | {"endedAt": 0} == {
        "phase": "end",
        "endedAt": 0,
        "aborted": True,
    }
    assert told.to(4, "agent")[-1]["data"]["stopReason"] == "stop"
    assert told.to(4, "chat")[-1]["message"]["content"] == TEXT["content"]


def test_an_empty_answer_ends_in_a_final_without_message() -> None:
    told = Told()
    told.reporter.started()
    told.reporter.final("", {}, "stop")
    assert "message" not in told.to(4, "chat")[-1]
    assert "usage" not in {event["stream"] for event in told.to(4, "agent")}


def test_a_command_is_answered_by_one_final_with_the_transcript_s_message() -> None:
    told = Told()
    message: Mapping[str, Any] = TEXT | {"stopReason": "stop", "provider": "openclaw"}
    told.reporter.answered(message)
    assert told.to(3) == [{"runId": "r", "sessionKey": KEY, "seq": 1, "state": "final", "message": message}]
    assert told.to(4) == [told.to(3)[0] | {"agentId": "main", "stopReason": "stop"}]
