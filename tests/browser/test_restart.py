"""#28997: a restart is something that the page sleeps through; its credential goes into every handshake."""

import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.pages import ChatPage, Visitor
from tests.browser.witness import Switchboard
from tests.support.gateway_process import GatewayProcess
from tests.support.provider_process import ProviderProcess

pytestmark = pytest.mark.browser

stop_or_kill = pytest.mark.parametrize(
    "end", [GatewayProcess.stop, GatewayProcess.kill], ids=["SIGTERM", "SIGKILL"]
)
End = Callable[[GatewayProcess], int]


def open_chat(visitor: Visitor, gateway: GatewayProcess) -> ChatPage:
    chat = visitor.chat(gateway)
    chat.witness.allow_a_gateway_that_is_away()
    return chat


def rob(gateway: GatewayProcess) -> None:
    """Take the state away from a stopped gateway: it knows no device any more."""
    for file in (gateway.state / "openclawd").glob("openclawd.sqlite3*"):
        file.unlink()


@stop_or_kill
def test_after_a_restart_the_page_is_back_by_itself(
    visitor: Visitor, own_gateway: GatewayProcess, end: End
) -> None:
    chat = open_chat(visitor, own_gateway)
    chat.say("before the restart")
    chat.has_answered("You said: before")
    chat.composer.fill("half a thou")
    for _ in range(2):
        end(own_gateway)
        chat.is_away()
        own_gateway.start()
        chat.is_online()
    expect(chat.composer).to_have_value("half a thou")
    assert own_gateway.decisions("refused") == []
    assert {line["credential"] for line in own_gateway.decisions("admitted")} == {"token", "device-token"}
    chat.composer.press_sequentially("ght")
    chat.composer.press("Enter")
    chat.has_answered("You said: half a thought")
    expect(chat.questions("before the restart")).to_have_count(1)
    expect(chat.answers).to_have_count(2)


def test_two_tabs_are_back_after_a_restart(visitor: Visitor, own_gateway: GatewayProcess) -> None:
    first = open_chat(visitor, own_gateway)
    second = first.link_again().is_online()
    own_gateway.stop()
    first.is_away()
    second.is_away()
    own_gateway.start()
    first.is_online()
    second.is_online()
    first.say("from the first")
    for tab in (first, second):
        tab.has_answered("You said: from the first")
    assert own_gateway.decisions("refused") == []


@stop_or_kill
def test_an_answer_under_way_goes_on_after_a_restart(
    visitor: Visitor, own_gateway: GatewayProcess, end: End
) -> None:
    chat = open_chat(visitor, own_gateway)
    chat.say("count SLOW=10")
    expect(chat.answers).to_contain_text("word4")
    end(own_gateway)
    chat.is_away()
    expect(chat.answers).to_contain_text("word4")
    own_gateway.start()
    chat.is_online()
    answer = chat.has_answered("word10")
    expect(chat.answers).to_have_count(1)
    assert (answer.text_content() or "").count("word4") == 1
    expect(chat.questions("count SLOW=10")).to_have_count(1)


def test_a_page_reloaded_after_the_restart_comes_in_with_its_device(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = open_chat(visitor, own_gateway)
    own_gateway.stop()
    own_gateway.start()
    chat.page.reload()
    chat.is_online()
    assert own_gateway.decisions("refused") == []


def test_a_tab_that_was_given_the_token_survives_a_gateway_that_forgot_its_device(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = open_chat(visitor, own_gateway)
    own_gateway.stop()
    rob(own_gateway)
    own_gateway.start()
    chat.is_away()
    chat.is_online()
    assert len(own_gateway.decisions("refused")) <= 1
    chat.say("hello again")
    chat.has_answered("You said: hello again")


def test_a_device_that_the_gateway_forgot_asks_for_the_token_and_does_not_hammer(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    first = open_chat(visitor, own_gateway)
    chat = ChatPage(first.page.context.new_page(), first.witness)
    chat.page.clock.install()
    chat.page.goto(own_gateway.url)
    chat.is_online()
    first.page.close()
    own_gateway.stop()
    rob(own_gateway)
    own_gateway.start()
    expect(chat.gate).to_be_visible()
    expect(chat.page.get_by_role("alert")).to_contain_text("Give the token again")
    expect(chat.token_field).to_be_focused()
    chat.time_passes()
    assert len(own_gateway.decisions("refused")) == 1
    chat.token_field.fill(own_gateway.token)
    chat.connect_button.click()
    chat.is_online()


def test_a_stopped_gateway_is_told_in_words_and_can_be_tried_at_once(
    visitor: Visitor, own_gateway: GatewayProcess
) -> None:
    chat = visitor.chat(own_gateway, own_time=True)
    chat.witness.allow_a_gateway_that_is_away()
    own_gateway.stop()
    chat.is_away()
    # Patience with a restart comes first; then the waits have grown too long for who sits in front of it.
    words = chat.page.get_by_role("region", name="Connection")
    for _ in range(10):
        chat.page.clock.run_for(1_000)
    expect(words).to_contain_text("The gateway was stopped.")
    own_gateway.start()
    words.get_by_role("button", name="Try now").click()
    chat.is_online()
    expect(words).to_have_count(0)


def test_a_message_that_a_dying_gateway_did_not_read_is_delivered_once_it_is_back(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = open_chat(visitor, own_gateway)
    assert own_gateway.process is not None
    own_gateway.process.send_signal(signal.SIGSTOP)
    chat.say("into the void")
    expect(chat.log.get_by_text("Sending…")).to_be_visible()
    own_gateway.kill()
    own_gateway.start()
    chat.has_answered("You said: into the void")
    expect(chat.questions("into the void")).to_have_count(1)
    expect(chat.answers).to_have_count(1)
    assert len(provider.asked("into the void")) == 1


def test_a_message_whose_acknowledgement_was_lost_is_delivered_once(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(own_gateway.url)
    line = Switchboard(chat.page)
    chat.page.goto(f"{own_gateway.url}#token={own_gateway.token}")
    chat.is_online()
    line.lose_the_answer_to("chat.send")
    chat.say("say it once")
    chat.has_answered("You said: say it once")
    first, *again = line.requests("chat.send")
    assert all(params == first for params in again)
    assert line.lost
    chat.page.reload()
    chat.has_answered("You said: say it once")
    expect(chat.questions("say it once")).to_have_count(1)
    expect(chat.answers).to_have_count(1)
    assert len(provider.asked("say it once")) == 1


def test_a_message_without_an_acknowledgement_survives_a_reload_and_is_delivered_once(
    visitor: Visitor, own_gateway: GatewayProcess, provider: ProviderProcess
) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(own_gateway.url)
    line = Switchboard(chat.page)
    chat.page.goto(f"{own_gateway.url}#token={own_gateway.token}")
    chat.is_online()
    line.swallows = "chat.send"
    chat.say("say it anyway")
    expect(chat.log.get_by_text("Sending…")).to_be_visible()
    line.swallows = ""
    chat.page.reload()
    chat.has_answered("You said: say it anyway")
    expect(chat.questions("say it anyway")).to_have_count(1)
    first, *again = line.requests("chat.send")
    assert again == [first]
    assert len(provider.asked("say it anyway")) == 1


@pytest.mark.parametrize("busy_with", ["a word", "count SLOW=15"], ids=["idle", "answering"])
def test_a_message_sent_while_the_gateway_goes_down_is_delivered_once(
    visitor: Visitor, own_gateway: GatewayProcess, busy_with: str
) -> None:
    chat = open_chat(visitor, own_gateway)
    assert own_gateway.process is not None
    chat.say(busy_with)
    expect(chat.answers).to_contain_text("word")
    own_gateway.process.send_signal(signal.SIGTERM)
    chat.say("one last thing")
    own_gateway.stop()
    own_gateway.start()
    chat.is_online()
    chat.has_answered("You said: one last thing")
    for text in (busy_with, "one last thing"):
        expect(chat.questions(text)).to_have_count(1)
    expect(chat.answers.filter(has_text="You said: one last thing")).to_have_count(1)
    assert own_gateway.decisions("refused") == []
