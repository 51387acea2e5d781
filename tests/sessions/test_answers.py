"""Slash commands that show and choose: what they answer, and what they change."""

from pathlib import Path

import pytest

from openclawd.sessions.answers import Sender
from tests.sessions.shelf import CLEVER, PLAIN, Shelf
from tests.sessions.stage import KEY, Stage, stage, texts


async def ask(held: Stage, command: str, sender: Sender | None = None) -> str:
    run_id = f"run {command}"
    await held.send(command, run_id, sender=sender)
    message = (await held.ended(run_id))["message"]
    return str(message["content"][0]["text"])


async def settings(held: Stage) -> dict[str, object]:
    session = await held.sessions.record("main")
    return {} if session is None else dict(session.settings)


async def test_models_lists_what_there_is_with_numbers(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        answer = await ask(held, "/models")
    assert "1. `scripted/plain` (this session)\n2. `scripted/clever`\n" in answer


@pytest.mark.parametrize("wanted", ["scripted/clever", "clever", "2"])
async def test_model_chooses_by_name_and_number_and_the_next_answer_is_its(
    tmp_path: Path, wanted: str
) -> None:
    shelf = Shelf()
    async with stage(tmp_path, models=shelf) as held:
        assert await ask(held, f"/model {wanted}") == "Model: `scripted/clever`, from the next message on."
        assert await settings(held) == {"model": "scripted/clever"}
        await ask(held, "hello")
    assert [len(shelf.models[str(entry.ref)].requests) for entry in (PLAIN, CLEVER)] == [0, 1]


async def test_a_choice_is_made_when_its_answer_is_accepted(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf(), serving=False) as held:
        await held.send("/model clever", "run-1")
        assert await settings(held) == {"model": "scripted/clever"}


async def test_model_default_takes_a_choice_back(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        await ask(held, "/model clever")
        await ask(held, "/think low")
        answer = await ask(held, "/model default")
        assert await settings(held) == {}
    assert answer.startswith("Model: `scripted/plain`, the default. Its thinking levels are others")


async def test_model_alone_says_which_it_is_and_how_to_choose(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        answer = await ask(held, "/model")
    assert answer.startswith("Model: `scripted/plain` (the default).")
    assert "/models" in answer


@pytest.mark.parametrize("wanted", ["nosuch", "0", "7"])
async def test_a_model_that_is_not_there_changes_nothing_and_says_why(tmp_path: Path, wanted: str) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        assert await ask(held, f"/model {wanted}") == f"There is no model {wanted}."
        assert await settings(held) == {}


async def test_think_shows_and_chooses_a_level_of_the_model(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        assert await ask(held, "/think") == "Thinking: off. `scripted/plain` has: off."
        assert (await ask(held, "/think high")).startswith("`scripted/plain` does not know")
        await ask(held, "/model clever")
        assert await ask(held, "/think HIGH") == "Thinking: high, from the next message on."
        assert (await settings(held))["thinkingLevel"] == "high"
        await ask(held, "/think default")
        assert "thinkingLevel" not in await settings(held)


async def test_usage_chooses_what_clients_show_and_tells_numbers(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        assert (await ask(held, "/usage")).splitlines()[1:] == [
            "This session: nothing counted",
            "Shown with answers: each client's default (/usage off, tokens or full)",
        ]
        await ask(held, "/model clever")
        await ask(held, "hello")
        assert await ask(held, "/usage tokens") == "Usage shown with answers: tokens"
        assert (await ask(held, "/usage cost")).splitlines() == [
            "Cost",
            "This session: 12 tokens in, 3 out, $0.0001",
            "Today (UTC), all sessions: 12 tokens in, 3 out, $0.0001",
            "Last 30 days, all sessions: 12 tokens in, 3 out, $0.0001",
        ]
        assert await settings(held) == {"model": "scripted/clever", "responseUsage": "tokens"}
        assert (await ask(held, "/usage lots")).startswith("invalid responseUsage (use off|tokens|full|on)")


async def test_costs_that_nobody_knows_are_said_to_be_missing(tmp_path: Path) -> None:
    async with stage(tmp_path, models=Shelf()) as held:
        await ask(held, "hello")
        answer = await ask(held, "/usage cost")
    assert "$0.0000 without 1 answers of models whose prices are unknown" in answer


async def test_compact_has_the_conversation_summed_up(tmp_path: Path) -> None:
    async with stage(tmp_path) as held:
        assert await ask(held, "/compact") == "There is nothing to sum up yet."
        await ask(held, "hello")
        await held.send("/compact keep the names", "run-c")
        assert (await held.ended("run-c"))["state"] == "final"
        asked = held.model.requests[-1].messages[-1].text
        await ask(held, "again")
        told = [message.text for message in held.model.requests[-1].messages[1:]]
        assert ("user", "/compact keep the names") not in texts(await held.history())
    assert "keep the names" in asked
    assert not any(text == "hello" for text in told), "what was summed up is not read again"


async def test_whoami_tells_of_the_connection(tmp_path: Path) -> None:
    sender = Sender("operator", frozenset({"operator.write", "operator.read"}), 4, "conn-1", "device-1")
    async with stage(tmp_path) as held:
        assert (await ask(held, "/whoami", sender=sender)).splitlines() == [
            "Identity",
            "Role: operator",
            "Scopes: operator.read, operator.write",
            "Device: device-1",
            "Connection: conn-1, protocol v4",
            f"Session: {KEY}",
        ]
