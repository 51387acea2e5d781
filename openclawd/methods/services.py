"""What handlers work with: the parts of the house below them, handed in when it is put together."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs

from openclawd.agents.catalog import Catalog
from openclawd.agents.roster import Roster
from openclawd.auth.credentials import SharedAuth
from openclawd.auth.devices import Devices
from openclawd.auth.identity import IdentityFile
from openclawd.auth.limiter import Limiter
from openclawd.config.file import ConfigFile
from openclawd.config.load import LoadedConfig
from openclawd.events.event import Event
from openclawd.events.subscriptions import Subscriptions
from openclawd.sessions.registry import Sessions
from openclawd.vitals.decisions import Decisions
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
    auth_mode: str
    strong_secret: bool | None
    """Whether the shared secret is beyond guessing; None where there is none."""

    secret_flag: str | None
    """The flag that gave the shared secret at the start; None where the file or the environment does."""

    tls: bool
    tls_fingerprint: str | None
    runs: int
    devices_waiting: int


@attrs.frozen(eq=False, repr=False)
class Reloaded:
    """The keys of the file that count at once and have changed, those that need a new start, and what is
    wrong with others, in words.
    """

    applied: tuple[str, ...]
    restart_required: tuple[str, ...]
    problems: tuple[str, ...] = ()


@attrs.frozen(eq=False, repr=False)
class Services:
    """One gateway's parts."""

    loaded: LoadedConfig
    config_file: ConfigFile
    identity: IdentityFile
    agents: Roster
    catalog: Catalog
    devices: Devices
    limiter: Limiter
    decisions: Decisions
    shared_auth: Callable[[], SharedAuth]
    """How the gateway authenticates now."""

    sessions: Sessions
    subscriptions: Subscriptions
    presence: PresenceList
    announce_presence: Callable[[], None]
    health: Health
    publish: Callable[[Event], None]
    log_file: Path
    now_ms: Callable[[], int]
    running: Callable[[], RunningGateway]
    reload: Callable[[], Awaitable[Reloaded]]
    """Go by the file as it is now; raises ConfigError."""

    rotate_token: Callable[[], Awaitable[Reloaded]]
    """Have a new token; raises NotRotatable, ConfigError, OSError."""

    connected_nodes: Callable[[], frozenset[str]]
    dismiss_device: Callable[[str, str | None, str], None]
    """Send the sockets of a device away, of one role or (None) of all, for that cause."""
