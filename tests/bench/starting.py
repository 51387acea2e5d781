"""How long a start takes, and how much memory an idle gateway holds."""

import time
from typing import Final

from tests.bench.client import APP, Identity, admit, connections
from tests.bench.figures import Reading, Scale
from tests.bench.gateway import gateway
from tests.bench.machine import Cores
from tests.bench.tree import Tree
from tests.support.device import Device
from tests.support.gateway_process import TOKEN

# For what a start leaves to do once somebody is served: a health measurement, the end of a connection.
_SETTLE_S: Final = 1.0


def measure_start(tree: Tree, cores: Cores, _scale: Scale) -> dict[str, Reading]:
    """A start in a state directory that was used before, as after a reboot."""
    with gateway(tree, cores) as found:
        found.stop()
        seconds = found.start()
        time.sleep(_SETTLE_S)
        idle = found.resident_kib
        (welcome,) = admit(connections(found.port, 1), [Identity(APP, TOKEN, Device())])
        welcome.client.close()
        time.sleep(_SETTLE_S)
        signed = found.resident_kib
    return {
        "start": Reading(seconds, "from exec, state from before"),
        "idle": Reading(idle * 1024 / 1e6),
        "idle-signed": Reading(signed * 1024 / 1e6, "Ed25519 loaded"),
    }
