"""The files of a conversation on their way to a model: read from the store for as many as a request takes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from openclawd.agents.attached import left_out, whole_file
from openclawd.agents.model import Image
from openclawd.store.conversations import Conversations
from openclawd.store.records import Message

# Providers look at more of them in less detail, and refuse requests of 32 MB; base64 adds a third.
MAX_IMAGES: Final = 20
MAX_IMAGE_BYTES: Final = 16_000_000

_BLIND: Final = "this model takes no images"
_TOO_MANY: Final = "newer images take its place"
_GONE: Final = "it is no longer kept"


@attrs.frozen(eq=False, repr=False)
class Files:
    """The files of one message, ready to be sent: its pictures, and what stands above its words."""

    images: tuple[Image, ...] = ()
    texts: tuple[str, ...] = ()


def attached(message: Message) -> list[Mapping[str, Any]]:
    """The files that a message names."""
    return [part for part in message["content"] if "attachmentId" in part]


async def load_files(
    conversations: Conversations, session_id: str, stored: Sequence[Message], *, sees_images: bool
) -> dict[int, Files]:
    """The files of each message that has some, by its place in `stored`; the newest images come first."""
    loading = _Loading(conversations, session_id, sees_images)
    places = [place for place, message in enumerate(stored) if attached(message)]
    return {place: await loading.files(stored[place]) for place in reversed(places)}


@attrs.define(eq=False, repr=False)
class _Loading:
    """One request being filled."""

    _conversations: Conversations
    _session_id: str
    _sees_images: bool
    _images_left: int = MAX_IMAGES
    _bytes_left: int = MAX_IMAGE_BYTES

    async def files(self, message: Message) -> Files:
        images: list[Image] = []
        texts: list[str] = []
        for part in attached(message):
            name = part.get("fileName") or f"{part['type']} ({part['mimeType']})"
            why_not = self._why_not(part)
            file = None
            if why_not is None:
                file = await self._conversations.attachment(self._session_id, part["attachmentId"])
            if file is None:
                texts.append(left_out(name, why_not or _GONE))
            elif part["type"] == "image":
                self._images_left -= 1
                self._bytes_left -= len(file.data)
                images.append(Image(file.media_type, file.data))
            else:
                texts.append(whole_file(name, file.data.decode(errors="replace")))
        return Files(tuple(images), tuple(texts))

    def _why_not(self, part: Mapping[str, Any]) -> str | None:
        if part["type"] != "image":
            return None
        if not self._sees_images:
            return _BLIND
        return None if self._images_left and part["bytes"] <= self._bytes_left else _TOO_MANY
