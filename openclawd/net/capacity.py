"""How many connections there may be, and how they share the descriptors."""

from collections.abc import Callable
from typing import Final

from openclawd.auth.hosts import IpNetwork
from openclawd.net.reception import BUSY, Reception
from openclawd.net.sources import source_of

# Sockets that nobody has said anything on, or whose turn has not come: some two KiB each.
LOBBY_MAX: Final = 3072
# Connections in their handshake. A household needs ten, and an office whose clients all come back at once is
# through in a second. Each may hold what net/stream.py reads of a stranger: this bounds the memory.
HANDSHAKES_MAX: Final = 1024
# Over the local socket: commands of the owner's own.
LOCAL_MAX: Final = 128


def receptions(
    descriptors: int, *, trusted_proxies: Callable[[], tuple[IpNetwork, ...]], busy: bytes = BUSY
) -> tuple[Reception, Reception]:
    """Those of the network and of the local socket, which a flood from the network does not touch.

    They share the connections that there are `descriptors` for.
    """
    local = min(LOCAL_MAX, descriptors // 4)
    lobby = min(LOBBY_MAX, descriptors // 6)
    places = min(HANDSHAKES_MAX, descriptors // 8)
    return (
        Reception(
            lobby=lobby,
            places=places,
            clients_max=descriptors - lobby - places - local,
            source=lambda address: source_of(address, trusted_proxies()),
            busy=busy,
        ),
        Reception(lobby=local // 4, places=local // 4, clients_max=local // 2, source=lambda _: None),
    )
