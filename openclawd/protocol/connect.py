"""The parameters of `connect`, the first request of every connection.

One class accepts both generations, since the version is only known from its own fields: v3's fields, v4's
additions, and the enumerations of v4, which contain v3's. Objects are closed at every level.
"""

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from openclawd.protocol.codec import NonEmptyStr, NonNegativeInt, PositiveInt

ClientId = Literal[
    "webchat-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "openclaw-probe",
]
ClientMode = Literal["webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"]
DEFAULT_ROLE: Final = NonEmptyStr("operator")

# What `connect` may ask for besides, as `connect.challenge` tells.
CONNECT_CAPABILITIES: Final = ("resume",)

# What clients of either generation say that they can (`caps`); others mean nothing to anybody.
CLIENT_CAPS: Final = frozenset(
    {
        "agent-kind",
        "approvals",
        "exec-approvals",
        "inline-widgets",
        "model-catalog-snapshot",
        "model-selection-policy",
        "plugin-approvals",
        "run-tool-bindings",
        "session-scoped-events",
        "skill-curator-live-inventory",
        "task-suggestions",
        "terminal-offset-seq",
        "terminal-session-metadata",
        "terminal-upload-path-style",
        "tool-events",
        "ui-commands",
        "usage-refreshing",
    }
)


@attrs.frozen(eq=False)
class ClientInfo:
    """What a client says about itself; none of it is proven."""

    id: ClientId
    version: NonEmptyStr
    platform: NonEmptyStr
    mode: ClientMode
    display_name: NonEmptyStr | None = None
    device_family: NonEmptyStr | None = None
    model_identifier: NonEmptyStr | None = None
    instance_id: NonEmptyStr | None = None
    build_id: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 96})
    time_zone: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 64})


@attrs.frozen(eq=False)
class DeviceProof:
    """An Ed25519 signature over this connection's nonce. `signed_at` is in milliseconds since the epoch."""

    id: NonEmptyStr
    public_key: NonEmptyStr
    signature: NonEmptyStr
    signed_at: NonNegativeInt
    nonce: NonEmptyStr


@attrs.frozen(eq=False)
class AuthParams:
    """Secrets that the client presents; never shown."""

    token: str | None = attrs.field(default=None, repr=False)
    device_token: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    bootstrap_token: str | None = attrs.field(default=None, repr=False)
    approval_runtime_token: str | None = attrs.field(default=None, repr=False)
    agent_runtime_identity_token: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(eq=False, repr=False)
class WorkerRuns:
    """v4: what a worker host can run. Accepted; this gateway has no workers."""

    bundle_hash: NonEmptyStr = attrs.field(metadata={"min_length": 64, "max_length": 64})
    openclaw_version: NonEmptyStr = attrs.field(metadata={"max_length": 128})
    protocol_features: tuple[NonEmptyStr, ...] = attrs.field(metadata={"max_items": 64})
    bundle_prewarm: PositiveInt | None = None


@attrs.frozen(eq=False, repr=False)
class ModelCatalog:
    """v4: the session whose model list the client wants pushed."""

    session_key: NonEmptyStr


@attrs.frozen(eq=False, repr=False)
class ResumeParams:
    """Where a client stands: the last epoch that it was told, and the last `seq` that it heard in it. Without
    them it only asks where it is.
    """

    epoch: NonEmptyStr | None = attrs.field(default=None, metadata={"max_length": 128})
    seq: NonNegativeInt | None = None


@attrs.frozen(eq=False)
class ConnectParams:
    """`connect.params`. Absent scopes are no scopes."""

    min_protocol: PositiveInt
    max_protocol: PositiveInt
    client: ClientInfo
    caps: tuple[NonEmptyStr, ...] = ()
    commands: tuple[NonEmptyStr, ...] | None = None
    permissions: Mapping[str, bool] | None = None
    path_env: str | None = None
    role: NonEmptyStr = DEFAULT_ROLE
    scopes: tuple[NonEmptyStr, ...] = ()
    device: DeviceProof | None = None
    auth: AuthParams | None = None
    locale: str | None = None
    user_agent: str | None = None
    computer_use: object | None = attrs.field(default=None, metadata={"nullable": True})
    worker_runs: WorkerRuns | None = None
    model_catalog: ModelCatalog | None = None
    resume: ResumeParams | None = None
