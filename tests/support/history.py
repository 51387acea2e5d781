"""What was said to a gateway that dies again and again, what it said, and what it kept: do they agree?

Clients note what they ask, what was acknowledged and how runs ended; in the end the transcripts are noted.
Pure: notes go in, faults come out. It knows nothing of how the gateway works, only what it promises.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import attrs

GIVEN_UP: Final = "interrupted"
# A run that was under way in so many deaths of the process is given up in words.
DEATHS_OF_A_RUN: Final = 2


@attrs.frozen
class Line:
    """One message of a transcript: of which run, by whom; `error` is why an answer failed."""

    run_id: str
    role: str
    text: str
    error: str | None = None


@attrs.define
class _Ask:
    session: str
    text: str
    asked_at: int
    acknowledged_at: int | None = None


class History:
    """Of one gateway, over all its lives. `expected` says what a text must be answered with."""

    def __init__(self, expected: Callable[[str], str]) -> None:
        self._expected = expected
        self._asks: dict[str, _Ask] = {}
        self._ends: dict[str, list[tuple[str, str, str]]] = {}
        self._transcripts: dict[str, Sequence[Line]] = {}
        self._moment = 0
        self.deaths = 0
        """How often the process was killed."""

    def asks(self, run_id: str, session: str, text: str) -> None:
        """A client is about to send a message; again under the same id, it tries again."""
        self._moment += 1
        self._asks.setdefault(run_id, _Ask(session, text, self._moment))

    def acknowledged(self, run_id: str) -> None:
        """The gateway said that it has the message."""
        self._moment += 1
        ask = self._asks[run_id]
        ask.acknowledged_at = ask.acknowledged_at or self._moment

    def ended(self, witness: str, run_id: str, state: str, text: str) -> None:
        """One client heard the terminal event of a run, with the whole answer."""
        self._ends.setdefault(run_id, []).append((witness, state, text))

    def kept(self, session: str, lines: Iterable[Line]) -> None:
        """What the session's transcript holds when nothing is under way any more."""
        self._transcripts[session] = tuple(lines)

    @property
    def asked(self) -> Mapping[str, tuple[str, str]]:
        """Session and text of every message that anybody tried to send."""
        return {run_id: (ask.session, ask.text) for run_id, ask in self._asks.items()}

    @property
    def accepted(self) -> set[str]:
        """Every run whose message was acknowledged."""
        return {run_id for run_id, ask in self._asks.items() if ask.acknowledged_at is not None}

    @property
    def told(self) -> set[str]:
        """Every run whose end somebody heard."""
        return set(self._ends)

    def faults(self) -> list[str]:
        """A sentence for each promise that was not kept."""
        return [*self._of_messages(), *self._of_order(), *self._of_answers(), *self._of_ends()]

    def _of_messages(self) -> Iterator[str]:
        """Every acknowledged message once, the others once at most, and nothing that nobody said."""
        found = Counter(
            (session, line.run_id, line.role)
            for session, lines in self._transcripts.items()
            for line in lines
        )
        for (session, run_id, role), count in found.items():
            ask = self._asks.get(run_id)
            if ask is None or ask.session != session:
                yield f"{session} has a {role} message of {run_id}, which was not sent there"
            if count > 1:
                yield f"{session} has the {role} message of {run_id} {count} times"
        for run_id, ask in self._asks.items():
            if ask.acknowledged_at is not None and not found[ask.session, run_id, "user"]:
                yield f"{run_id} was acknowledged and is lost"
        for line in self._lines("user"):
            if line.run_id in self._asks and line.text != self._asks[line.run_id].text:
                yield f"{line.run_id} was kept as {line.text!r}"

    def _of_order(self) -> Iterator[str]:
        """What was acknowledged before another was sent stands before it; an answer follows its question."""
        for session, lines in self._transcripts.items():
            asked = [line.run_id for line in lines if line.role == "user" and line.run_id in self._asks]
            for earlier, later in combinations(asked, 2):
                acknowledged = self._asks[later].acknowledged_at
                if acknowledged is not None and acknowledged < self._asks[earlier].asked_at:
                    yield f"{session} has {earlier} before {later}"
            previous = None
            for line in lines:
                if line.role != "user" and (previous is None or previous.run_id != line.run_id):
                    yield f"{session} has the answer to {line.run_id} in another place than behind it"
                previous = line

    def _of_answers(self) -> Iterator[str]:
        """Every message that was kept has one answer: the model's, or that it was given up."""
        for session, lines in self._transcripts.items():
            answered = {line.run_id: line for line in lines if line.role != "user"}
            for line in lines:
                if line.role == "user" and line.run_id not in answered:
                    yield f"{line.run_id} has no outcome"
            given_up = 0
            for run_id, line in answered.items():
                if line.error is not None:
                    given_up += 1
                    if GIVEN_UP not in line.error:
                        yield f"{run_id} failed: {line.error}"
                elif run_id in self._asks and line.text != self._expected(self._asks[run_id].text):
                    yield f"{run_id} was answered {line.text!r}"
            if given_up > self.deaths // DEATHS_OF_A_RUN:
                yield f"{session} has {given_up} runs given up after {self.deaths} deaths"

    def _of_ends(self) -> Iterator[str]:
        """A client hears an end once, all hear the same, and what they heard is what was kept."""
        answers = {line.run_id: line for line in self._lines("assistant")}
        for run_id, ends in self._ends.items():
            for witness, count in Counter(witness for witness, _, _ in ends).items():
                if count > 1:
                    yield f"{witness} heard {count} ends of {run_id}"
            if len({(state, text) for _, state, text in ends}) > 1:
                yield f"{run_id} ended in different ways: {ends}"
            answer = answers.get(run_id)
            for witness, state, text in ends:
                if state not in ("final", "error"):
                    yield f"{run_id} ended as {state}, which nobody asked for"
                elif answer is None or (answer.error is None) != (state == "final"):
                    yield f"{witness} heard {state} of {run_id}, and {answer} was kept"
                elif state == "final" and text != answer.text:
                    yield f"{witness} heard {text!r} of {run_id}, and {answer.text!r} was kept"

    def _lines(self, role: str) -> Iterator[Line]:
        for lines in self._transcripts.values():
            yield from (line for line in lines if line.role == role)


def line_of(message: Mapping[str, Any]) -> Line:
    """What a message of `chat.history` is."""
    run_id, _, _ = message["idempotencyKey"].rpartition(":")
    text = "".join(part["text"] for part in message["content"] if part["type"] == "text")
    failed = message.get("stopReason") == "error"
    return Line(run_id, message["role"], text, message.get("errorMessage", "") if failed else None)
