"""WebSocket frames from server to client: final, unmasked, no extension (RFC 6455 section 5.2).

Event frames are encoded once and written to many sockets, so they are made here and not by each socket's
protocol machine.
"""

from typing import Final

from openclawd.protocol.closes import Close

_FIN_TEXT: Final = 0x81
_FIN_CLOSE: Final = 0x88
_LENGTH_16_BIT: Final = 126
_LENGTH_64_BIT: Final = 127


def text_frame(payload: bytes) -> bytes:
    """One whole text message. `payload` is UTF-8, as every codec output is."""
    length = len(payload)
    if length < _LENGTH_16_BIT:
        head = bytes((_FIN_TEXT, length))
    elif length < 1 << 16:
        head = bytes((_FIN_TEXT, _LENGTH_16_BIT)) + length.to_bytes(2, "big")
    else:
        head = bytes((_FIN_TEXT, _LENGTH_64_BIT)) + length.to_bytes(8, "big")
    return head + payload


def frame_payload(frame: bytes) -> bytes:
    """The payload of a frame that `text_frame` made."""
    if frame[1] < _LENGTH_16_BIT:
        return frame[2:]
    return frame[4:] if frame[1] == _LENGTH_16_BIT else frame[10:]


def close_frame(close: Close) -> bytes:
    """A close frame with code and reason; `Close` keeps the reason within a control frame's bounds."""
    body = close.code.to_bytes(2, "big") + close.reason.encode()
    return bytes((_FIN_CLOSE, len(body))) + body
