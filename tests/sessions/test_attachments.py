"""Files on their way in: what they are, how large they may be, what is said of those that are not taken."""

import base64
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.protocol.errors import ErrorCode, RequestError
from openclawd.protocol.limits import MAX_IMAGE_BYTES
from openclawd.sessions.attachments import (
    MAX_COUNT,
    MAX_IMAGE_PIXELS,
    MAX_TEXT_BYTES,
    ReadAttachment,
    attachment_part,
    read_attachments,
)
from tests.support.pictures import picture

PNG = picture("png", 3, 2)
JPEG = picture("jpeg", 3, 2)
GIF = picture("gif", 3, 2)
WEBP = picture("webp", 3, 2)


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def given_file(data: bytes, **more: Any) -> dict[str, Any]:
    return {"content": coded(data), **more}


def refusal(*files: Any) -> str:
    with pytest.raises(RequestError) as caught:
        read_attachments(files)
    assert caught.value.shape.code is ErrorCode.INVALID_REQUEST
    return caught.value.shape.message


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")],
)
def test_a_picture_is_what_its_bytes_say(data: bytes, media_type: str) -> None:
    (file,) = read_attachments([given_file(data, mimeType="text/plain", fileName="note.txt")])
    assert file == ReadAttachment(media_type, "note.txt", data)


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ("text/markdown", "text/markdown"),
        ("text/csv; charset=utf-8", "text/csv"),
        ("Application/JSON", "application/json"),
        ("application/ld+json", "application/ld+json"),
        ("image/svg+xml", "image/svg+xml"),
        ("video/mp2t", "text/plain"),
        ("application/octet-stream", "text/plain"),
        (None, "text/plain"),
    ],
)
def test_a_text_keeps_the_kind_of_text_that_it_is_said_to_be(declared: str | None, kept: str) -> None:
    (file,) = read_attachments([given_file("Zażółć 🦞\n".encode(), mimeType=declared)])
    assert file.media_type == kept


def test_a_data_url_says_what_it_holds() -> None:
    (picture, text) = read_attachments(
        [
            {"type": "image", "content": f"data:image/png;base64,{coded(PNG)}"},
            {"content": f"data:text/markdown;charset=utf-8;base64,{coded(b'# Hi')}"},
        ]
    )
    assert (picture.media_type, picture.data) == ("image/png", PNG)
    assert (text.media_type, text.data) == ("text/markdown", b"# Hi")


def test_base64_may_be_in_lines() -> None:
    (file,) = read_attachments([{"content": "\r\n".join(coded(PNG)[at : at + 5] for at in range(0, 44, 5))}])
    assert file.data == PNG


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("C:\\Users\\me\\cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("a\nb\x00.txt", "ab.txt"),
        ("  ", None),
        ("", None),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_name_is_one_line_and_no_path(name: str, kept: str | None) -> None:
    (file,) = read_attachments([given_file(PNG, fileName=name)])
    assert file.file_name == kept


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ({"content": "%%%"}, "attachments[0].content: invalid base64 content"),
        ({"content": "abc"}, "attachments[0].content: invalid base64 content"),
        ({"content": "data:image/png,plain"}, "attachments[0].content: invalid base64 content"),
        ({"content": ""}, "attachments[0].content: the file is empty"),
        ({}, "attachments[0].content: the file is empty"),
        ({"content": 5}, "attachments[0].content: expected a string"),
        (given_file(PNG, fileName=5), "attachments[0].fileName: expected a string"),
        ("nothing", "attachments[0]: expected an object with content"),
        (given_file(b"%PDF-1.7 text", mimeType="application/pdf"), "(application/pdf) cannot be read"),
        (given_file(b"\x00\x01\x02"), "a file of this kind cannot be read; PNG, JPEG, GIF and WebP"),
        (given_file(b"\xff\xfe\xfd"), "cannot be read"),
        (given_file(b"text", mimeType="image/png"), "a file of this kind (image/png) cannot be read"),
        (given_file(b"ftypheic", mimeType="image/heic"), "(image/heic) cannot be read"),
        (given_file(PNG + bytes(MAX_IMAGE_BYTES)), f"at most {MAX_IMAGE_BYTES} bytes"),
        (given_file(b"x" * (MAX_TEXT_BYTES + 1)), f"at most {MAX_TEXT_BYTES} bytes"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(file: Any, words: str) -> None:
    assert words in refusal(file)


def test_the_file_that_is_wrong_is_named() -> None:
    assert refusal(given_file(PNG), {"content": "%"}).startswith("attachments[1].content:")


def test_a_message_has_its_limit_of_files() -> None:
    assert len(read_attachments([given_file(PNG)] * MAX_COUNT)) == MAX_COUNT
    assert f"at most {MAX_COUNT} go with one message" in refusal(*[given_file(PNG)] * (MAX_COUNT + 1))


def test_the_largest_files_are_taken() -> None:
    large = PNG + bytes(MAX_IMAGE_BYTES - len(PNG))
    text = b"x" * MAX_TEXT_BYTES
    assert [file.data for file in read_attachments([given_file(large), given_file(text)])] == [large, text]


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp"])
def test_a_picture_that_providers_would_refuse_is_refused_at_once(
    kind: Literal["png", "jpeg", "gif", "webp"],
) -> None:
    assert read_attachments([given_file(picture(kind, 10, MAX_IMAGE_PIXELS))])
    words = refusal(given_file(picture(kind, 10, MAX_IMAGE_PIXELS + 1)))
    assert words == "attachments[0].content: the image is 10 x 8001 pixels, at most 8000 each way are taken"


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp"])
def test_the_head_of_a_large_picture_says_its_size(kind: Literal["png", "jpeg", "gif", "webp"]) -> None:
    assert "10 x 8001 pixels" in refusal(given_file(picture(kind, 10, 8001) + bytes(300_000)))


def test_a_jpeg_that_says_its_size_late_is_left_to_the_provider() -> None:
    (late,) = read_attachments([given_file(b"\xff\xd8" + b"\xff\xe1\x00\x02" * 100_000)])
    assert late.media_type == "image/jpeg"


def test_a_damaged_picture_is_refused() -> None:
    assert refusal(given_file(PNG[:12])).endswith("the image is damaged, its size cannot be read")


@given(
    files=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "type": st.text(max_size=5),
                "mimeType": st.one_of(
                    st.none(), st.text(max_size=12), st.sampled_from(("image/png", "text/x"))
                ),
                "fileName": st.one_of(st.none(), st.text(max_size=12), st.integers()),
                "content": st.one_of(
                    st.text(max_size=20), st.binary(max_size=40).map(coded), st.integers(), st.none()
                ),
            },
        ),
        max_size=3,
    )
)
def test_any_list_is_read_or_refused_and_a_text_decodes(files: list[dict[str, Any]]) -> None:
    try:
        read = read_attachments(files)
    except RequestError as error:
        assert error.shape.message.startswith("attachments[")  # noqa: PT017
        return
    assert len(read) == len(files)
    for file in read:
        assert file.media_type in {"image/png", "image/jpeg", "image/gif", "image/webp"} or file.data.decode()


def test_a_message_names_the_file_and_does_not_hold_it() -> None:
    cat = ReadAttachment("image/png", "cat.png", PNG).stored("id-1")
    text = ReadAttachment("text/plain", None, b"hello").stored("id-2")
    assert attachment_part(cat) == {
        "type": "image",
        "mimeType": "image/png",
        "fileName": "cat.png",
        "bytes": len(PNG),
        "omitted": True,
        "attachmentId": "id-1",
    }
    assert attachment_part(text) == {
        "type": "file",
        "mimeType": "text/plain",
        "bytes": 5,
        "omitted": True,
        "attachmentId": "id-2",
    }
