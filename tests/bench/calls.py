"""`health` calls on one connection, one behind the other without waiting for answers."""

import time
from typing import Final

from tests.bench.client import BACKEND, Client, ClientFailed, Identity, admit, connections, request
from tests.bench.figures import Reading, Scale
from tests.bench.gateway import gateway
from tests.bench.machine import Cores
from tests.bench.tree import Tree
from tests.support.gateway_process import TOKEN

# Requests that are under way at once, in this many packets.
_PACKET: Final = 64
_PACKETS: Final = 4
# How an answer that carries a result begins.
_ANSWER: Final = b'{"type":"res","id":"c'
_RESULT: Final = b'"ok":true,"payload":{'


def measure_calls(tree: Tree, cores: Cores, scale: Scale) -> dict[str, Reading]:
    """Calls a second of the gateway's processor time: what one core gives when nothing else wants it."""
    with gateway(tree, cores) as found:
        (welcome,) = admit(connections(found.port, 1), [Identity(BACKEND, TOKEN)])
        # What is done the first time only, and the measurement of health that an arrival asks for.
        _call(welcome.client, scale.calls // 4)
        cpu_s, client_cpu_s, began = found.cpu_s, time.process_time(), time.perf_counter()
        calls = _call(welcome.client, scale.calls)
        lasted_s = time.perf_counter() - began
        cpu_s, client_cpu_s = found.cpu_s - cpu_s, time.process_time() - client_cpu_s
        welcome.client.close()
    beside = f"{calls / lasted_s:.0f}/s by the clock, client {client_cpu_s / lasted_s:.0%} busy"
    return {"health": Reading(calls / cpu_s, beside)}


def _call(client: Client, count: int) -> int:
    """Make about `count` calls and check each answer; gives how many."""
    packets = [
        b"".join(request(f"c{first + number}", "health", {}) for number in range(_PACKET))
        for first in range(0, count, _PACKET)
    ]
    expected, answered, sent = len(packets) * _PACKET, 0, 0
    while answered < expected:
        while sent < len(packets) and sent * _PACKET - answered < _PACKETS * _PACKET:
            client.send(packets[sent])
            sent += 1
        for message in client.receive():
            if message.startswith(_ANSWER):
                if _RESULT not in message[:64]:
                    raise ClientFailed(f"health failed: {message!r}")
                answered += 1
    return answered
