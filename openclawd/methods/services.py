"""What handlers work with: the parts of the house below them, handed in when it is put together."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

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

if TYPE_CHECKING:
    from openclawd.methods.control_plane import ControlPlane


@attrs.frozen
class StateWarning:
    """Something is wrong with the state on disk: what, without a path, as everybody hears it; and what helps,
    for the owner. `failing`: it is now, and not only kept from the past.
    """

    said: str
    cure: str
    failing: bool = True


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
    generation: int
    """Which life of the process this is, from 1."""

    started_at_ms: int
    """When this life began."""

    lifecycle: str
    """starting, ready, draining, handing over or stopping."""

    last_restart: "LastRestart | None"
    """The one that this life began with."""

    restart_problem: str | None
    """Why the restart that was last asked for was refused; None where it was not."""

    restart_problem_at_ms: int | None
    """Since when that has been in its way."""

    restart_required_for: tuple[str, ...]
    """The keys of the config that count from the next restart on."""

    state_warnings: "tuple[StateWarning, ...]"
    """What is wrong with the state on disk."""

    config_warnings: tuple[str, ...]
    """What is wrong with the config, in words."""


@attrs.frozen(eq=False, repr=False)
class Reloaded:
    """The keys of the file that count at once and have changed, those that need a new start, and what is
    wrong with others, in words. `restarts`: the gateway restarts for them by itself. `overridden`: those in
    whose place a flag or a variable counts, each with its name.
    """

    applied: tuple[str, ...]
    restart_required: tuple[str, ...]
    problems: tuple[str, ...] = ()
    restarts: bool = False
    overridden: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(eq=False, repr=False)
class RestartRequest:
    """Who wants a restart and why; `session_key` is the conversation that is told when it is done, and `note`
    what it is told; `again`: it was refused, and is tried once more.
    """

    reason: str
    kind: Literal["restart", "config-apply", "config-patch", "config-reload", "update", "signal"]
    delay_ms: int = 0
    session_key: str | None = None
    note: str | None = None
    again: bool = False


@attrs.frozen(eq=False, repr=False)
class RestartTicket:
    """A restart will begin, in `delay_ms`. `coalesced`: others had asked for it before."""

    delay_ms: int
    coalesced: bool


@attrs.frozen(eq=False, repr=False)
class LastRestart:
    """The restart that this life of the process began with; `gap_ms`: how long nobody was served."""

    reason: str
    at_ms: int
    gap_ms: int


class RestartRefused(Exception):
    """There will be no restart, and the gateway serves on; why, in words."""


class Restarter(Protocol):
    """Who restarts the gateway."""

    @property
    def generation(self) -> int:
        """Which life of the process this is, from 1."""

    @property
    def last_restart(self) -> LastRestart | None:
        """The one that this life began with."""

    @property
    def problem(self) -> str | None:
        """Why the restart that was last asked for was refused; None where it was not."""

    @property
    def problem_at_ms(self) -> int | None:
        """Since when that has been in its way (wall clock)."""

    def withdraw(self) -> None:
        """Nobody wants the restart any more that was refused."""

    def lifecycle(self) -> str:
        """starting, ready, draining, handing over or stopping."""

    @property
    def restart_pending(self) -> bool:
        """Whether a restart was asked for, or is under way."""

    async def request(self, wanted: RestartRequest) -> RestartTicket:
        """Restart, once the program to execute has proved that it could start. Raises RestartRefused."""


class UpdateRefused(Exception):
    """There is no update, and the gateway serves on; why, in words. `cure`: the command that helps."""

    def __init__(self, reason: str, cure: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


@attrs.frozen(eq=False, repr=False)
class BegunUpdate:
    """`to_version` is in its place, and the gateway is about to restart into it; None: nothing is newer."""

    to_version: str | None


class Updates(Protocol):
    """Who brings other versions."""

    @property
    def available(self) -> dict[str, object] | None:
        """What is newer: `{currentVersion, latestVersion, channel}`."""

    def status(self) -> dict[str, object]:
        """How updates are done here, what is under way and how the last one ended (docs/protocol.md)."""

    async def check(self) -> None:
        """Look for something newer now. Raises UpdateRefused."""

    async def run(self, conn: str) -> BegunUpdate:
        """Have the newest version, until the gateway restarts; for the connection `conn`. Raises
        UpdateRefused. Who is cancelled leaves an update that goes on.
        """


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

    control_plane: "ControlPlane"
    connected_nodes: Callable[[], frozenset[str]]
    dismiss_device: Callable[[str, str | None, str], None]
    """Send the sockets of a device away, of one role or (None) of all, for that cause."""

    restart: Restarter
    updates: Updates
