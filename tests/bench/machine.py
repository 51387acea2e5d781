"""The machine: which core is whose, and how the other reader of a report can tell what it ran on."""

import os
import platform
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs


@attrs.frozen
class Cores:
    """One core for the gateway, the others for its clients; no pinning where there is only one."""

    gateway: frozenset[int]
    clients: frozenset[int]

    @property
    def apart(self) -> bool:
        return self.gateway.isdisjoint(self.clients)

    def text(self) -> str:
        if not self.apart:
            return "one core for gateway and clients together: the figures are worse than they need be"
        return f"gateway pinned to core {_list(self.gateway)}, clients to {_list(self.clients)}"


def divide_cores() -> Cores:
    """The last core that this process may use is the gateway's: the first serves most interrupts."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        return Cores(frozenset(usable), frozenset(usable))
    return Cores(frozenset(usable[-1:]), frozenset(usable[:-1]))


@contextmanager
def on_cores(cores: frozenset[int]) -> Generator[None, None, None]:
    """Processes that are started in the block run there and nowhere else."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe() -> dict[str, object]:
    """Processor, cores, system, Python; and how busy the machine is with other things."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _list(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))
