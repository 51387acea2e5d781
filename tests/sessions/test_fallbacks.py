"""A provider that fails before its first word is replaced by the next model of the config, and only then."""

from pathlib import Path

import pytest

from openclawd.agents.model import ModelErrorKind, TextDelta, ThinkingDelta
from openclawd.agents.prices import Prices
from tests.sessions.models import Models, entry, failing
from tests.sessions.stage import stage

K = ModelErrorKind


def models(kind: ModelErrorKind, *others: str) -> Models:
    listed = [entry("a/one"), entry("b/two", prices=Prices(1, 2)), entry("c/three")]
    return Models(listed, list(others), {"a/one": failing(kind)})


@pytest.mark.parametrize("kind", [K.BAD_KEY, K.UNREACHABLE, K.OVERLOADED, K.RATE_LIMITED])
async def test_the_next_model_answers(
    tmp_path: Path, kind: ModelErrorKind, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(tmp_path, models=models(kind, "b/two")) as at:
        await at.send("hello", "r1")
        ended = await at.ended("r1")
        history = await at.history(generation=4)
    assert ended["state"] == "final"
    said = history["messages"][-1]
    assert (said["provider"], said["model"]) == ("b", "two")
    assert said["usage"]["cost"]["total"] == pytest.approx((10 * 1 + 3 * 2) / 1_000_000)
    assert [record.message for record in caplog.records].count("model replaced by its fallback") == 1


async def test_they_are_asked_in_their_order_and_the_last_failure_is_told(tmp_path: Path) -> None:
    source = models(K.UNREACHABLE, "b/two", "c/three")
    source.scripts |= {"b/two": failing(K.OVERLOADED), "c/three": failing(K.BAD_KEY)}
    async with stage(tmp_path, models=source) as at:
        await at.send("hello", "r1")
        ended = await at.ended("r1")
    assert ended["state"] == "error"
    assert ended["errorMessage"] == "bad_key."
    assert list(source.asked) == ["a/one", "b/two", "c/three"]


@pytest.mark.parametrize("kind", [K.REFUSED, K.CONTEXT_TOO_LONG, K.UNKNOWN_MODEL, K.PROTOCOL, K.BROKEN_OFF])
async def test_what_another_model_would_not_mend_is_told_at_once(
    tmp_path: Path, kind: ModelErrorKind
) -> None:
    source = models(kind, "b/two")
    async with stage(tmp_path, models=source) as at:
        await at.send("hello", "r1")
        assert (await at.ended("r1"))["state"] == "error"
    assert list(source.asked) == ["a/one"]


@pytest.mark.parametrize("delta", [TextDelta("So far "), ThinkingDelta("Hm")])
async def test_nobody_takes_over_once_something_was_said(
    tmp_path: Path, delta: TextDelta | ThinkingDelta
) -> None:
    source = models(K.OVERLOADED, "b/two")
    source.scripts["a/one"] = failing(K.OVERLOADED, lambda emit: emit(delta))
    async with stage(tmp_path, models=source) as at:
        await at.send("hello", "r1")
        assert (await at.ended("r1"))["state"] == "error"
    assert list(source.asked) == ["a/one"]
