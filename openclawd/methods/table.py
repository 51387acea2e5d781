"""Every method there is; `hello-ok.features` lists these and nothing else."""

from typing import Final

from openclawd.methods.access import ACCESS
from openclawd.methods.admissions import ADMISSIONS
from openclawd.methods.agent_files import AGENT_FILES
from openclawd.methods.agents import AGENTS
from openclawd.methods.chat import CHAT
from openclawd.methods.commands import COMMANDS_LIST
from openclawd.methods.config import CONFIG
from openclawd.methods.config_changes import CONFIG_CHANGES
from openclawd.methods.cron import CRON
from openclawd.methods.device_tokens import DEVICE_TOKENS
from openclawd.methods.devices import DEVICES
from openclawd.methods.identity import IDENTITY
from openclawd.methods.logs import LOGS
from openclawd.methods.method import merged
from openclawd.methods.models import MODELS
from openclawd.methods.node_pairing import NODE_PAIRING
from openclawd.methods.reading import READING
from openclawd.methods.restart import RESTART
from openclawd.methods.runs import RUNS
from openclawd.methods.scope_upgrades import SCOPE_UPGRADES
from openclawd.methods.session_admin import SESSION_ADMIN
from openclawd.methods.session_turns import SESSION_TURNS
from openclawd.methods.sessions import SESSIONS
from openclawd.methods.startup import STARTUP
from openclawd.methods.subscriptions import SUBSCRIPTIONS
from openclawd.methods.update import UPDATE
from openclawd.methods.usage import USAGE
from openclawd.methods.vitals import VITALS

METHODS: Final = merged(
    VITALS,
    LOGS,
    CONFIG,
    CONFIG_CHANGES,
    SESSIONS,
    SESSION_ADMIN,
    USAGE,
    AGENTS,
    MODELS,
    DEVICES,
    DEVICE_TOKENS,
    SCOPE_UPGRADES,
    NODE_PAIRING,
    ADMISSIONS,
    ACCESS,
    RESTART,
    CHAT,
    READING,
    RUNS,
    SESSION_TURNS,
    STARTUP,
    SUBSCRIPTIONS,
    CRON,
    IDENTITY,
    UPDATE,
    AGENT_FILES,
    COMMANDS_LIST,
)

EVENTS: Final = (
    "connect.challenge",
    "agent",
    "chat",
    "session.message",
    "sessions.changed",
    "presence",
    "tick",
    "shutdown",
    "health",
    "device.pair.requested",
    "device.pair.resolved",
    "device.pair.changed",
    "node.pair.resolved",
    "update.available",
    "openclawd.update",
)

# Of what v4 gateways can say that they can, what is all true here.
CAPABILITIES: Final = ("published-model-catalog", "session-scoped-chat-metadata")
