"""A thousand clients: what each costs in memory, and how soon all of them have heard of an event."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.bench.client import (
    BACKEND,
    Client,
    ClientFailed,
    Identity,
    admit,
    connections,
    make_room,
    readable,
    request,
)
from tests.bench.figures import Reading, Scale
from tests.bench.gateway import Gateway, gateway
from tests.bench.machine import Cores
from tests.bench.tree import Tree
from tests.support.gateway_process import TOKEN

# Who is there before the memory is looked at: what the first clients cost, the others share.
_FIRST: Final = 100
_BURST: Final = 20
# For news of arrivals, and for the allocator.
_SETTLE_S: Final = 1.5
# Between two events, so that each meets a gateway with nothing else to do.
_PAUSE_S: Final = 0.3
_EVENT: Final = b'{"type":"event","event":"chat"'


def measure_crowd(tree: Tree, cores: Cores, scale: Scale) -> dict[str, Reading]:
    """Operators without a device, each with an entry in the presence list; events are `/help`'s answers."""
    make_room(scale.crowd)
    identities = [Identity(BACKEND, TOKEN)] * scale.crowd
    with gateway(tree, cores) as found:
        crowd = _arrive(found, identities[:_FIRST])
        before_kib = found.resident_kib
        crowd += _arrive(found, identities[_FIRST:])
        each_kib = (found.resident_kib - before_kib) / (scale.crowd - _FIRST)
        producer = _Producer(found, crowd)
        producer.publish(1)
        singles = [producer.publish(1) for _ in range(scale.events)]
        bursts = [producer.publish(_BURST) for _ in range(scale.bursts)]
        for client in crowd:
            client.close()
    deliveries = median(len(times) / times[-1] for times in bursts)
    burst_p99_ms = median(_p99(times) for times in bursts) * 1e3
    single_p99_ms = median(_p99(times) for times in singles) * 1e3
    return {
        "memory": Reading(each_kib, f"from {_FIRST} to {scale.crowd} clients"),
        "burst": Reading(deliveries, f"{_BURST} events each, p99 {burst_p99_ms:.0f} ms"),
        "fan-out": Reading(single_p99_ms, "from the request that causes it"),
    }


def _arrive(found: Gateway, identities: Sequence[Identity]) -> list[Client]:
    welcomes = admit(connections(found.port, len(identities)), identities)
    time.sleep(_SETTLE_S)
    return [welcome.client for welcome in welcomes]


def _p99(times: Sequence[float]) -> float:
    return times[len(times) * 99 // 100]


class _Producer:
    """The first of the crowd asks for what all of them hear."""

    def __init__(self, found: Gateway, crowd: Sequence[Client]) -> None:
        self._gateway = found
        self._crowd = crowd
        self._runs = 0

    def publish(self, events: int) -> list[float]:
        """Cause `events` at once; when each arrived at each client: seconds from the request, ascending."""
        time.sleep(_PAUSE_S)
        requests = b"".join(self._request() for _ in range(events))
        expected = events * len(self._crowd)
        times: list[float] = []
        with readable(self._crowd) as selector:
            began = time.perf_counter()
            self._crowd[0].send(requests)
            while len(times) < expected:
                ready = selector.select(10)
                if not ready:
                    raise ClientFailed(f"{len(times)} of {expected} deliveries came")
                for key, _ in ready:
                    client = key.fileobj
                    assert isinstance(client, Client)
                    heard = sum(message.startswith(_EVENT) for message in client.receive())
                    times += [time.perf_counter() - began] * heard
        return times

    def _request(self) -> bytes:
        self._runs += 1
        params = {
            "sessionKey": f"agent:main:bench-{self._runs % _BURST}",
            "message": "/help",
            "idempotencyKey": f"bench-{self._runs}",
        }
        return request(f"e{self._runs}", "chat.send", params)
