"""A process that holds connections open, or opens them as fast as it can: what a flood is made of.

Run as `python -m tests.support.attacker PORT JSON`; says `begun` when it has opened as many as it wants to
hold, and goes on until its stdin ends: who loses a connection comes again.
"""

import errno
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs

# An attacker who sleeps less takes the processor from the gateway on a machine with two cores.
STEP_S: Final = 0.002
# Connections that are begun in one step.
BURST: Final = 64
PATIENCE_S: Final = 20.0
OWN_DESCRIPTORS: Final = 32


@attrs.frozen
class Attack:
    """`hold` connections from `sources` addresses of 127.0.0.0/8, each of which says `say` at once, then
    `drip` byte for byte, one a second, and reads nothing.

    `renew_s`: how long each is held before it is replaced; for ever, when it is 0. `receive_buffer`: what the
    peer may be told before it has to wait.
    """

    hold: int
    sources: int = 1
    say: bytes = b""
    drip: bytes = b""
    renew_s: float = 0.0
    receive_buffer: int = 0

    def encoded(self) -> str:
        """For the command line."""
        fields = attrs.asdict(self)
        return json.dumps(fields | {"say": self.say.hex(), "drip": self.drip.hex()})


def decoded(text: str) -> Attack:
    """What `encoded` made."""
    fields: dict[str, Any] = json.loads(text)
    return Attack(**fields | {name: bytes.fromhex(fields[name]) for name in ("say", "drip")})


@attrs.define(eq=False)
class _Peer:
    socket: socket.socket
    begun: float
    dripped: int = 0
    spoken: bool = False


class _Attacker:
    def __init__(self, port: int, attack: Attack) -> None:
        self._port = port
        self._attack = attack
        self._selector = selectors.EpollSelector()
        self._peers: dict[int, _Peer] = {}
        self._begun = 0

    def run(self) -> None:
        told = False
        os.set_blocking(0, False)
        next_drip = time.monotonic() + 1
        while not self._is_over():
            now = time.monotonic()
            for _ in range(min(BURST, self._attack.hold - len(self._peers))):
                self._begin(now)
            for key, mask in self._selector.select(STEP_S):
                self._look(key.data, mask)
            if now >= next_drip:
                next_drip = now + 1
                self._drip()
            if self._attack.renew_s:
                self._renew(now)
            if not told and self._begun >= self._attack.hold:
                told = True
                print("begun", flush=True)

    def _is_over(self) -> bool:
        try:
            return os.read(0, 1) == b""
        except BlockingIOError:
            return False

    def _begin(self, now: float) -> None:
        self._begun += 1
        peer = socket.socket()
        peer.setblocking(False)
        if self._attack.receive_buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._attack.receive_buffer)
        number = self._begun % self._attack.sources
        try:
            peer.bind((f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}", 0))
            peer.connect(("127.0.0.1", self._port))
        except BlockingIOError:
            pass
        except OSError:
            peer.close()
            return
        state = _Peer(peer, now)
        self._peers[peer.fileno()] = state
        self._selector.register(peer, selectors.EVENT_READ | selectors.EVENT_WRITE, state)

    def _look(self, peer: _Peer, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and not peer.spoken:
            peer.spoken = True
            # From here on only the end is of interest, unless the peer is one who does not read.
            events = 0 if self._attack.receive_buffer else selectors.EVENT_READ
            try:
                if self._attack.say:
                    peer.socket.send(self._attack.say)
            except OSError:
                self._end(peer)
                return
            if events:
                self._selector.modify(peer.socket, events, peer)
            else:
                self._selector.unregister(peer.socket)
        elif mask & selectors.EVENT_READ:
            try:
                if not peer.socket.recv(65536):
                    self._end(peer)
            except BlockingIOError:
                pass
            except OSError:
                self._end(peer)

    def _drip(self) -> None:
        for peer in tuple(self._peers.values()):
            if peer.dripped < len(self._attack.drip):
                try:
                    peer.socket.send(self._attack.drip[peer.dripped : peer.dripped + 1])
                    peer.dripped += 1
                except OSError as error:
                    if error.errno != errno.EAGAIN:
                        self._end(peer)
            elif self._attack.receive_buffer and _is_gone(peer.socket):
                self._end(peer)

    def _renew(self, now: float) -> None:
        for peer in tuple(self._peers.values()):
            if now - peer.begun < self._attack.renew_s:
                break
            self._end(peer)

    def _end(self, peer: _Peer) -> None:
        del self._peers[peer.socket.fileno()]
        with suppress(KeyError):
            self._selector.unregister(peer.socket)
        peer.socket.close()


def _is_gone(peer: socket.socket) -> bool:
    return peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


@contextmanager
def attacker(port: int, attack: Attack) -> Generator[None, None, None]:
    """A process that attacks until the block ends; every connection has been tried when the block begins."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.attacker", str(port), attack.encoded()],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE_S), "the attacker does not get as many connections as it wants"
        yield
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _main(port: str, text: str) -> None:
    attack = decoded(text)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY:
        attack = attrs.evolve(attack, hold=min(attack.hold, hard - OWN_DESCRIPTORS))
    _Attacker(int(port), attack).run()


if __name__ == "__main__":
    _main(*sys.argv[1:])
