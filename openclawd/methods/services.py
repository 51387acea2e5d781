"""What handlers work with: the parts of the house below them, handed in when it is put together."""

from collections.abc import Callable
from pathlib import Path

import attrs

from openclawd.agents.catalog import Catalog
from openclawd.agents.roster import Roster
from openclawd.auth.devices import Devices
from openclawd.auth.identity import IdentityFile
from openclawd.config.file import ConfigFile
from openclawd.config.load import LoadedConfig
from openclawd.events.event import Event
from openclawd.events.subscriptions import Subscriptions
from openclawd.sessions.registry import Sessions
from openclawd.vitals.health import Health
from openclawd.vitals.presence import PresenceList


@attrs.frozen(eq=False, repr=False)
class RunningGateway:
    """The process, for administrators: ours, beside what stock's `status` tells."""

    pid: int
    address: str
    port: int
    bind: str
    clients: int
    log_file: str


@attrs.frozen(eq=False, repr=False)
class Services:
    """One gateway's parts."""

    loaded: LoadedConfig
    config_file: ConfigFile
    identity: IdentityFile
    agents: Roster
    catalog: Catalog
    devices: Devices
    sessions: Sessions
    subscriptions: Subscriptions
    presence: PresenceList
    announce_presence: Callable[[], None]
    health: Health
    publish: Callable[[Event], None]
    log_file: Path
    now_ms: Callable[[], int]
    running: Callable[[], RunningGateway]
    connected_nodes: Callable[[], frozenset[str]]
    dismiss_device: Callable[[str], None]
