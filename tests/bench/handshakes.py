"""Signed handshakes, the connections left open: what a gateway does when everybody comes back at once."""

import time
from collections.abc import Sequence
from typing import Final

import attrs

from tests.bench.client import APP, Identity, Welcome, admit, connections
from tests.bench.figures import Reading, Scale
from tests.bench.gateway import Gateway, gateway
from tests.bench.machine import Cores
from tests.bench.tree import Tree
from tests.support.device import Device
from tests.support.gateway_process import TOKEN

# Clients of one household, office or tunnel that try at the same moment.
_AT_ONCE: Final = 32


def measure_handshakes(tree: Tree, cores: Cores, scale: Scale) -> dict[str, Reading]:
    """The same devices three times: unknown, known with the shared token, and with tokens of their own."""
    devices = [Device() for _ in range(scale.handshakes)]
    with gateway(tree, cores) as found:
        # The first signature loads the library for all of them.
        _handshakes(found, [Identity(APP, TOKEN, Device())])
        strangers = [Identity(APP, TOKEN, device) for device in devices]
        new, _ = _handshakes(found, strangers)
        known, welcomes = _handshakes(found, strangers)
        tokens = {welcome.identity: welcome.hello["auth"]["deviceToken"] for welcome in welcomes}
        returning, _ = _handshakes(
            found,
            [attrs.evolve(each, token=None, device_token=tokens[each]) for each in strangers],
        )
    return {
        "handshakes-new": new,
        "handshakes-known": known,
        "handshakes-returning": returning,
    }


def _handshakes(found: Gateway, identities: Sequence[Identity]) -> tuple[Reading, list[Welcome]]:
    count = len(identities)
    cpu_s, client_cpu_s, began = found.cpu_s, time.process_time(), time.perf_counter()
    welcomes = admit(connections(found.port, count), identities, at_once=_AT_ONCE)
    lasted_s = time.perf_counter() - began
    cpu_s, client_cpu_s = found.cpu_s - cpu_s, time.process_time() - client_cpu_s
    for welcome in welcomes:
        welcome.client.close()
    beside = f"gateway {cpu_s / count * 1e3:.2f} ms CPU each, clients {client_cpu_s / lasted_s:.0%} busy"
    return Reading(count / lasted_s, beside), welcomes
