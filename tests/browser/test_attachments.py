"""Files that go with a message: chosen, pasted, dropped, refused, taken out, sent, and seen again."""

import base64
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Locator, expect

from tests.browser.pages import ChatPage, Visitor
from tests.browser.pictures import png
from tests.browser.test_keyboard import PHONE
from tests.browser.witness import Switchboard
from tests.support.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

PICTURE = png(60, 40)
TEXT = "# Notes\nwith a line\n"

# What the platform hands to a page when files are pasted or dropped.
GIVE = """
(target, {event, files}) => {
  const data = new DataTransfer();
  for (const {name, type, base64} of files) {
    const bytes = Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
    data.items.add(new File([bytes], name, {type}));
  }
  const init = {bubbles: true, cancelable: true};
  for (const name of event === "paste" ? ["paste"] : ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(event === "paste"
      ? new ClipboardEvent(name, {...init, clipboardData: data})
      : new DragEvent(name, {...init, dataTransfer: data}));
  }
}
"""


def file(name: str, kind: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": kind, "buffer": content}


PHOTO = file("photo.png", "image/png", PICTURE)
NOTES = file("notes.md", "text/markdown", TEXT.encode())


def choose(chat: ChatPage, *files: FilePayload) -> None:
    with chat.page.expect_file_chooser() as chooser:
        chat.page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(files)


def give(target: Locator, event: str, *files: FilePayload) -> None:
    described = [
        {"name": f["name"], "type": f["mimeType"], "base64": base64.b64encode(f["buffer"]).decode()}
        for f in files
    ]
    target.evaluate(GIVE, {"event": event, "files": described})


def tray(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("list", name="Files to send").get_by_role("listitem")


def refusal(chat: ChatPage) -> Locator:
    return chat.page.locator("#tray-why")


def attached(chat: ChatPage) -> Locator:
    return chat.log.get_by_role("list", name="Attached").get_by_role("button")


def is_drawn(picture: Locator) -> None:
    """The picture itself is there, not only its name."""
    image = picture.locator("img")
    expect(image).to_be_visible()
    assert image.evaluate("(image) => image.complete && image.naturalWidth") == 60


def test_a_picture_and_a_text_are_chosen_sent_and_seen_in_the_transcript(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "attaches")
    choose(chat, PHOTO, NOTES)
    expect(tray(chat)).to_have_count(2)
    expect(tray(chat).nth(0).get_by_role("img", name="photo.png")).to_be_visible()
    expect(tray(chat).nth(1)).to_contain_text("notes.md20 bytes")
    chat.say("look at this")
    expect(tray(chat)).to_have_count(0)
    chat.has_answered("look at this")
    expect(attached(chat)).to_have_count(2)
    is_drawn(attached(chat).nth(0))
    chat.page.reload()
    chat.has_answered("look at this")
    is_drawn(attached(chat).nth(0))
    expect(attached(chat).nth(1)).to_contain_text("notes.md20 bytes")
    assert all(not url.startswith("blob:") for url in chat.witness.requests)


def test_a_message_may_be_a_file_alone(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "wordless")
    expect(chat.send_button).to_be_disabled()
    choose(chat, PHOTO)
    expect(chat.send_button).to_be_enabled()
    chat.composer.press("Enter")
    expect(attached(chat)).to_have_count(1)
    chat.has_answered("You said:")


def test_a_file_of_the_transcript_is_opened_and_can_be_saved(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "opens-files")
    choose(chat, PHOTO, NOTES)
    chat.say("open them")
    chat.has_answered("open them")
    chat.page.reload()
    chat.is_online()
    viewer = chat.page.get_by_role("dialog")
    attached(chat).nth(1).click()
    expect(viewer).to_contain_text(TEXT.strip())
    with chat.page.expect_download() as download:
        viewer.get_by_role("link", name="Save").click()
    assert download.value.suggested_filename == "notes.md"
    assert download.value.path().read_text() == TEXT
    chat.page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)
    attached(chat).nth(0).press("Enter")
    expect(viewer.get_by_role("img", name="photo.png")).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(attached(chat).nth(0)).to_be_focused()


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_file_is_attached_by_paste_and_by_drop(
    visitor: Visitor, gateway: GatewayProcess, event: str
) -> None:
    chat = visitor.chat(gateway, f"by-{event}")
    give(chat.composer if event == "paste" else chat.log, event, PHOTO)
    expect(tray(chat).get_by_role("img", name="photo.png")).to_be_visible()
    expect(chat.composer).to_have_value("")


def test_pasted_words_stay_words(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "pastes", permissions=["clipboard-read", "clipboard-write"])
    chat.page.evaluate("navigator.clipboard.writeText('just words')")
    chat.composer.press("ControlOrMeta+V")
    expect(chat.composer).to_have_value("just words")
    expect(tray(chat)).to_have_count(0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            file("disk.iso", "application/octet-stream", b"\0\1\2" * 100),
            "disk.iso cannot be read by the model; images (PNG, JPEG, GIF, WebP) and text files can.",
        ),
        (file("paper.pdf", "application/pdf", b"%PDF-1.7\n"), "paper.pdf cannot be read by the model;"),
        (
            file("huge.png", "image/png", PICTURE[:8] + b"\0" * 5_200_000),
            "huge.png is too large (5.2 MB); a file may have 5 MB.",
        ),
        (
            file("long.txt", "text/plain", b"word " * 300_000),
            "long.txt is too large (1.5 MB); a text may have 1 MB.",
        ),
        (file("nothing.txt", "text/plain", b""), "nothing.txt is empty."),
    ],
    ids=["binary", "pdf", "large-image", "large-text", "empty"],
)
def test_what_cannot_be_sent_is_refused_in_one_sentence(
    visitor: Visitor, gateway: GatewayProcess, given: FilePayload, sentence: str
) -> None:
    chat = visitor.chat(gateway, "refuses")
    choose(chat, given)
    expect(refusal(chat)).to_contain_text(sentence)
    expect(tray(chat)).to_have_count(0)
    choose(chat, PHOTO)
    expect(tray(chat)).to_have_count(1)
    expect(refusal(chat)).to_be_hidden()


def test_the_limits_are_those_of_the_gateway(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    line.policy = {"attachments": {"maxBytes": 90, "maxImageBytes": 80}}
    chat.page.goto(f"{gateway.url}?session=limits#token={gateway.token}")
    chat.is_online()
    choose(chat, PHOTO)
    expect(refusal(chat)).to_contain_text("photo.png is too large")
    choose(chat, NOTES)
    expect(tray(chat)).to_have_count(1)


def test_a_file_is_taken_out_before_sending_also_by_keyboard(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    chat.page.goto(f"{gateway.url}?session=takes-out#token={gateway.token}")
    chat.is_online()
    choose(chat, PHOTO, NOTES)
    chat.page.get_by_role("button", name="Remove photo.png").click()
    expect(tray(chat)).to_have_count(1)
    expect(chat.page.get_by_role("button", name="Remove notes.md")).to_be_focused()
    chat.page.keyboard.press("Enter")
    expect(tray(chat)).to_have_count(0)
    expect(chat.composer).to_be_focused()
    chat.say("nothing with it")
    chat.has_answered("nothing with it")
    (sent,) = line.requests("chat.send")
    assert "attachments" not in sent


def test_what_is_sent_is_what_was_chosen(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.blank()
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    chat.page.goto(f"{gateway.url}?session=same-bytes#token={gateway.token}")
    chat.is_online()
    choose(chat, file("holiday", "", PICTURE), NOTES)
    chat.say("with these")
    chat.has_answered("with these")
    (sent,) = line.requests("chat.send")
    found: list[dict[str, Any]] = sent["attachments"]
    assert [(one["type"], one["mimeType"], one["fileName"]) for one in found] == [
        ("image", "image/png", "holiday"),
        ("file", "text/markdown", "notes.md"),
    ]
    assert [base64.b64decode(one["content"]) for one in found] == [PICTURE, TEXT.encode()]


def test_pictures_further_up_are_asked_for_when_one_comes_near(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.blank(viewport=PHONE)
    chat.witness.lives_at(gateway.url)
    line = Switchboard(chat.page)
    chat.page.goto(f"{gateway.url}?session=lazy#token={gateway.token}")
    chat.is_online()
    choose(chat, PHOTO)
    chat.say("the picture")
    chat.has_answered("the picture")
    chat.say("\n".join(f"- line {number}" for number in range(120)))
    chat.has_answered("line 119")
    chat.page.reload()
    chat.has_answered("line 119")
    chat.page.wait_for_timeout(300)
    assert line.requests("chat.attachment.get") == []
    chat.log.evaluate("(element) => { element.scrollTop = 0; }")
    is_drawn(attached(chat).first)
    assert len(line.requests("chat.attachment.get")) == 1


def test_trying_again_sends_the_files_again(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "tries-again")
    choose(chat, PHOTO)
    chat.say("FAIL")
    expect(chat.answers.last.get_by_role("button", name="Try again")).to_be_visible()
    chat.page.reload()
    chat.answers.last.get_by_role("button", name="Try again").click()
    expect(chat.questions("FAIL")).to_have_count(2)
    expect(attached(chat)).to_have_count(2)
    is_drawn(attached(chat).last)


def test_the_files_of_a_draft_are_there_after_a_reload(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "draft-files")
    choose(chat, PHOTO)
    chat.composer.fill("not yet")
    expect(tray(chat)).to_have_count(1)
    chat.page.wait_for_timeout(200)
    chat.page.reload()
    chat.is_online()
    expect(chat.composer).to_have_value("not yet")
    expect(tray(chat).get_by_role("img", name="photo.png")).to_be_visible()
    chat.composer.press("Enter")
    chat.has_answered("not yet")
    is_drawn(attached(chat).first)
    chat.page.reload()
    chat.is_online()
    expect(tray(chat)).to_have_count(0)


def test_files_can_be_attached_on_a_phone(visitor: Visitor, gateway: GatewayProcess) -> None:
    chat = visitor.chat(gateway, "phone-files", viewport=PHONE, has_touch=True, is_mobile=True)
    with chat.page.expect_file_chooser() as chooser:
        chat.page.get_by_role("button", name="Attach files").tap()
    chooser.value.set_files([PHOTO])
    expect(tray(chat)).to_have_count(1)
    for locator in (chat.composer, chat.send_button, chat.page.get_by_role("button", name="Attach files")):
        box = locator.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= PHONE["height"]
    chat.send_button.tap()
    is_drawn(attached(chat).first)


def test_a_file_that_is_still_being_read_stays_with_the_chat_it_was_chosen_in(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "slow-disk")
    chat.page.evaluate("""() => {
      const read = File.prototype.arrayBuffer;
      File.prototype.arrayBuffer = function () {
        return new Promise((done) => { window.readNow = done; }).then(() => read.call(this));
      };
    }""")
    choose(chat, PHOTO)
    chat.go_to("Main")
    chat.page.evaluate("readNow()")
    expect(chat.chat_row("slow-disk")).to_contain_text("draft")
    expect(tray(chat)).to_have_count(0)
    chat.go_to("slow-disk")
    expect(tray(chat)).to_have_count(1)


def test_on_a_phone_a_file_with_a_long_name_can_be_taken_out_again(
    visitor: Visitor, gateway: GatewayProcess
) -> None:
    chat = visitor.chat(gateway, "long-name", viewport=PHONE, has_touch=True, is_mobile=True)
    choose(chat, file("long" * 40 + ".md", "text/markdown", b"text"))
    remove = tray(chat).get_by_role("button", name="Remove long")
    expect(remove).to_be_in_viewport(ratio=1)
    remove.tap()
    expect(tray(chat)).to_have_count(0)
