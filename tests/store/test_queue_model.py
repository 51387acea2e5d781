"""The queue against a list: whatever happens, crashes too, a run keeps its place and has one outcome."""

import tempfile
from pathlib import Path

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from openclawd.store.database import open_database
from openclawd.store.records import Ending, RunKind, RunState, Submission
from openclawd.store.runs import RunQueue

ALONE, TOGETHER = 2, 3

keys = st.sampled_from(("a", "b"))
ids = st.integers(0, 12).map(str)
outcomes = st.sampled_from((RunState.DONE, RunState.ERROR, RunState.ABORTED))
operations = st.one_of(
    st.tuples(st.just("accept"), keys, ids),
    st.tuples(st.just("claim"), keys, st.none()),
    st.tuples(st.just("finish"), ids, outcomes),
    st.tuples(st.just("requeue"), ids, st.none()),
    st.tuples(st.just("abort"), keys, st.none() | ids),
    st.tuples(st.just("crash"), st.none(), st.none()),
)


@attrs.define
class Expected:
    """One run as it should be."""

    run_id: str
    key: str
    state: RunState = RunState.QUEUED
    attempts: int = 0
    interruptions: int = 0

    @property
    def unfinished(self) -> bool:
        return self.state in {RunState.QUEUED, RunState.RUNNING}


def submission(run_id: str, key: str) -> Submission:
    message = {"role": "user", "content": []}
    return Submission(run_id, key, RunKind.TURN, 1, f"session of {key}", message)


@settings(max_examples=40, deadline=None)
@given(st.lists(operations, max_size=40))
async def test_the_queue_is_a_list_that_survives(script: list[tuple[str, str, object]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with open_database(Path(directory) / "state.sqlite3") as database:
            queue = RunQueue(database)
            runs: dict[str, Expected] = {}
            for operation, subject, more in script:
                await _perform(queue, runs, operation, subject, more)
            for expected in runs.values():
                found = await queue.find(expected.run_id)
                assert found is not None
                assert (found.session_key, found.state) == (expected.key, expected.state)
                assert found.attempts == expected.attempts
                assert found.interruptions == expected.interruptions
                assert found.finished is not expected.unfinished
            order = sorted(runs, key=lambda run_id: list(runs).index(run_id))
            seqs = [run.seq for run_id in order if (run := await queue.find(run_id)) is not None]
            assert seqs == sorted(seqs)


async def _perform(
    queue: RunQueue, runs: dict[str, Expected], operation: str, subject: str, more: object
) -> None:
    if operation == "accept":
        run_id = str(more)
        accepted = await queue.accept(submission(run_id, subject))
        assert accepted.new is (run_id not in runs)
        runs.setdefault(run_id, Expected(run_id, subject))
    elif operation == "claim":
        claimed = await queue.claim(subject, 1)
        mine = [run for run in runs.values() if run.key == subject and run.state is RunState.QUEUED]
        assert (claimed.run_id if claimed else None) == (mine[0].run_id if mine else None)
        if mine:
            mine[0].state = RunState.RUNNING
            mine[0].attempts += 1
    elif operation == "finish":
        assert isinstance(more, RunState)
        run = runs.get(subject)
        finished = await queue.finish(subject, Ending(more), 2)
        assert (finished is not None) is (run is not None and run.unfinished)
        if run is not None and run.unfinished:
            run.state = more
    elif operation == "requeue":
        await queue.requeue(subject, 1)
        run = runs.get(subject)
        if run is not None and run.state is RunState.RUNNING:
            run.state = RunState.QUEUED
            run.attempts -= 1
            run.interruptions += 1
    elif operation == "abort":
        found = await queue.abort_queued(subject, str(more) if more is not None else None, 3)
        hit = [r for r in runs.values() if r.key == subject and r.unfinished and more in {None, r.run_id}]
        assert [r.run_id for r in found.running] == [r.run_id for r in hit if r.state is RunState.RUNNING]
        queued = [r for r in hit if r.state is RunState.QUEUED]
        assert [r.run_id for r in found.ended] == [r.run_id for r in queued]
        for run in queued:
            run.state = RunState.ABORTED
    else:
        unfinished = await queue.recover(ALONE, TOGETHER, 1)
        under_way = [run for run in runs.values() if run.state is RunState.RUNNING]
        for run in under_way:
            if run.attempts < (ALONE if len(under_way) == 1 else TOGETHER):
                run.state = RunState.QUEUED
                run.interruptions += 1
        running = [run.run_id for run in runs.values() if run.state is RunState.RUNNING]
        assert [run.run_id for run in unfinished.exhausted] == running
        assert set(unfinished.session_keys) == {r.key for r in runs.values() if r.state is RunState.QUEUED}
