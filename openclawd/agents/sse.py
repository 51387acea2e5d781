"""Server-sent events out of bytes that arrive in any pieces, without I/O.

WHATWG HTML, "9.2.6 Interpreting an event stream". Guarantees: the same bytes give the same events however
they are split (inside a character, between CR and LF); an event is out as soon as the byte that ends it is
in; no line and no event grows beyond `MAX_EVENT_BYTES`. `id` and `retry` are read over: they serve
reconnecting to a stream, which nobody does with an answer that is being made up as it goes.
"""

from typing import Final

import attrs

# Far above any real chunk (images included in none), far below what would hurt the process.
MAX_EVENT_BYTES: Final = 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """A line or an event went beyond `MAX_EVENT_BYTES`; the stream cannot be read further."""

    def __init__(self) -> None:
        super().__init__(f"an event of more than {MAX_EVENT_BYTES} bytes")


@attrs.frozen
class ServerSentEvent:
    """One dispatched event: its type ("message" when the stream names none) and its data."""

    type: str
    data: str


@attrs.define
class EventStreamParser:
    """Bytes in, events out; `end` gives what is unfinished when the stream ends."""

    _line: list[bytes] = attrs.field(factory=list, init=False)
    _line_bytes: int = attrs.field(default=0, init=False)
    _data: list[str] = attrs.field(factory=list, init=False)
    _data_bytes: int = attrs.field(default=0, init=False)
    _type: str = attrs.field(default="", init=False)
    _after_cr: bool = attrs.field(default=False, init=False)
    _at_start: bool = attrs.field(default=True, init=False)

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that `chunk` completes, in order. Raises EventTooLargeError."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        events: list[ServerSentEvent] = []
        # bytes.splitlines knows exactly the standard's three line ends, CR LF, LF and CR.
        for piece in chunk.splitlines(keepends=True):
            self._line.append(piece)
            self._line_bytes += len(piece)
            if self._line_bytes > MAX_EVENT_BYTES:
                raise EventTooLargeError
            if piece.endswith((b"\n", b"\r")):
                event = self._end_line(b"".join(self._line).rstrip(b"\r\n"))
                self._line.clear()
                self._line_bytes = 0
                if event is not None:
                    events.append(event)
        return events

    def end(self) -> ServerSentEvent | None:
        """The event that the end of the stream cut off, whole or not. Raises EventTooLargeError.

        The standard drops it; the caller may know better, as some servers leave out the last blank line.
        """
        if self._line:
            self._end_line(b"".join(self._line))
            self._line.clear()
            self._line_bytes = 0
        return self._dispatch()

    def _end_line(self, line: bytes) -> ServerSentEvent | None:
        if self._at_start:
            line = line.removeprefix(_BOM)
            self._at_start = False
        if not line:
            return self._dispatch()
        # A line break cannot be inside a character, so decoding by lines is decoding the stream.
        field, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data_bytes += len(line)
            if self._data_bytes > MAX_EVENT_BYTES:
                raise EventTooLargeError
            self._data.append(value)
        elif field == "event":
            self._type = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event = None
        if self._data:
            event = ServerSentEvent(self._type or "message", "\n".join(self._data))
        self._data.clear()
        self._data_bytes = 0
        self._type = ""
        return event
