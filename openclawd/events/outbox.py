"""A client's bounded outbox: frames wait here until the one writer has sent them. Sans-I/O.

The bound counts bytes that were not yet handed to the network, those in the writer's hands included. Over it
a droppable frame is skipped; any other frame marks the outbox as overflowed, after which it takes nothing
more and its client has to go (protocol: slow consumer).
"""


class Outbox:
    """Frames on their way to one client."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # An empty deque has room for 64.
        self._frames: list[bytes] = []
        self._waiting_bytes = 0
        self._sending_bytes = 0
        self.overflowed = False
        self.dropped = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes not yet sent."""
        return self._waiting_bytes + self._sending_bytes

    def put(self, frame: bytes, *, drop_if_slow: bool = False) -> None:
        """Queue `frame`, drop it, or overflow."""
        if self.overflowed:
            return
        if self.buffered_bytes > self._max_bytes:
            if drop_if_slow:
                self.dropped += 1
            else:
                self.overflowed = True
            return
        self._frames.append(frame)
        self._waiting_bytes += len(frame)

    def take(self, max_bytes: int) -> bytes:
        """Join waiting frames to about `max_bytes` (at least one frame); empty when nothing waits.

        The bytes count as buffered until `sent()`.
        """
        count, size = len(self._frames), self._waiting_bytes
        if size > max_bytes:
            count = size = 0
            for frame in self._frames:
                if count and size + len(frame) > max_bytes:
                    break
                count += 1
                size += len(frame)
        taken = self._frames[:count]
        del self._frames[:count]
        self._waiting_bytes -= size
        self._sending_bytes = size
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def sent(self) -> None:
        """What was taken last is out."""
        self._sending_bytes = 0
