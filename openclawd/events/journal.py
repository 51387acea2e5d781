"""The journal: the broadcasts of the last while, for clients that were away. Sans-I/O.

Clients know where they stand as (epoch, seq): an epoch is one process generation, `seq` counts the
broadcasts to one wire generation in it, from 1. Here each wire generation is one stream, and a position in
it an offset that goes on counting from one epoch to the next; `floor` is the offset behind which every entry
is still here. A client gets everything that it missed, or nothing and the word that it has to read anew.

What is journaled is bounded in events and bytes, both streams together; the oldest goes first. A stream is
kept from its first client on. It ends when the last of its clients has left and so much was said since that
an entry which none of them has heard is gone: nobody could resume then, so that nothing more is encoded for
nobody.

A planned restart hands the journal over (`hand_over`); a crash loses it, and with it the epochs.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from openclawd.auth.scopes import allows
from openclawd.protocol.frames import of_epoch
from openclawd.protocol.versions import V3, V4
from openclawd.protocol.websocket_frames import frame_payload, text_frame

VERSION: Final = 1
# Some minutes of a busy gateway, or the end of one long answer, whose every event has all of its text.
MAX_EVENTS: Final = 4096
MAX_BYTES: Final = 4 * 1024 * 1024
# As many restarts may pass in silence, without an event that would push an epoch out.
MAX_EPOCHS: Final = 256


class NotUnderstood(ValueError):
    """The journal that was handed over is of another version, or none at all."""


class _Entry(NamedTuple):
    """One broadcast in its finished frame. `order` counts the entries of both streams.

    A tuple, as thousands of them are made while a restart lets everybody wait.
    """

    order: int
    offset: int
    scope: str | None
    frame: bytes


@attrs.define(eq=False, repr=False)
class _Stream:
    """The broadcasts to one wire generation. `base` is the offset at which the current epoch began, `epochs`
    says of each earlier one where it began and ended. `heard` is the offset at which its last client left;
    None while there is one.
    """

    base: int = 0
    offset: int = 0
    kept: bool = False
    floor: int = 0
    heard: int | None = 0
    epochs: dict[str, tuple[int, int]] = attrs.Factory(dict)
    entries: deque[_Entry] = attrs.Factory(deque)

    def missed(self, offset: int, scopes: frozenset[str]) -> list[bytes]:
        """The frames behind `offset` that somebody with `scopes` may hear, in their order."""
        frames: list[bytes] = []
        for entry in reversed(self.entries):
            if entry.offset <= offset:
                break
            if entry.scope is None or allows(scopes, entry.scope):
                frames.append(entry.frame)
        frames.reverse()
        return frames


@attrs.frozen(eq=False, repr=False)
class Resumed:
    """Where a stream stands now, and what a client that comes back missed of it."""

    epoch: str
    seq: int
    recovered: bool
    frames: Sequence[bytes] = ()


class Journal:
    """The streams of both wire generations in the epoch `epoch`."""

    def __init__(
        self,
        epoch: str,
        previous: Mapping[str, Any] | None = None,
        *,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`previous` is what the generation before handed over. Raises NotUnderstood."""
        self.epoch = epoch
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._streams = {V3: _Stream(), V4: _Stream()}
        self._order = 0
        self._count = 0
        self._bytes = 0
        if previous is not None:
            try:
                self._restore(previous)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise NotUnderstood(str(error)) from error

    def number(self, wire_generation: int) -> int:
        """The `seq` of the next broadcast to a wire generation."""
        stream = self._streams[wire_generation]
        stream.offset += 1
        return stream.offset - stream.base

    def seq(self, wire_generation: int) -> int:
        """The `seq` of the last broadcast; 0 before the first."""
        stream = self._streams[wire_generation]
        return stream.offset - stream.base

    def is_kept(self, wire_generation: int) -> bool:
        """Whether there may be somebody who will want to know what is said to a wire generation."""
        return self._streams[wire_generation].kept

    def arrived(self, wire_generation: int) -> None:
        """A wire generation has a client; again is harmless."""
        stream = self._streams[wire_generation]
        stream.heard = None
        if not stream.kept:
            stream.kept, stream.floor = True, stream.offset

    def deserted(self, wire_generation: int) -> None:
        """Its last client has left."""
        stream = self._streams[wire_generation]
        stream.heard = stream.offset

    def append(self, wire_generation: int, scope: str | None, frame: bytes) -> None:
        """Keep the broadcast that was numbered last; its stream must be kept."""
        stream = self._streams[wire_generation]
        self._order += 1
        stream.entries.append(_Entry(self._order, stream.offset, scope, frame))
        self._count += 1
        self._bytes += len(frame)
        if self._bytes > self._max_bytes or self._count > self._max_events:
            self._keep_bounds()

    def resume(
        self, wire_generation: int, scopes: frozenset[str], epoch: str | None, seq: int | None
    ) -> Resumed:
        """What a client that has heard everything up to (`epoch`, `seq`) may hear now; without a position it
        is told where it is.
        """
        stream = self._streams[wire_generation]
        now = stream.offset - stream.base
        offset = self._offset(stream, epoch, seq)
        if offset is None or offset < (stream.floor if stream.kept else stream.offset):
            return Resumed(self.epoch, now, recovered=False)
        return Resumed(self.epoch, now, recovered=True, frames=stream.missed(offset, scopes))

    def hand_over(self) -> dict[str, Any]:
        """The journal as JSON, for the next generation."""
        return {
            "version": VERSION,
            "streams": {
                str(generation): {
                    "floor": stream.floor,
                    "epochs": [
                        *([name, *bounds] for name, bounds in stream.epochs.items()),
                        [self.epoch, stream.base, stream.offset],
                    ],
                    "entries": [
                        [entry.order, entry.offset, entry.scope, frame_payload(entry.frame).decode()]
                        for entry in stream.entries
                    ],
                }
                for generation, stream in self._streams.items()
                if stream.kept
            },
        }

    def _restore(self, document: Mapping[str, Any]) -> None:
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']}")
        for generation in (V3, V4):
            told = document["streams"].get(str(generation))
            if told is not None:
                self._streams[generation] = self._restored(told)
        entries = [entry for stream in self._streams.values() for entry in stream.entries]
        self._order = max((entry.order for entry in entries), default=0)
        self._count = len(entries)
        self._bytes = sum(len(entry.frame) for entry in entries)
        self._keep_bounds()

    def _restored(self, told: Mapping[str, Any]) -> _Stream:
        epochs = {str(name): (int(base), int(end)) for name, base, end in told["epochs"]}
        last = str(told["epochs"][-1][0])
        base, end = epochs[last]
        if self.epoch in epochs:
            raise ValueError("an epoch that came before is the current one")
        while len(epochs) > MAX_EPOCHS:
            del epochs[next(iter(epochs))]
        return _Stream(
            base=end,
            offset=end,
            kept=True,
            floor=int(told["floor"]),
            heard=end,
            epochs=epochs,
            entries=deque(_restored_entries(told["entries"], last, base)),
        )

    def _offset(self, stream: _Stream, epoch: str | None, seq: int | None) -> int | None:
        if epoch is None or seq is None:
            return None
        bounds = (stream.base, stream.offset) if epoch == self.epoch else stream.epochs.get(epoch)
        if bounds is None or seq > bounds[1] - bounds[0]:
            return None
        return bounds[0] + seq

    def _keep_bounds(self) -> None:
        v3, v4 = self._streams[V3], self._streams[V4]
        while self._bytes > self._max_bytes or self._count > self._max_events:
            if v3.entries and (not v4.entries or v3.entries[0].order < v4.entries[0].order):
                self._drop_oldest(v3)
            else:
                self._drop_oldest(v4)

    def _drop_oldest(self, stream: _Stream) -> None:
        entry = stream.entries.popleft()
        self._count -= 1
        self._bytes -= len(entry.frame)
        stream.floor = entry.offset
        if stream.heard is not None and entry.offset > stream.heard:
            self._end(stream)
        while stream.epochs:
            oldest = next(iter(stream.epochs))
            if stream.epochs[oldest][1] >= stream.floor:
                break
            del stream.epochs[oldest]

    def _end(self, stream: _Stream) -> None:
        self._count -= len(stream.entries)
        self._bytes -= sum(len(entry.frame) for entry in stream.entries)
        stream.entries.clear()
        stream.epochs.clear()
        stream.kept = False


def _restored_entries(told: Iterable[Sequence[Any]], epoch: str, base: int) -> Iterable[_Entry]:
    """The entries that were handed over; those of the last `epoch`, which began at `base`, say so from now
    on, and those before do so already.
    """
    for order, offset, scope, text in told:
        payload = text.encode()
        frame = text_frame(of_epoch(payload, epoch) if offset > base else payload)
        yield _Entry(order, offset, scope, frame)
