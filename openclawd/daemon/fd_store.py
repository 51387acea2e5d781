"""Our listening sockets, kept by systemd as well, so that they outlive us (sd_notify(3), FDSTORE=1).

After a crash whoever connects waits in the kernel's backlog until the next process has them back. That needs
FileDescriptorStoreMax= in the unit. Each address has a name of its own there; what is stored again under its
name is there once.

Nothing is taken back when we are told to stop: we cannot know whether another start follows
(`systemctl restart`), which should find them, and systemd closes them by itself when the unit is stopped.
"""

import socket
from collections.abc import Sequence

from openclawd.daemon.notify import Notifier


def store_name(listener: socket.socket) -> str:
    """The name for a listener: its address, without the colon that a name may not have."""
    match listener.getsockname():
        case (str(host), int(port), *_):
            return f"tcp-{port}-{host.replace(':', '_')}"
        case _:
            return "other"


class FdStore:
    """What systemd keeps for us; without it nothing happens."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def keep(self, listeners: Sequence[socket.socket]) -> None:
        """Have them kept for the next process."""
        for listener in listeners:
            self._notifier.store(store_name(listener), listener.fileno())

    def let_go(self, strays: Sequence[socket.socket]) -> None:
        """Have these closed, if they are kept."""
        for name in {store_name(stray) for stray in strays}:
            self._notifier.unstore(name)
