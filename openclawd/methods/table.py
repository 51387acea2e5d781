"""Every method there is; `hello-ok.features` lists these and nothing else."""

from typing import Final

from openclawd.methods.agents import AGENTS
from openclawd.methods.chat import CHAT
from openclawd.methods.config import CONFIG
from openclawd.methods.devices import DEVICES
from openclawd.methods.logs import LOGS
from openclawd.methods.method import merged
from openclawd.methods.sessions import SESSIONS
from openclawd.methods.vitals import VITALS

METHODS: Final = merged(VITALS, LOGS, CONFIG, SESSIONS, AGENTS, DEVICES, CHAT)

EVENTS: Final = (
    "connect.challenge",
    "agent",
    "chat",
    "presence",
    "tick",
    "shutdown",
    "health",
    "device.pair.requested",
    "device.pair.resolved",
)
