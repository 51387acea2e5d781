"""What connections and methods work with, made from the parts."""

from openclawd import __version__
from openclawd.auth.identity import IdentityFile
from openclawd.daemon.parts import Parts, now_ms
from openclawd.gateway.connection import Desk, Greeting
from openclawd.gateway.router import Router
from openclawd.methods.control_plane import ControlPlane
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
        router=Router(METHODS, services(parts), parts.calls),
        flusher=parts.flusher,
        presence=parts.presence,
        announcer=parts.announcer,
        health=parts.health,
        greeting=_greeting(parts),
        decided=parts.decisions.decided,
        now_ms=now_ms,
    )


def services(parts: Parts) -> Services:
    """What handlers work with."""
    loaded = parts.setting.loaded
    return Services(
        loaded=loaded,
        config_file=parts.config_file,
        identity=IdentityFile(loaded.paths.identity_file),
        agents=parts.agents,
        catalog=parts.catalog,
        devices=parts.devices,
        limiter=parts.limiter,
        decisions=parts.decisions,
        shared_auth=lambda: parts.admission.policy.shared,
        sessions=parts.sessions,
        subscriptions=parts.subscriptions,
        presence=parts.presence,
        announce_presence=parts.announcer.request,
        health=parts.health,
        publish=parts.hub.publish,
        log_file=parts.setting.log_file,
        now_ms=now_ms,
        running=parts.running,
        reload=parts.access.reload,
        rotate_token=parts.access.rotate_token,
        control_plane=ControlPlane(now_ms),
        connected_nodes=parts.clients.nodes,
        dismiss_device=parts.clients.dismiss_device,
        restart=parts.setting.restart,
        updates=parts.updates,
    )


def _greeting(parts: Parts) -> Greeting:
    paths = parts.setting.loaded.paths

    def private() -> PrivateFacts:
        return PrivateFacts(
            config_path=str(paths.config_file),
            state_dir=str(paths.state_dir),
            auth_mode=parts.access.settings.auth_mode,
        )

    def config_hash(is_admin: bool) -> str:
        file = parts.config_file
        return file.applied.hash if is_admin else file.applied_shown_hash

    return Greeting(
        version=__version__,
        boot_id=parts.epoch,
        methods=tuple(METHODS),
        events=EVENTS,
        capabilities=CAPABILITIES,
        session_defaults=parts.session_defaults,
        private=private,
        config_hash=config_hash,
        bundled_page=parts.setting.settings.control_ui.root is None,
        uptime_ms=parts.uptime_ms,
        update_available=lambda: parts.updates.available,
    )
