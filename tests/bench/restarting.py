"""A planned restart: how long it takes until everybody is back, and whether anybody was refused meanwhile."""

import selectors
import time
from collections.abc import Sequence
from typing import Final

import attrs

from tests.bench.client import (
    APP,
    BACKEND,
    Client,
    ClientFailed,
    Identity,
    Welcome,
    admit,
    advance,
    connections,
    make_room,
)
from tests.bench.figures import Reading, Scale
from tests.bench.gateway import Gateway, gateway
from tests.bench.machine import Cores
from tests.bench.tree import Tree
from tests.support.device import Device
from tests.support.gateway_process import TOKEN
from tests.support.knocking import Knocks, knocking

_HANDFUL: Final = 50
# From the request to the last hello-ok; a gateway that cannot restart ignores the signal.
_PATIENCE_S: Final = 60.0
# For news of arrivals.
_SETTLE_S: Final = 1.0


def measure_restart(tree: Tree, cores: Cores, scale: Scale) -> dict[str, Reading]:
    """Everybody comes back at once: one client, a handful, a crowd, and a crowd of signed devices."""
    make_room(scale.crowd)
    crowd = [Identity(BACKEND, TOKEN)] * scale.crowd
    devices = [Identity(APP, TOKEN, Device()) for _ in range(scale.crowd)]
    with gateway(tree, cores) as found, knocking(found.port) as knocks:
        return {
            "restart-1": _restart(found, knocks, crowd[:1]),
            "restart-50": _restart(found, knocks, crowd[:_HANDFUL]),
            "restart-1000": _restart(found, knocks, crowd),
            "restart-signed": _restart(found, knocks, _paired(found, devices)),
        }


def _paired(found: Gateway, devices: Sequence[Identity]) -> list[Identity]:
    """The same with tokens of their own, as devices have after their first visit."""
    paired = []
    for welcome in admit(connections(found.port, len(devices)), devices):
        token = welcome.hello["auth"]["deviceToken"]
        paired.append(attrs.evolve(welcome.identity, token=None, device_token=token))
        welcome.client.close()
    return paired


def _restart(found: Gateway, knocks: Knocks, identities: Sequence[Identity]) -> Reading:
    """The seconds from the first goodbye to the last hello-ok; beside them each client's own gap."""
    welcomes = admit(connections(found.port, len(identities)), identities)
    time.sleep(_SETTLE_S)
    before = attrs.evolve(knocks)
    with selectors.DefaultSelector() as selector:
        for welcome in welcomes:
            selector.register(welcome.client, selectors.EVENT_READ, _Returning(welcome))
        found.restart()
        returned = _come_back(found.port, selector, len(welcomes))
    for each in returned:
        each.client.close()
    gaps_ms = sorted((each.back_s - each.last_s) * 1e3 for each in returned)
    lasted_s = max(each.back_s for each in returned) - min(each.last_s for each in returned)
    tried, refused = knocks.connects - before.connects, knocks.refused - before.refused
    if refused:
        raise ClientFailed(f"{refused} of {tried} connects were refused")
    median, late = gaps_ms[len(gaps_ms) // 2], gaps_ms[len(gaps_ms) * 9 // 10]
    distribution = f"gaps p50 {median:.0f}, p90 {late:.0f}, max {gaps_ms[-1]:.0f} ms"
    return Reading(lasted_s, f"{distribution}; {tried} other connects, none refused")


class _Returning:
    """One client on its way: it hears the goodbye and answers it, waits for the end, and dials again."""

    def __init__(self, welcome: Welcome) -> None:
        self.client = welcome.client
        self.identity = welcome.identity
        self.last_s = 0.0
        self.back_s = 0.0
        self._dialled = False

    def hear(self) -> bool:
        """Something is here to be read; whether the gateway has closed, and another client is needed."""
        if self._dialled:
            if advance(self.client, self.identity) is not None:
                self.back_s = time.perf_counter()
        elif self.client.goodbye is not None:
            return self.client.has_ended()
        else:
            self.client.receive()
            self.last_s = time.perf_counter()
            self.client.answer_goodbye()
        return False

    def dial(self, port: int) -> None:
        self.client = Client(port)
        self._dialled = True


def _come_back(port: int, selector: selectors.BaseSelector, count: int) -> list[_Returning]:
    returned: list[_Returning] = []
    deadline = time.monotonic() + _PATIENCE_S
    while len(returned) < count:
        ready = selector.select(deadline - time.monotonic())
        if not ready:
            raise ClientFailed(f"{len(returned)} of {count} were back after {_PATIENCE_S:.0f} s")
        for key, _ in ready:
            each: _Returning = key.data
            old = each.client
            if each.hear():
                selector.unregister(old)
                old.drop()
                each.dial(port)
                selector.register(each.client, selectors.EVENT_READ, each)
            elif each.back_s:
                returned.append(each)
                selector.unregister(old)
    return returned
