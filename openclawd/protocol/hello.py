"""hello-ok: what an admitted client is told, in both generations.

Both forms come from one value. Paths of this machine and the way it authenticates go to administrators only;
a stock v3 gateway tells everybody.
"""

from collections.abc import Sequence
from typing import Literal

import attrs

from openclawd.protocol.limits import (
    MAX_ATTACHMENT_BYTES,
    MAX_BUFFERED,
    MAX_IMAGE_BYTES,
    MAX_PAYLOAD,
    TICK_INTERVAL_MS,
)
from openclawd.protocol.versions import V3, V4


@attrs.frozen(eq=False)
class IssuedToken:
    """A device token on its way to the one device that may know it."""

    token: str = attrs.field(repr=False)
    issued_at_ms: int
    scopes: tuple[str, ...]


@attrs.frozen(eq=False)
class SessionDefaults:
    """Where a client that names no session lands."""

    default_agent_id: str
    main_key: str
    main_session_key: str
    scope: str
    model_configured: bool | None = None


@attrs.frozen(eq=False)
class ResumeFacts:
    """Where the client's events stand now. With `recovered`, all that it missed follows hello-ok."""

    epoch: str
    seq: int
    recovered: bool


@attrs.frozen(eq=False, repr=False)
class PrivateFacts:
    """What only an administrator's hello-ok holds."""

    config_path: str
    state_dir: str
    auth_mode: str


@attrs.frozen(eq=False)
class Hello:
    """Everything that hello-ok is made of. `private` is None for clients without `operator.admin`; presence
    and health are JSON, which may be encoded already."""

    version: str
    connection_id: str
    boot_id: str
    methods: Sequence[str]
    events: Sequence[str]
    capabilities: Sequence[str]
    presence: Sequence[object]
    health: object
    presence_version: int
    health_version: int
    uptime_ms: int
    session_defaults: SessionDefaults
    role: str
    scopes: tuple[str, ...]
    issued: IssuedToken | None = None
    private: PrivateFacts | None = None
    config_hash: str | None = None
    control_ui: Literal["bundled", "configured"] = "bundled"
    update_available: dict[str, object] | None = None
    """`{currentVersion, latestVersion, channel}`, where something is newer."""

    resume: ResumeFacts | None = None
    """For clients that ask: the schemas of others are closed."""


def hello_ok_v3(hello: Hello) -> dict[str, object]:
    """The payload for a v3 client; `auth` only when the client presented a device."""
    payload: dict[str, object] = {
        "type": "hello-ok",
        "protocol": V3,
        "server": {"version": hello.version, "connId": hello.connection_id},
        "features": {"methods": list(hello.methods), "events": list(hello.events)},
        "snapshot": _snapshot(hello) | {"sessionDefaults": _session_defaults_v3(hello.session_defaults)},
    }
    if hello.issued is not None:
        payload["auth"] = {
            "deviceToken": hello.issued.token,
            "role": hello.role,
            "scopes": sorted(hello.issued.scopes),
            "issuedAtMs": hello.issued.issued_at_ms,
        }
    payload["policy"] = _policy()
    return payload | _resume(hello)


def hello_ok_v4(hello: Hello) -> dict[str, object]:
    """The payload for a v4 client; `auth` is always there."""
    server: dict[str, object] = {
        "version": hello.version,
        "bootId": hello.boot_id,
        "controlUiBuildSource": hello.control_ui,
        "connId": hello.connection_id,
    }
    # Stock's frames have `auth.method` besides, which its own schema refuses.
    auth: dict[str, object] = {"role": hello.role, "scopes": list(hello.scopes)}
    if hello.issued is not None:
        auth |= {"deviceToken": hello.issued.token, "issuedAtMs": hello.issued.issued_at_ms}
    return {
        "type": "hello-ok",
        "protocol": V4,
        "server": server,
        "features": {
            "methods": list(hello.methods),
            "events": list(hello.events),
            "capabilities": list(hello.capabilities),
        },
        "snapshot": _snapshot(hello)
        | {
            "sessionDefaults": _session_defaults_v4(hello.session_defaults),
            "suspension": {"phase": "accepting"},
            "appliedConfigHash": hello.config_hash,
        },
        "auth": auth,
        "policy": _policy()
        | {"attachments": {"maxBytes": MAX_ATTACHMENT_BYTES, "maxImageBytes": MAX_IMAGE_BYTES}},
    } | _resume(hello)


def _resume(hello: Hello) -> dict[str, object]:
    resume = hello.resume
    if resume is None:
        return {}
    return {"resume": {"epoch": resume.epoch, "seq": resume.seq, "recovered": resume.recovered}}


def _snapshot(hello: Hello) -> dict[str, object]:
    snapshot: dict[str, object] = {
        "presence": list(hello.presence),
        "health": hello.health,
        "stateVersion": {"presence": hello.presence_version, "health": hello.health_version},
        "uptimeMs": hello.uptime_ms,
    }
    if hello.update_available is not None:
        snapshot["updateAvailable"] = hello.update_available
    if hello.private is not None:
        snapshot |= {
            "configPath": hello.private.config_path,
            "stateDir": hello.private.state_dir,
            "authMode": hello.private.auth_mode,
        }
    return snapshot


def _session_defaults_v3(defaults: SessionDefaults) -> dict[str, object]:
    return {
        "defaultAgentId": defaults.default_agent_id,
        "mainKey": defaults.main_key,
        "mainSessionKey": defaults.main_session_key,
        "scope": defaults.scope,
    }


def _session_defaults_v4(defaults: SessionDefaults) -> dict[str, object]:
    more: dict[str, object] = {"ownership": "sole", "selectionRequired": False}
    if defaults.model_configured is not None:
        more["modelConfigured"] = defaults.model_configured
    return _session_defaults_v3(defaults) | more


def _policy() -> dict[str, object]:
    return {
        "maxPayload": MAX_PAYLOAD,
        "maxBufferedBytes": MAX_BUFFERED,
        "tickIntervalMs": TICK_INTERVAL_MS,
    }
