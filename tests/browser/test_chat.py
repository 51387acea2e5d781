"""The conversation in the browser: streaming, markdown, stopping, queueing, reloading, errors in words."""

import re

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import GatewayStarter
from tests.browser.pages import Visitor
from tests.browser.witness import Switchboard
from tests.support.gateway_process import GatewayProcess
from tests.support.provider_process import KEY, ProviderProcess

pytestmark = pytest.mark.browser


def words(text: str | None) -> list[str]:
    """The fake provider's numbered words in `text`, in the order of the page."""
    return re.findall(r"word\d+", text or "")


def numbered(count: int) -> list[str]:
    return [f"word{number}" for number in range(1, count + 1)]


def test_an_answer_streams_in_after_enter(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "streams")
    chat.composer.press_sequentially("count SLOW=12")
    chat.composer.press("Enter")
    expect(chat.composer).to_have_value("")
    expect(chat.questions("count SLOW=12")).to_be_visible()
    expect(chat.answers).to_contain_text("word3")
    expect(chat.stop_button).to_be_visible()
    assert words(chat.answers.text_content()) != numbered(12), "it came all at once"
    answer = chat.has_answered("word12")
    assert words(answer.text_content()) == numbered(12)


def test_markdown_is_rendered(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "markdown")
    chat.say("here\n# A title\n- **bold**\n- `code`\n```js\nlet x = 1 < 2;\n```\n> quoted <b>b</b>")
    answer = chat.has_answered("quoted")
    expect(answer.get_by_role("heading", name="A title")).to_be_visible()
    expect(answer.get_by_role("listitem")).to_have_text(["bold", "code"])
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("pre")).to_contain_text("let x = 1 < 2;")
    expect(answer.get_by_role("blockquote")).to_contain_text("quoted")


def test_nothing_in_an_answer_is_executed_or_fetched(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "hostile")
    chat.say(
        "<img src=x onerror=\"window.owned='img'\"> <script>window.owned='script'</script> "
        "<svg onload=\"window.owned='svg'\"></svg> <iframe src=https://elsewhere.invalid></iframe> "
        "[press me](javascript:window.owned='link') ![a picture](https://elsewhere.invalid/pixel.png) "
        "<form action=https://elsewhere.invalid><button>go</button></form> "
        "<details open ontoggle=\"window.owned='toggle'\"><summary>more</summary></details> "
        "<a href=\"javascript:window.owned='a'\">raw link</a> <style>*{display:none}</style> the end"
    )
    answer = chat.has_answered("the end")
    expect(
        answer.locator("img, script, svg, iframe, form, style, [onerror], [onload], [ontoggle]")
    ).to_have_count(0)
    assert answer.locator("a[href^='javascript' i]").count() == 0
    answer.get_by_text("press me").click()
    expect(answer.get_by_role("link", name=re.compile("a picture"))).to_have_attribute(
        "rel", re.compile("noreferrer")
    )
    assert chat.page.evaluate("window.owned") is None
    assert chat.page.url.startswith(gateway.url)
    assert not [url for url in chat.witness.requests if "elsewhere" in url]


def test_what_a_person_writes_is_shown_as_it_was_written(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "literal")
    text = "<b>not bold</b> & *not slanted*"
    chat.say(text)
    chat.has_answered("You said:")
    expect(chat.questions(text)).to_be_visible()


def test_code_is_copied(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "copies", permissions=["clipboard-read", "clipboard-write"])
    chat.say("here\n```sh\necho 'hello  there'\n```")
    answer = chat.has_answered("echo")
    answer.get_by_role("button", name="Copy code").click()
    expect(answer.get_by_text("Copied")).to_be_visible()
    copied = chat.page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == "echo 'hello  there'"


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_stop_ends_the_answer_and_keeps_what_was_said(
    visitor: Visitor, gateway: GatewayProcess, provider: ProviderProcess, way: str
) -> None:
    chat = visitor.chat(gateway, f"stops-{way.lower()}")
    question = f"{way.lower()} SLOW=200"
    chat.say(question)
    expect(chat.answers).to_contain_text("word3")
    if way == "button":
        chat.stop_button.click()
    else:
        chat.page.keyboard.press("Escape")
    answer = chat.has_answered("stopped")
    kept = words(answer.text_content())
    assert kept == numbered(len(kept))
    assert 3 <= len(kept) < 300
    (asked,) = provider.asked(question)
    assert asked["hung_up"]
    chat.page.reload()
    assert words(chat.has_answered("word3").text_content()) == kept


def test_the_conversation_is_there_after_a_reload(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "reloads")
    for text in ("first thing", "second thing"):
        chat.say(text)
        chat.has_answered(f"You said: {text}")
    chat.page.reload()
    chat.has_answered("You said: second thing")
    expect(chat.answers).to_have_count(2)
    for text in ("first thing", "second thing"):
        expect(chat.questions(text)).to_have_count(1)
    order = chat.log.text_content() or ""
    assert order.index("You said: first") < order.index("second thing")


def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "middle")
    chat.say("count SLOW=20")
    expect(chat.answers).to_contain_text("word5")
    chat.page.reload()
    expect(chat.answers).to_contain_text("word5")
    expect(chat.stop_button).to_be_visible()
    answer = chat.has_answered("word20")
    assert words(answer.text_content()) == numbered(20)
    expect(chat.answers).to_have_count(1)
    expect(chat.questions("count SLOW=20")).to_have_count(1)


def test_a_message_sent_during_an_answer_waits_for_its_turn(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "queues")
    chat.say("count SLOW=15")
    expect(chat.answers).to_contain_text("word2")
    chat.say("and then this")
    expect(chat.log.get_by_text("Waits for its turn")).to_be_visible()
    chat.has_answered("You said: and then this")
    expect(chat.log.get_by_text("Waits for its turn")).to_have_count(0)
    assert words(chat.answers.first.text_content()) == numbered(15)
    order = chat.log.text_content() or ""
    assert order.index("word15") < order.index("and then this") < order.index("You said: and then this")


def test_two_tabs_see_the_same_answer(visitor: Visitor, gateway: GatewayProcess) -> None:
    first = visitor.chat(gateway, "twice")
    second = first.link_again().is_online()
    first.say("count SLOW=8")
    for tab in (first, second):
        assert words(tab.has_answered("word8").text_content()) == numbered(8)
        expect(tab.questions("count SLOW=8")).to_have_count(1)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("BAD_KEY", "key"),
        ("BREAK_OFF", "This is where.*before the answer was complete"),
    ],
)
def test_an_error_of_the_provider_is_told_in_words(
    visitor: Visitor, gateway: GatewayProcess, question: str, expected: str
) -> None:
    chat = visitor.chat(gateway, f"fails-{question.lower().replace('_', '-')}")
    words_for_it = re.compile(expected, re.IGNORECASE | re.DOTALL)
    chat.say(f"please {question}")
    answer = chat.has_answered(words_for_it)
    expect(answer.get_by_role("button", name="Try again")).to_be_visible()
    assert KEY not in (answer.text_content() or "")
    chat.page.reload()
    chat.has_answered(words_for_it)


def test_try_again_after_an_error_asks_again(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "again")
    chat.say("FAIL")
    chat.has_answered(re.compile("Try again"))
    chat.answers.last.get_by_role("button", name="Try again").click()
    expect(chat.questions("FAIL")).to_have_count(2)


def test_a_first_run_without_any_model_explains_itself(
    visitor: Visitor, start_gateway: GatewayStarter
) -> None:
    chat = visitor.chat(start_gateway())
    chat.page.get_by_role("button", name="Connect a model").click()
    chat.has_answered("OPENAI_API_KEY")
    chat.say("What is the meaning of life?")
    answer = chat.has_answered("not a language model")
    expect(answer).to_contain_text("OPENAI_API_KEY")
    expect(answer).to_contain_text("openclaw.json")
    chat.say("/status")
    chat.has_answered("openclawd/offline")


def test_a_new_chat_is_empty_and_the_old_one_is_a_click_away(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "old-one")
    chat.say("remember the old one")
    chat.has_answered("You said: remember")
    chat.new_chat.click()
    expect(chat.answers).to_have_count(0)
    expect(chat.composer).to_be_focused()
    chat.page.get_by_role("navigation").get_by_role(
        "link", name=re.compile("remember the old one|old-one")
    ).click()
    chat.has_answered("You said: remember")
    chat.page.go_back()
    expect(chat.answers).to_have_count(0)


def test_what_is_typed_before_the_connection_stands_joins_the_draft(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "early")
    chat.composer.fill("an old draft")
    held: list[WebSocketRoute] = []

    def hold_the_first(socket: WebSocketRoute) -> None:
        if held:
            socket.connect_to_server()
        held.append(socket)

    chat.page.route_web_socket(re.compile("."), hold_the_first)
    chat.page.reload()
    chat.composer.press_sequentially("typed early")
    held[0].close(code=3000, reason="the line broke")
    chat.is_online()
    expect(chat.composer).to_have_value("an old draft\n\ntyped early")


def test_a_message_over_the_limit_in_bytes_is_refused_here_and_can_be_edited(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    line.policy = {"maxPayload": 1024 * 1024}
    chat.page.goto(f"{gateway.url}?session=too-long#token={gateway.token}")
    chat.is_online()
    text = "längst " * 150_000
    assert len(text) < 1024 * 1024 + 2_000 < len(text.encode())
    chat.say(text)
    expect(chat.log.get_by_text("too long for one message (limit 1 MB)")).to_be_visible()
    assert line.requests("chat.send") == []
    assert len(line.requests("connect")) == 1
    chat.composer.fill("meanwhile")
    chat.log.get_by_role("button", name="Edit").click()
    expect(chat.composer).to_have_value(f"meanwhile\n\n{text.strip()}")


def test_a_command_is_still_above_its_answer_after_a_reload(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "asked")
    chat.say("/status")
    chat.has_answered("fake-model")
    chat.page.reload()
    chat.has_answered("fake-model")
    # The suggestion of an empty page, hidden by now, says the same.
    expect(chat.questions("/status").filter(visible=True)).to_have_count(1)


def test_a_conversation_is_put_away_only_after_a_yes(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "kept-chat")
    chat.say("keep this")
    chat.has_answered("You said: keep this")
    question = chat.page.get_by_role("group", name="Put this conversation away?")
    chat.say("/new")
    expect(question.get_by_role("button", name="Keep it")).to_be_focused()
    chat.page.keyboard.press("Enter")
    expect(question).to_have_count(0)
    expect(chat.composer).to_be_focused()
    expect(chat.questions("keep this")).to_have_count(1)
    chat.say("/new")
    question.get_by_role("button", name="Put away").click()
    expect(chat.questions("keep this")).to_have_count(0)


def test_a_new_chat_with_a_draft_stays_within_reach(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "drafts")
    chat.new_chat.click()
    address = chat.page.url
    chat.composer.fill("half a thought")
    chat.new_chat.click()
    expect(chat.composer).to_have_value("")
    assert chat.page.url != address
    empty = chat.page.url
    chat.new_chat.click()
    assert chat.page.url == empty
    chats = chat.page.get_by_role("navigation", name="Chats")
    chats.get_by_role("link", name=re.compile("draft$")).click()
    expect(chat.composer).to_have_value("half a thought")
    assert chat.page.url == address


def test_an_answer_that_grew_too_long_says_that_it_was_cut(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "too-long")
    chat.say("go on LENGTH")
    expect(chat.has_answered("cut sh")).to_contain_text("cut short at the model's limit")
    chat.page.reload()
    chat.is_online()
    expect(chat.answers.last).to_contain_text("cut short at the model's limit")
