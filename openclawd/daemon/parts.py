"""The parts of one gateway, put together: each gets what it needs of the floors below, and what it tells of
the others.
"""

import os
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import trio

from openclawd import __version__
from openclawd.agents.catalog import Catalog
from openclawd.agents.facts import GatewayFacts
from openclawd.agents.offline import PROVIDER as OFFLINE_PROVIDER
from openclawd.agents.roster import roster
from openclawd.auth.admission import Admission
from openclawd.auth.devices import Devices
from openclawd.auth.limiter import Limiter
from openclawd.config.file import ConfigFile
from openclawd.config.load import LoadedConfig
from openclawd.config.problems import ConfigError
from openclawd.config.settings import Flags, GatewaySettings
from openclawd.daemon.access import Access, Started
from openclawd.daemon.backups import DailyBackups
from openclawd.daemon.certificate import Certificates
from openclawd.daemon.config_watch import ConfigWatch
from openclawd.daemon.limits import LimitKeeper
from openclawd.daemon.policy import admission_policy, limit_rules
from openclawd.daemon.sections import Sections
from openclawd.daemon.state_watch import StateWatch
from openclawd.daemon.update_program import update_program
from openclawd.daemon.updates import Updates
from openclawd.events.hub import Hub
from openclawd.events.subscriptions import Subscriptions
from openclawd.gateway.clients import Clients
from openclawd.gateway.flusher import Flusher
from openclawd.methods.services import Restarter, RunningGateway
from openclawd.protocol.hello import SessionDefaults
from openclawd.sessions.keys import agent_of
from openclawd.sessions.news import SubscribedNews
from openclawd.sessions.registry import Sessions
from openclawd.slots.layout import own_installation
from openclawd.store.conversations import Conversations
from openclawd.store.database import Database
from openclawd.store.devices import DeviceStore
from openclawd.store.facts import Facts
from openclawd.store.limits import LimitStore
from openclawd.store.runs import RunQueue
from openclawd.vitals.announcer import PresenceAnnouncer
from openclawd.vitals.calls import CallCounts
from openclawd.vitals.decisions import Decisions
from openclawd.vitals.health import CONFIG_WARNINGS, AgentSummary, Health, SessionSummary
from openclawd.vitals.loop_lag import LoopLag
from openclawd.vitals.presence import PresenceList


def now_ms() -> int:
    """The wall clock, in milliseconds."""
    return time.time_ns() // 1_000_000


@attrs.frozen(eq=False, repr=False)
class Setting:
    """What a gateway is started with. `check_config` raises ConfigError for a configuration that this process
    could not start with; `address` is the first TCP address and the port that all of them share;
    `limiter_key` is the same in every life of the state.
    """

    loaded: LoadedConfig
    settings: GatewaySettings
    database: Database
    address: tuple[str, int]
    log_file: Path
    check_config: Callable[[LoadedConfig], object]
    flags: Flags
    certificates: Certificates | None
    limiter_key: bytes
    restart: Restarter
    set_log_level: Callable[[str], None]
    config_problem: ConfigError | None = None
    """What is wrong with the file, where `loaded` is the last good one."""

    journal: MutableMapping[str, Any] | None = None
    """What the generation before left of its events; emptied once they are taken over."""


class Parts:
    """Every part, none of them running yet."""

    def __init__(self, setting: Setting) -> None:
        loaded, database = setting.loaded, setting.database
        self.setting = setting
        self._started_ms = now_ms()
        self.agents = roster(loaded.config, loaded.paths.state_dir)
        # One process generation: what `bootId`, the numbers of events and the goodbye refer to.
        self.epoch = str(uuid.uuid4())
        self.hub = Hub(self.epoch, setting.journal)
        if setting.journal is not None:
            # Some megabytes that nobody reads again.
            setting.journal.clear()
        self.subscriptions = Subscriptions()
        self.clients = Clients()
        self.flusher = Flusher()
        self.presence = PresenceList(gateway_version=__version__, now_ms=now_ms)
        self.devices = Devices(
            DeviceStore(database), now_ms=now_ms, random_bytes=secrets.token_bytes, new_lock=trio.Lock
        )
        self.limiter = Limiter(limit_rules(setting.settings), secret_key=setting.limiter_key)
        self.limits = LimitKeeper(self.limiter, LimitStore(database), now_ms=now_ms)
        self.admission = Admission(admission_policy(setting.settings), self.devices, self.limiter)
        self.config_file = ConfigFile(
            loaded, check=setting.check_config, from_elsewhere=setting.config_problem is not None
        )
        self.decisions = Decisions(now_ms)
        self.calls = CallCounts()
        self.loop_lag = LoopLag()
        # By status.
        self.http_answers: Counter[int] = Counter()
        self.catalog = Catalog(loaded.config, loaded.environ, self.facts)
        self.news = SubscribedNews(
            self.subscriptions,
            publish=self.hub.publish,
            row=self._session_row,
            agent_of=lambda key: agent_of(key, self.agents.default_id),
            now_ms=now_ms,
        )
        self.sessions = Sessions(
            RunQueue(database),
            Conversations(database),
            self.catalog,
            roster=self.agents,
            publish=self.hub.publish,
            news=self.news,
            now_ms=now_ms,
            status_lines=self._status_lines,
            timeout_ms=loaded.config.agents.defaults.timeout_seconds * 1000,
        )
        self.access = Access(
            Started(loaded, setting.settings, setting.flags, setting.config_problem),
            config_file=self.config_file,
            admission=self.admission,
            limiter=self.limiter,
            clients=self.clients,
            certificates=setting.certificates,
            now_ms=now_ms,
            sections=Sections(
                loaded,
                agents=self.agents,
                catalog=self.catalog,
                set_run_timeout_ms=self.sessions.set_timeout_ms,
                set_log_level=setting.set_log_level,
            ),
            warned=self._tell_health,
        )
        self.config_watch = ConfigWatch(self.access, self.config_file, setting.restart)
        self.health = Health(
            measure=self._measure,
            publish=self.hub.publish,
            presence_version=lambda: self.presence.version,
            event_loop=self.loop_lag.to_wire,
            now_ms=now_ms,
            warnings=self._warnings,
        )
        self.backups = DailyBackups(
            database, loaded.paths, lambda: self.access.loaded.config.openclawd.backup, now_ms=now_ms
        )
        self.state_watch = StateWatch(
            database, loaded.paths.database, self.backups, changed=self.health.request_refresh
        )
        self.updates = Updates(
            version=__version__,
            installation=own_installation(),
            program=update_program(loaded.paths, os.environ),
            config=lambda: self.access.loaded.config,
            facts=Facts(database),
            restart=setting.restart,
            publish=self.hub.publish,
            now_ms=now_ms,
            local_time=datetime.now,
        )
        self.announcer = PresenceAnnouncer(
            self.presence, publish=self.hub.publish, health_version=lambda: self.health.version
        )

    def uptime_ms(self) -> int:
        """Since the parts were made."""
        return now_ms() - self._started_ms

    def running(self) -> RunningGateway:
        """The process, for administrators."""
        address, port = self.setting.address
        shared, certificates = self.admission.policy.shared, self.setting.certificates
        return RunningGateway(
            pid=os.getpid(),
            address=address,
            port=port,
            bind=self.setting.settings.bind,
            clients=len(self.clients),
            log_file=str(self.setting.log_file),
            auth_mode=shared.mode,
            strong_secret=shared.is_strong if shared.configured else None,
            secret_flag=self.setting.flags.secret_flag(shared.mode),
            tls=certificates is not None,
            tls_fingerprint=certificates.fingerprint if certificates is not None else None,
            runs=self.sessions.active_runs,
            devices_waiting=len(self.devices.waiting()),
            generation=self.setting.restart.generation,
            started_at_ms=self._started_ms,
            lifecycle=self.setting.restart.lifecycle(),
            last_restart=self.setting.restart.last_restart,
            restart_problem=self.setting.restart.problem,
            restart_problem_at_ms=self.setting.restart.problem_at_ms,
            restart_required_for=last.restart_required if (last := self.access.last) is not None else (),
            state_warnings=tuple(self.state_watch.warnings()),
            config_warnings=self.access.warnings,
        )

    def session_defaults(self) -> SessionDefaults:
        """What every hello says of the sessions."""
        return SessionDefaults(
            default_agent_id=self.agents.default_id,
            main_key=self.agents.main_key,
            main_session_key=self.agents.main_session_key,
            scope=self.agents.scope,
            model_configured=self.catalog.default().provider != OFFLINE_PROVIDER,
        )

    def facts(self) -> GatewayFacts:
        """What the built-in responder tells of the gateway."""
        address, port = self.setting.address
        sessions = self.health.snapshot.get("sessions")
        count = sessions.get("count") if isinstance(sessions, dict) else 0
        return GatewayFacts(
            version=__version__,
            uptime_s=self.uptime_ms() / 1000,
            address=address,
            port=port,
            clients=len(self.clients),
            sessions=int(count or 0),
            devices_waiting=len(self.devices.waiting()),
            config_file=str(self.setting.loaded.paths.config_file),
            log_file=str(self.setting.log_file),
            model=str(self.catalog.default()),
        )

    async def _measure(self) -> Sequence[AgentSummary]:
        rows: list[AgentSummary] = []
        for agent in self.agents.all:
            summary = await self.sessions.summary(agent.agent_id)
            # Everybody hears of the health, so the path of the store is no part of it.
            sessions = SessionSummary("(multiple)", summary.count, summary.recent)
            is_default = agent.agent_id == self.agents.default_id
            rows.append(AgentSummary(agent.agent_id, is_default, sessions, agent.name))
        return rows

    def _tell_health(self) -> None:
        self.health.request_refresh()

    def _warnings(self) -> Mapping[str, Sequence[str]]:
        """For everybody, so they name no path."""
        return {
            CONFIG_WARNINGS: self.access.warnings,
            "stateWarnings": [f"{each.said}." for each in self.state_watch.warnings()],
        }

    async def _session_row(self, key: str) -> dict[str, Any] | None:
        return await self.sessions.describe(key)

    def _status_lines(self) -> list[str]:
        up_s = self.uptime_ms() // 1000
        days, clock = divmod(up_s, 86_400)
        hours, minutes = clock // 3600, clock % 3600 // 60
        return [f"openclawd {__version__}, up {days} d {hours} h {minutes} min, clients: {len(self.clients)}"]
