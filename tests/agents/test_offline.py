"""The built-in model says what it is, what it knows, and how to get a better one."""

import pyjson5
import pytest
import trio

from openclawd.agents.attached import left_out, whole_file, without_files
from openclawd.agents.facts import GatewayFacts
from openclawd.agents.greeting import NEW_SESSION_PROMPT
from openclawd.agents.model import Completion, ModelMessage, ModelRequest, Usage
from openclawd.agents.offline import OfflineModel, answer
from tests.agents.asking import Heard, question

FACTS = GatewayFacts(
    version="1.2.3",
    uptime_s=3700.0,
    address="127.0.0.1",
    port=18789,
    clients=2,
    sessions=1,
    devices_waiting=3,
    config_file="/home/me/.openclaw/openclaw.json",
    log_file="/home/me/.openclaw/openclawd/logs/openclawd.log",
    model="openclawd/offline",
)
WHAT_IT_IS = "not a language model"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("Which version is this?", "openclawd **1.2.3**"),
        ("uptime", "up for **1 h 1 min**"),
        ("what port are you listening on?", "**127.0.0.1:18789**"),
        ("How many clients are connected?", "**2** connected clients"),
        ("how many sessions are there", "**1** session"),
        (
            "Any devices waiting?",
            "**3** devices are waiting for approval; see them with `openclawd devices list`",
        ),
        ("where is the config file", "`/home/me/.openclaw/openclaw.json`"),
        ("Where are the logs?", "`/home/me/.openclaw/openclawd/logs/openclawd.log`"),
        ("which model do you use?", "`openclawd/offline`"),
    ],
)
def test_it_tells_what_the_gateway_knows_about_itself(asked: str, told: str) -> None:
    text = answer(asked, FACTS)
    assert told in text
    assert WHAT_IT_IS in text


def test_status_tells_the_most_of_it_at_once() -> None:
    text = answer("status", FACTS)
    for fact in ("1.2.3", "1 h 1 min", "18789", "**2**", "openclawd/offline"):
        assert fact in text


@pytest.mark.parametrize("asked", ["hello", "Hi!", "hallo openclawd", NEW_SESSION_PROMPT])
def test_it_greets_briefly(asked: str) -> None:
    text = answer(asked, FACTS)
    assert text.startswith("Hello!")
    assert WHAT_IT_IS in text
    assert len(text) < 250


@pytest.mark.parametrize(
    "asked",
    [
        "Write a poem about the sea",
        "Wie wird das Wetter morgen?",
        "",
        "🦞",
        "Please read this long text and tell me the version of history that its author believes in, " * 3,
    ],
)
def test_what_it_cannot_answer_it_says_so_and_shows_the_way_out(asked: str) -> None:
    text = answer(asked, FACTS)
    assert f"{WHAT_IT_IS}, so I cannot answer that" in text
    assert "export OPENAI_API_KEY=" in text
    assert "ollama pull" in text


@pytest.mark.parametrize("asked", ["who are you?", "Are you an AI?", "what are you"])
def test_asked_what_it_is_it_says_so(asked: str) -> None:
    assert WHAT_IT_IS in answer(asked, FACTS)


@pytest.mark.parametrize("asked", ["help", "connect", "how do I use ollama"])
def test_the_lines_that_connect_a_model_are_a_config_that_loads(asked: str) -> None:
    text = answer(asked, FACTS)
    snippet = text.split("```json5\n")[1].split("```")[0]
    document = pyjson5.decode(snippet)
    assert document["agents"]["defaults"]["model"]["primary"] == "mine/my-model"
    assert document["models"]["providers"]["mine"]["models"][0]["id"] == "my-model"
    assert "`/home/me/.openclaw/openclaw.json`" in text


def test_thanks_are_returned() -> None:
    assert answer("thanks!", FACTS) == "You are welcome."


async def test_it_streams_its_words_and_loses_none(autojump_clock: trio.testing.MockClock) -> None:
    heard = Heard()
    completion = await OfflineModel(lambda: FACTS).complete(question("help"), heard.deltas.append)
    assert heard.text == answer("help", FACTS)
    assert len(heard.deltas) > 50
    assert completion == Completion("stop", Usage())


async def test_it_answers_the_last_thing_that_was_said(autojump_clock: trio.testing.MockClock) -> None:
    heard = Heard()
    turns = (ModelMessage("user", "version"), ModelMessage("assistant", "…"), ModelMessage("user", "uptime"))
    await OfflineModel(lambda: FACTS).complete(ModelRequest(turns, "agent:main:main"), heard.deltas.append)
    assert "up for" in heard.text
    assert "1.2.3" not in heard.text


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (left_out("cat.png", "this model takes no images"), "the file that came with your message"),
        (whole_file("a.md", "the status of my model\n\nmore") + "\n\n" + whole_file("b", ""), "the 2 files"),
    ],
)
def test_files_are_owned_up_to_and_not_read(question: str, told: str) -> None:
    alone = answer(question, FACTS)
    assert f"I cannot look at {told}" in alone
    assert "gateway's own figures" not in alone
    assert answer(f"{question}\n\nuptime", FACTS).endswith(answer("uptime", FACTS))


@pytest.mark.parametrize("beginning", ['<file name="">\n', "[attached: "])
def test_a_text_of_nothing_but_beginnings_is_no_file_and_is_read_once(beginning: str) -> None:
    # What looks for the end behind each of them is still at it tomorrow.
    text = beginning * 200_000
    assert without_files(text) == (text, 0)


def test_a_file_may_hold_the_beginning_of_another_and_its_line_a_bracket() -> None:
    files = [whole_file("a.md", '<file name="b">\nwords'), left_out("a].png", "why")]
    assert without_files("\n\n".join([*files, "hello"])) == ("hello", 2)
