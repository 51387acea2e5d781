"""For how long it can be relied on that a program could start."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trio.testing

from openclawd.daemon.proof import HOLDS_S, Proof

Clock = trio.testing.MockClock


class Checks:
    """The two checks of a program; what they say, and which were made."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.refusal: str | None = None
        self.meanwhile: Callable[[], object] | None = None

    async def first(self) -> str | None:
        self._make("first")
        return None

    async def again(self) -> str | None:
        self._make("again")
        return self.refusal

    def _make(self, name: str) -> None:
        self.made.append(name)
        if self.meanwhile is not None:
            self.meanwhile()


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    program = tmp_path / "openclawd"
    program.write_text("one")
    return program


@pytest.fixture
def proof(program: Path, checks: Checks) -> Proof:
    return Proof(program, checks.first, checks.again)


async def test_a_program_that_has_just_been_looked_at_is_not_looked_at_again(
    proof: Proof, checks: Checks, mock_clock: Clock
) -> None:
    assert await proof.begin() is None
    assert await proof.renew() is None
    assert checks.made == ["first"]


async def test_after_a_while_it_is_looked_at_again(proof: Proof, checks: Checks, mock_clock: Clock) -> None:
    await proof.begin()
    mock_clock.jump(HOLDS_S)
    checks.refusal = "half an update"
    assert await proof.renew() == "half an update"
    assert checks.made == ["first", "again"]


async def test_another_file_is_looked_at_again(
    proof: Proof, checks: Checks, program: Path, mock_clock: Clock
) -> None:
    await proof.begin()
    program.with_name("new").write_text("two")
    program.with_name("new").replace(program)
    assert await proof.renew() is None
    assert await proof.renew() is None
    assert checks.made == ["first", "again"]


async def test_a_file_that_is_replaced_while_it_is_looked_at_was_not_seen(
    proof: Proof, checks: Checks, program: Path, mock_clock: Clock
) -> None:
    checks.meanwhile = program.unlink
    assert await proof.begin() is None
    checks.meanwhile = None
    await proof.renew()
    assert checks.made == ["first", "again"]


async def test_a_file_that_never_comes_to_rest_keeps_nobody_from_restarting(
    proof: Proof, checks: Checks, program: Path, mock_clock: Clock
) -> None:
    checks.meanwhile = lambda: program.write_text("x" * (len(checks.made) + 3))
    await proof.begin()
    assert await proof.renew() is None
