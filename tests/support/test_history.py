"""The history checker itself: it is content with every history that keeps the promises, and with no other."""

from typing import Final

import attrs
import hypothesis.strategies as st
from hypothesis import given

from tests.support.history import GIVEN_UP, History, Line

SESSIONS: Final = ("one", "two")


def answer(text: str) -> str:
    return f"You said: {text}"


@attrs.frozen
class Turn:
    """One message as a correct gateway treats it."""

    run_id: str
    session: str
    acknowledged: bool
    kept: bool
    given_up: bool
    heard_by: frozenset[str]

    @property
    def text(self) -> str:
        return f"text of {self.run_id}"

    @property
    def lines(self) -> list[Line]:
        if not self.kept:
            return []
        question = Line(self.run_id, "user", self.text)
        if self.given_up:
            return [question, Line(self.run_id, "assistant", "", GIVEN_UP)]
        return [question, Line(self.run_id, "assistant", answer(self.text))]


@st.composite
def turns(draw: st.DrawFn) -> list[Turn]:
    """What happened one after the other; at least one message was acknowledged and its end heard."""
    made = []
    for number in range(draw(st.integers(2, 7))):
        sure = number == 0
        kept = sure or draw(st.booleans())
        made.append(
            Turn(
                f"run-{number}",
                draw(st.sampled_from(SESSIONS)),
                acknowledged=kept and (sure or draw(st.booleans())),
                kept=kept,
                given_up=kept and not sure and draw(st.integers(0, 5)) == 0,
                heard_by=frozenset({"a"}) if sure else draw(st.frozensets(st.sampled_from("ab"))),
            )
        )
    return made


def noted(told: list[Turn]) -> tuple[History, dict[str, list[Line]]]:
    """The history that clients would note, but for the transcripts, which are beside it."""
    history = History(answer)
    transcripts: dict[str, list[Line]] = {session: [] for session in SESSIONS}
    for turn in told:
        history.asks(turn.run_id, turn.session, turn.text)
        if turn.acknowledged:
            history.acknowledged(turn.run_id)
        if turn.kept:
            for witness in turn.heard_by:
                state = "error" if turn.given_up else "final"
                history.ended(witness, turn.run_id, state, "" if turn.given_up else answer(turn.text))
        transcripts[turn.session] += turn.lines
    history.deaths = 2 * sum(turn.given_up for turn in told)
    return history, transcripts


def faults(history: History, transcripts: dict[str, list[Line]]) -> list[str]:
    for session, lines in transcripts.items():
        history.kept(session, lines)
    return history.faults()


@given(turns())
def test_a_history_that_keeps_the_promises_has_no_fault(told: list[Turn]) -> None:
    assert faults(*noted(told)) == []


@given(turns(), st.data())
def test_a_line_that_is_missing_is_found(told: list[Turn], data: st.DataObject) -> None:
    history, transcripts = noted(told)
    # Of a message that was not acknowledged, question and answer together may be missing.
    turn = data.draw(st.sampled_from([turn for turn in told if turn.kept]))
    line = data.draw(st.sampled_from(turn.lines))
    transcripts[turn.session].remove(line)
    assert faults(history, transcripts)


@given(turns())
def test_an_acknowledged_message_that_is_gone_with_its_answer_is_found(told: list[Turn]) -> None:
    history, transcripts = noted(told)
    del transcripts[told[0].session][:2]
    assert "run-0 was acknowledged and is lost" in faults(history, transcripts)


@given(turns(), st.data())
def test_a_line_that_is_there_twice_is_found(told: list[Turn], data: st.DataObject) -> None:
    history, transcripts = noted(told)
    lines = transcripts[told[0].session]
    place = data.draw(st.integers(0, len(lines) - 1))
    lines.insert(data.draw(st.integers(0, len(lines))), lines[place])
    assert faults(history, transcripts)


@given(turns(), st.data())
def test_an_answer_that_is_another_one_is_found(told: list[Turn], data: st.DataObject) -> None:
    history, transcripts = noted(told)
    lines = transcripts[told[0].session]
    place = data.draw(st.integers(0, len(lines) - 1))
    lines[place] = attrs.evolve(lines[place], text="something else", error=None)
    assert faults(history, transcripts)


@given(turns())
def test_a_conversation_in_another_session_is_found(told: list[Turn]) -> None:
    history, transcripts = noted(told)
    other = next(session for session in SESSIONS if session != told[0].session)
    moved = [transcripts[told[0].session].pop(0) for _ in range(2)]
    transcripts[other] += moved
    assert faults(history, transcripts)


@given(turns())
def test_turns_in_another_order_than_they_were_acknowledged_in_are_found(told: list[Turn]) -> None:
    told[1] = Turn("run-1", told[0].session, True, True, False, frozenset())
    history, transcripts = noted(told)
    lines = transcripts[told[0].session]
    lines[0:4] = [*lines[2:4], *lines[0:2]]
    assert f"{told[0].session} has run-1 before run-0" in faults(history, transcripts)


@given(turns())
def test_an_answer_in_front_of_its_question_is_found(told: list[Turn]) -> None:
    history, transcripts = noted(told)
    lines = transcripts[told[0].session]
    lines[0:2] = [lines[1], lines[0]]
    assert faults(history, transcripts)


@given(turns(), st.sampled_from([("final", "another"), ("error", ""), ("aborted", "")]))
def test_an_end_that_was_not_the_one_that_was_kept_is_found(told: list[Turn], end: tuple[str, str]) -> None:
    history, transcripts = noted(told)
    history.ended("b", "run-0", *end)
    assert faults(history, transcripts)


@given(turns())
def test_an_end_that_one_client_hears_twice_is_found(told: list[Turn]) -> None:
    history, transcripts = noted(told)
    history.ended("a", "run-0", "final", answer(told[0].text))
    assert "a heard 2 ends of run-0" in faults(history, transcripts)


@given(turns())
def test_an_end_that_was_told_and_not_kept_is_found(told: list[Turn]) -> None:
    history, transcripts = noted([*told, Turn("late", "one", False, False, False, frozenset())])
    history.ended("a", "late", "final", answer("text of late"))
    assert faults(history, transcripts)


@given(turns())
def test_a_run_that_was_given_up_without_deaths_is_found(told: list[Turn]) -> None:
    told[0] = attrs.evolve(told[0], given_up=True)
    history, transcripts = noted(told)
    history.deaths = 1
    assert any("given up after 1 deaths" in fault for fault in faults(history, transcripts))


@given(turns())
def test_a_failure_for_another_reason_is_found(told: list[Turn]) -> None:
    history, transcripts = noted(told)
    transcripts[told[0].session][1] = Line("run-0", "assistant", "", "the database is locked")
    assert "run-0 failed: the database is locked" in faults(history, transcripts)
