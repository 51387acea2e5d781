"""The benchmark measures a real gateway."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "tests.bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_figure_is_measured_and_held_against_its_budget() -> None:
    ran = bench("--quick", "--only", "health", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    (figures,) = found["trees"].values()

    assert list(figures) == ["health"]
    assert figures["health"]["met"] is (figures["health"]["value"] >= 15_000)
    assert len(figures["health"]["rounds"]) == 2
    assert figures["health"]["noise"] >= 1


def test_a_figure_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    ran = bench("--only", "speed")

    assert ran.returncode != 0
    assert "no figure is called speed; there are: start, idle," in ran.stderr


def test_a_commit_that_there_is_not_is_refused() -> None:
    ran = bench("--quick", "--only", "health", "--compare", "no-such-commit")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "no-such-commit is no commit of this repository" in ran.stderr
