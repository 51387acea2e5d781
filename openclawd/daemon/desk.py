"""What connections and methods work with, made from the parts."""

import uuid

from openclawd import __version__
from openclawd.auth.identity import IdentityFile
from openclawd.config.file import ConfigFile
from openclawd.daemon.parts import Parts, now_ms
from openclawd.gateway.connection import Desk, Greeting
from openclawd.gateway.router import Router
from openclawd.methods.services import Services
from openclawd.methods.table import CAPABILITIES, EVENTS, METHODS
from openclawd.protocol.hello import PrivateFacts


def desk(parts: Parts) -> Desk:
    """What a connection needs of the house to become a client."""
    return Desk(
        admission=parts.admission,
        devices=parts.devices,
        hub=parts.hub,
        subscriptions=parts.subscriptions,
        clients=parts.clients,
        router=Router(METHODS, services(parts)),
        flusher=parts.flusher,
        presence=parts.presence,
        announcer=parts.announcer,
        health=parts.health,
        greeting=_greeting(parts),
        now_ms=now_ms,
    )


def services(parts: Parts) -> Services:
    """What handlers work with."""
    loaded = parts.setting.loaded
    return Services(
        loaded=loaded,
        config_file=ConfigFile(loaded, check=parts.setting.check_config),
        identity=IdentityFile(loaded.paths.identity_file),
        agents=parts.agents,
        catalog=parts.catalog,
        devices=parts.devices,
        sessions=parts.sessions,
        subscriptions=parts.subscriptions,
        presence=parts.presence,
        announce_presence=parts.announcer.request,
        health=parts.health,
        publish=parts.hub.publish,
        log_file=parts.setting.log_file,
        now_ms=now_ms,
        running=parts.running,
        connected_nodes=parts.clients.nodes,
        dismiss_device=parts.clients.dismiss_device,
    )


def _greeting(parts: Parts) -> Greeting:
    loaded, settings = parts.setting.loaded, parts.setting.settings
    return Greeting(
        version=__version__,
        boot_id=str(uuid.uuid4()),
        methods=tuple(METHODS),
        events=EVENTS,
        capabilities=CAPABILITIES,
        session_defaults=parts.session_defaults,
        private=PrivateFacts(
            config_path=str(loaded.paths.config_file),
            state_dir=str(loaded.paths.state_dir),
            auth_mode=settings.auth_mode,
        ),
        config_hash=loaded.hash,
        bundled_page=settings.control_ui.root is None,
        uptime_ms=parts.uptime_ms,
    )
