"""The conversation in the browser: streaming, markdown, stopping, queueing, reloading, errors in words."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import GatewayStarter
from tests.browser.pages import Visitor
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
    chat.page.get_by_role("button", name="New chat").click()
    expect(chat.answers).to_have_count(0)
    expect(chat.composer).to_be_focused()
    chat.page.get_by_role("navigation").get_by_role(
        "link", name=re.compile("remember the old one|old-one")
    ).click()
    chat.has_answered("You said: remember")
    chat.page.go_back()
    expect(chat.answers).to_have_count(0)
