"""The files that come with a message: pictures and texts, read strictly on their way in.

What a file is, its bytes say, not its sender: a picture by its first bytes, a text by being UTF-8 without
control characters. Anything else is refused in words that name the field, where stock drops it without a
word (protocol.md 7.1.3). The bytes go into the store, a message only names them.
"""

import binascii
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from openclawd.protocol.errors import RequestError, invalid_request
from openclawd.protocol.limits import MAX_ATTACHMENT_BYTES, MAX_IMAGE_BYTES
from openclawd.store.records import Attachment

# More text than that fits no model's context window.
MAX_TEXT_BYTES: Final = 1_000_000
# Providers take this many pictures of one message without making them smaller.
MAX_COUNT: Final = 20
# As file systems have it.
_MAX_NAME_CHARS: Final = 255

TAKEN: Final = "PNG, JPEG, GIF and WebP images and UTF-8 text files can be sent"

# Providers refuse a larger picture, and with it every later turn of the conversation that it is part of.
MAX_IMAGE_PIXELS: Final = 8_000
# Only a JPEG may say its size later; reading all of a hostile one would hold everybody up for a second.
_HEAD_BYTES: Final = 128 * 1024

_DATA_URL: Final = re.compile(r"data:([^;,]*)(?:;[^;,]+)*;base64,", re.IGNORECASE)
_TEXTUAL: Final = re.compile(
    r"text/[\w.+-]+|application/(json|xml|yaml|x-yaml|toml|javascript|sql|x-sh|x-ndjson|[\w.-]+\+(json|xml))"
    r"|image/svg\+xml"
)
# Tab, the line ends and form feed are text; the other C0 characters are not, and no text begins so.
_NOT_TEXT: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]|\A%PDF-")


@attrs.frozen
class ReadAttachment:
    """A file that may go with a message. `media_type` is what it is, not what it was said to be."""

    media_type: str
    file_name: str | None
    data: bytes = attrs.field(repr=False)

    def stored(self, attachment_id: str) -> Attachment:
        """The file under the name that its message calls it by."""
        return Attachment(attachment_id, self.media_type, self.file_name, self.data)


def read_attachments(raw: Sequence[Mapping[str, Any]]) -> tuple[ReadAttachment, ...]:
    """The files of `{type?, mimeType?, fileName?, content}` (base64, or a data URL).

    Raises RequestError, INVALID_REQUEST, for the first that cannot be taken.
    """
    if len(raw) > MAX_COUNT:
        raise invalid_request(f"attachments: {len(raw)} files, at most {MAX_COUNT} go with one message")
    return tuple(_read(f"attachments[{index}]", given) for index, given in enumerate(raw))


def image_type(data: bytes) -> str | None:
    """What kind of picture these bytes begin, if they do."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def is_image(media_type: str) -> bool:
    """Whether a stored file is shown to a model as a picture."""
    return media_type.startswith("image/") and media_type != "image/svg+xml"


def attachment_part(file: Attachment) -> dict[str, Any]:
    """How the content of a message names a file that is stored beside it."""
    name = {} if file.file_name is None else {"fileName": file.file_name}
    return {
        "type": "image" if is_image(file.media_type) else "file",
        "mimeType": file.media_type,
        **name,
        "bytes": len(file.data),
        "omitted": True,
        "attachmentId": file.attachment_id,
    }


def _read(field: str, given: Mapping[str, Any]) -> ReadAttachment:
    if not isinstance(given, Mapping):
        raise invalid_request(f"{field}: expected an object with content")
    content = _text(field, given, "content") or ""
    declared = _text(field, given, "mimeType")
    if match := _DATA_URL.match(content):
        declared = declared or match[1]
        content = content[match.end() :]
    data = _decoded(f"{field}.content", content)
    name = _file_name(_text(field, given, "fileName") or "")
    return ReadAttachment(
        _media_type(f"{field}.content", data, (declared or "").partition(";")[0].strip().lower()), name, data
    )


def _text(field: str, given: Mapping[str, Any], key: str) -> str | None:
    value = given.get(key)
    if value is not None and not isinstance(value, str):
        raise invalid_request(f"{field}.{key}: expected a string")
    return value


def _decoded(field: str, content: str) -> bytes:
    # Four characters carry three bytes; looked at before anything is copied.
    if len(content) // 4 * 3 > MAX_ATTACHMENT_BYTES + 3:
        raise _too_large(field, MAX_ATTACHMENT_BYTES)
    try:
        data = binascii.a2b_base64("".join(content.split()), strict_mode=True)
    except ValueError:
        raise invalid_request(f"{field}: invalid base64 content") from None
    if not data:
        raise invalid_request(f"{field}: the file is empty")
    return data


def _media_type(field: str, data: bytes, declared: str) -> str:
    if (picture := image_type(data)) is not None:
        if len(data) > MAX_IMAGE_BYTES:
            raise _too_large(field, MAX_IMAGE_BYTES)
        _check_size(field, data)
        return picture
    called = f" ({declared})" if declared else ""
    if (declared and is_image(declared)) or not _is_text(data):
        raise invalid_request(f"{field}: a file of this kind{called} cannot be read; {TAKEN}")
    if len(data) > MAX_TEXT_BYTES:
        raise _too_large(field, MAX_TEXT_BYTES)
    return declared if _TEXTUAL.fullmatch(declared) else "text/plain"


def _check_size(field: str, data: bytes) -> None:
    import imagesize

    try:
        width, height = imagesize.get(io.BytesIO(data[:_HEAD_BYTES]))
    except Exception:  # noqa: BLE001 - whatever it stumbles over is in the file
        width = height = -1
    if width < 1 or height < 1:
        if len(data) > _HEAD_BYTES and image_type(data) == "image/jpeg":
            return
        raise invalid_request(f"{field}: the image is damaged, its size cannot be read")
    if max(width, height) > MAX_IMAGE_PIXELS:
        raise invalid_request(
            f"{field}: the image is {width} x {height} pixels, at most {MAX_IMAGE_PIXELS} each way are taken"
        )


def _is_text(data: bytes) -> bool:
    try:
        return _NOT_TEXT.search(data.decode()) is None
    except UnicodeDecodeError:
        return False


def _too_large(field: str, limit: int) -> RequestError:
    return invalid_request(f"{field}: the file is too large, at most {limit} bytes of its kind are taken")


def _file_name(given: str) -> str | None:
    """The last part of a path, of either system, in one line."""
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", given)[-1])
    name = "".join(letter for letter in name if letter.isprintable()).strip()
    return name[:_MAX_NAME_CHARS] or None
