"""A restart in place is nothing that somebody at the page notices: nothing is lost, nothing is read anew."""

import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import GatewayStarter
from tests.browser.frames import Frames
from tests.browser.pages import TEN_MINUTES_MS, ChatPage, Visitor
from tests.browser.witness import Switchboard
from tests.support.gateway_process import GatewayProcess
from tests.support.provider_process import ProviderProcess

pytestmark = pytest.mark.browser

LOOK = (Path(__file__).parent / "looking.js").read_text()
RESTARTS = 2
# On a machine that has too much to do a restart takes longer than the page waits before it says a word.
PATIENT = """
const inTime = setTimeout;
window.setTimeout = (act, afterMs, ...more) => inTime(act, afterMs >= 3000 ? 20 * afterMs : afterMs, ...more);
"""
KEEP_SOCKETS = """
const Native = WebSocket;
window.sockets = [];
window.WebSocket = class extends Native {
  constructor(...all) {
    super(...all);
    sockets.push(this);
  }
};
"""
# Says something at the moment when the gateway has said goodbye.
SAY_AT_THE_GOODBYE = """
(afterwards) => {
  const Native = WebSocket;
  window.WebSocket = class extends Native {
    constructor(...all) {
      super(...all);
      this.addEventListener("close", ({ code }) => {
        if (code !== 1012 || window.hasSaid) return;
        window.hasSaid = true;
        if (afterwards) setTimeout(say); else say();
      });
    }
  };
  const say = () => {
    const box = document.getElementById("message");
    box.value = "in between";
    box.dispatchEvent(new Event("input", { bubbles: true }));
    document.getElementById("composer").requestSubmit();
  };
}
"""


@pytest.fixture
def hasty(start_gateway: GatewayStarter, provider: ProviderProcess) -> GatewayProcess:
    """A gateway that lets no answer end before it restarts."""
    return start_gateway({**provider.config(), "openclawd": {"restart": {"drainMs": 0}}})


def enter(
    visitor: Visitor, gateway: GatewayProcess, session: str = "", script: str = ""
) -> tuple[ChatPage, Frames]:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    frames = Frames(chat.page)
    chat.page.add_init_script(PATIENT + script)
    query = f"?session={session}" if session else ""
    chat.page.goto(f"{gateway.url}{query}#token={gateway.token}")
    return chat.is_online(), frames


def ask(gateway: GatewayProcess, number: signal.Signals = signal.SIGUSR1) -> None:
    assert gateway.process is not None
    gateway.process.send_signal(number)


def restart(gateway: GatewayProcess, chat: ChatPage, frames: Frames) -> None:
    """Ask for a restart and wait until the page is with the next generation."""
    before = len(frames.hellos)
    ask(gateway)
    chat.until(lambda: len(frames.hellos) > before)


def seen(chat: ChatPage) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = chat.page.evaluate("whatWasSeen()")
    return found


def assert_unseen(chat: ChatPage) -> None:
    """Nothing said that the gateway was away."""
    found = seen(chat)
    assert found["words"] == ["Online"]
    assert found["views"] == ["chat"]
    assert found["docks"] == [""]
    assert found["notes"] == [""]


def assert_nothing_was_read_anew(frames: Frames, restarts: int) -> None:
    assert len(frames.connections) == 1 + restarts
    for connection in frames.connections[1:]:
        assert connection.hellos[0]["resume"]["recovered"] is True
        assert connection.requests("chat.history") == []


def test_who_reads_and_writes_notices_nothing(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    chat, frames = enter(visitor, own_gateway)
    chat.say("\n".join(f"- line {number}" for number in range(80)))
    chat.has_answered("line 79")
    chat.log.evaluate("(element) => { element.scrollTop = 300; }")
    chat.composer.fill("half a thou")
    chat.page.evaluate(LOOK)
    for _ in range(RESTARTS):
        restart(own_gateway, chat, frames)
    chat.page.wait_for_timeout(500)
    chat.composer.press_sequentially("ght")
    expect(chat.composer).to_have_value("half a thought")
    expect(chat.composer).to_be_focused()
    assert_unseen(chat)
    found = seen(chat)
    assert found["tops"] == [300]
    assert len(found["hints"]) == 1
    assert len(found["lengths"]) == 1
    assert_nothing_was_read_anew(frames, RESTARTS)
    assert own_gateway.decisions("refused") == []


def test_the_page_comes_back_from_where_it_was(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    chat, frames = enter(visitor, own_gateway)
    (first,) = frames.connections
    assert first.requests("connect")[0]["resume"] == {}
    for _ in range(2):
        chat.say("something to count")
        chat.has_answered("You said: something")
        before = frames.last
        restart(own_gateway, chat, frames)
        epoch, seq = before.position
        assert frames.last.requests("connect")[0]["resume"] == {"epoch": epoch, "seq": seq}
    assert len({hello["resume"]["epoch"] for hello in frames.hellos}) == 3


def test_under_load_everything_is_said_once_and_answered_once(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat, frames = enter(visitor, own_gateway)
    others = [enter(visitor, own_gateway, f"crowd-{number}")[0] for number in range(2)]
    chat.page.evaluate(LOOK)
    said = []
    for number in range(RESTARTS):
        for other in others:
            other.say(f"beside {number} SLOW=20")
        for part in "abc":
            said.append(f"under load {number}{part}")
            chat.say(said[-1])
            if part == "b":
                ask(own_gateway)
        chat.until(lambda done=number: len(frames.hellos) == 2 + done)  # type: ignore[misc]
    chat.has_answered(f"You said: {said[-1]}")
    assert_unseen(chat)
    assert_nothing_was_read_anew(frames, RESTARTS)
    expect(chat.answers).to_have_count(len(said))
    for text in said:
        expect(chat.questions(text)).to_have_count(1)
        expect(chat.answers.get_by_text(f"You said: {text}", exact=True)).to_have_count(1)
        assert len(provider.asked(text)) == 1
    for other in others:
        other.has_answered("word20")
    assert own_gateway.decisions("refused") == []


def test_a_long_answer_that_was_interrupted_goes_on_where_it_stands(
    visitor: Visitor, hasty: GatewayProcess
) -> None:
    chat, frames = enter(visitor, hasty)
    chat.say("count SLOW=20")
    expect(chat.answers).to_contain_text("word8")
    chat.page.evaluate(LOOK)
    restart(hasty, chat, frames)
    answer = chat.has_answered("word20")
    assert (answer.text_content() or "").count("word8") == 1
    expect(chat.answers).to_have_count(1)
    expect(chat.questions("count SLOW=20")).to_have_count(1)
    assert_unseen(chat)
    assert_nothing_was_read_anew(frames, 1)
    found = seen(chat)
    assert found["answers"] == [1]
    assert min(found["lengths"]) > 0


def test_what_a_killed_gateway_was_saying_stays_until_it_is_said_anew(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat, frames = enter(visitor, own_gateway)
    chat.witness.allow_a_gateway_that_is_away()
    chat.say("count SLOW=20")
    expect(chat.answers).to_contain_text("word8")
    chat.page.evaluate(LOOK)
    own_gateway.kill()
    own_gateway.start()
    answer = chat.has_answered("word20")
    assert (answer.text_content() or "").count("word8") == 1
    assert frames.last.hellos[0]["resume"]["recovered"] is False
    assert len(frames.last.requests("chat.history")) > 0
    found = seen(chat)
    assert found["answers"] == [1]
    assert min(found["lengths"]) > 0
    assert found["views"] == ["chat"]


@pytest.mark.parametrize("afterwards", [False, True], ids=["goodbye", "gap"])
def test_what_is_said_in_between_goes_out_once_it_is_back(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess, afterwards: bool
) -> None:
    script = f"({SAY_AT_THE_GOODBYE})({str(afterwards).lower()})"
    chat, frames = enter(visitor, own_gateway, script=script)
    before = len(provider.asked("in between"))
    chat.page.evaluate(LOOK)
    restart(own_gateway, chat, frames)
    chat.has_answered("You said: in between")
    expect(chat.questions("in between")).to_have_count(1)
    expect(chat.answers).to_have_count(1)
    assert len(provider.asked("in between")) == before + 1
    assert len(frames.last.requests("chat.send")) == 1
    assert frames.connections[0].requests("chat.send") == []
    assert_unseen(chat)
    assert_nothing_was_read_anew(frames, 1)


def test_a_socket_that_was_lost_without_a_restart_is_made_up_for(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat, frames = enter(visitor, own_gateway, script=KEEP_SOCKETS)
    chat.say("count SLOW=20")
    expect(chat.answers).to_contain_text("word4")
    chat.page.evaluate("sockets.at(-1).close()")
    answer = chat.has_answered("word20")
    assert (answer.text_content() or "").count("word4") == 1
    assert_nothing_was_read_anew(frames, 1)


def test_a_stop_is_told_at_once(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    chat, frames = enter(visitor, own_gateway)
    chat.witness.allow_a_gateway_that_is_away()
    own_gateway.stop()
    expect(chat.page.get_by_role("main").get_by_text("Offline", exact=True)).to_be_visible()
    own_gateway.start()
    chat.is_online()
    assert frames.last.hellos[0]["resume"]["recovered"] is False


def absent(
    visitor: Visitor, gateway: GatewayProcess, script: str = "", **goodbye: int
) -> tuple[ChatPage, Switchboard]:
    """A page in its own time that was told of a restart by `goodbye`, while the gateway is back already."""
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    chat.witness.allow_a_gateway_that_is_away()
    chat.page.clock.install()
    chat.page.add_init_script(script)
    line = Switchboard(chat.page)
    line.goodbye = goodbye
    chat.page.goto(f"{gateway.url}#token={gateway.token}")
    chat.is_online()
    chat.say("before the restart")
    chat.has_answered("You said: before")
    ask(gateway)
    chat.until(lambda: len(gateway.decisions("ready")) == 2)
    return chat, line


def test_a_page_stays_away_for_as_long_as_it_was_asked_to_and_says_so_after_a_while(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat, line = absent(visitor, own_gateway, reconnectAfterMs=TEN_MINUTES_MS, reconnectSpreadMs=0)
    chat.time_passes(10_000)
    expect(chat.page.get_by_role("main").get_by_text("Restarting…", exact=True)).to_be_visible()
    chat.time_passes(TEN_MINUTES_MS - 60_000)
    assert len(line.requests("connect")) == 1
    chat.time_passes(60_000)
    chat.is_online()
    assert len(line.requests("connect")) == 2


def test_a_page_draws_its_moment_within_the_spread(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    half = "Math.random = () => 0.5;"
    chat, line = absent(visitor, own_gateway, half, reconnectAfterMs=0, reconnectSpreadMs=2 * TEN_MINUTES_MS)
    chat.time_passes(TEN_MINUTES_MS - 60_000)
    assert len(line.requests("connect")) == 1
    chat.time_passes(60_000)
    chat.is_online()


def test_what_only_followers_were_told_meanwhile_is_read(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat, line = absent(visitor, own_gateway, reconnectAfterMs=TEN_MINUTES_MS, reconnectSpreadMs=0)
    before = len(line.requests("chat.history"))
    done = own_gateway.command("gateway", "call", "sessions.reset", "--params", '{"key": "main"}')
    assert done.returncode == 0, done.stderr
    chat.time_passes(TEN_MINUTES_MS)
    chat.is_online()
    expect(chat.page.get_by_text("Nothing has been said here yet.")).to_be_visible()
    assert line.requests("connect")[1]["resume"]["seq"] > 0
    assert len(line.requests("chat.history")) == before + 1


def test_what_is_asked_for_in_between_is_done_once_it_is_back(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat, line = absent(visitor, own_gateway, reconnectAfterMs=TEN_MINUTES_MS, reconnectSpreadMs=0)
    chat.do_with("Main", "Rename")
    chat.page.keyboard.type("Another name")
    chat.page.keyboard.press("Enter")
    assert [each for each in line.requests("sessions.patch") if "label" in each] == []
    chat.time_passes(TEN_MINUTES_MS)
    chat.is_online()
    expect(chat.chat_row("Another name")).to_be_visible()
    assert len([each for each in line.requests("sessions.patch") if "label" in each]) == 1
