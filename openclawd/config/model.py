"""The stock keys that this gateway reads, and its own (protocol.md 11.2).

One class an object of the file; a field `some_key` is the key `someKey`. A default is stock's. `UNREAD` lists
the keys that are known and not read; `OPEN` marks objects that plugins and later releases add keys to, where
an unknown key is an error only when it looks like a misspelt one of ours.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, NewType

import attrs

from openclawd.config import stock_keys
from openclawd.config.secret import Secret
from openclawd.config.stock_keys import Table

# 1 to 65535
Port = NewType("Port", int)
# 1 or more
Count = NewType("Count", int)
# milliseconds, 0 to 300 000
Span = NewType("Span", int)
# how many to keep, 0 to 366
Kept = NewType("Kept", int)
# hours, 1 to 8 760 (a year)
Hours = NewType("Hours", int)
# "22:00-07:00": from the first to the second, which may be of the next day
DayTimes = NewType("DayTimes", str)
# a number, 0 or more
Amount = NewType("Amount", float)
# at least one character
Text = NewType("Text", str)
# http:// or https:// with a host
HttpUrl = NewType("HttpUrl", str)
# scheme, host and port of an HttpUrl, nothing behind
Origin = NewType("Origin", str)
# an address or a network (CIDR)
Network = NewType("Network", str)
# an IPv4 or IPv6 address
Address = NewType("Address", str)
# the SHA-256 of a certificate, 64 hex digits in lower case
Fingerprint = NewType("Fingerprint", str)
# lower case letters, digits, - and _
AgentId = NewType("AgentId", str)

Bind = Literal["auto", "lan", "loopback", "custom", "tailnet"]
AuthMode = Literal["none", "token", "password", "trusted-proxy"]
LogLevel = Literal["silent", "fatal", "error", "warn", "info", "debug", "trace"]


@attrs.frozen
class RateLimit:
    """gateway.auth.rateLimit: how many wrong secrets in a row, and for how long (milliseconds)."""

    max_attempts: Count = Count(10)
    window_ms: Count = Count(60_000)
    lockout_ms: Count = Count(300_000)
    exempt_loopback: bool = True


@attrs.frozen
class TrustedProxy:
    """gateway.auth.trustedProxy; `user_header` is needed in mode trusted-proxy."""

    UNREAD: ClassVar[Table] = stock_keys.TRUSTED_PROXY

    user_header: Text | None = None
    required_headers: tuple[Text, ...] = ()
    allow_users: tuple[Text, ...] = ()
    allow_loopback: bool = False


@attrs.frozen(eq=False, repr=False)
class Auth:
    """gateway.auth; `mode` is derived when it is absent: password if one is configured, else token."""

    UNREAD: ClassVar[Table] = stock_keys.AUTH

    mode: AuthMode | None = None
    token: Secret | None = None
    password: Secret | None = None
    rate_limit: RateLimit = RateLimit()
    trusted_proxy: TrustedProxy = TrustedProxy()


@attrs.frozen(eq=False, repr=False)
class ControlUi:
    """gateway.controlUi"""

    UNREAD: ClassVar[Table] = stock_keys.CONTROL_UI

    enabled: bool = True
    base_path: str = ""
    root: Text | None = None
    allowed_origins: tuple[str, ...] = ()
    dangerously_allow_host_header_origin_fallback: bool = False
    allow_insecure_auth: bool = False
    dangerously_disable_device_auth: bool = False


@attrs.frozen(eq=False, repr=False)
class Tls:
    """gateway.tls; `ca_path` holds what is between our certificate and a root that clients know."""

    enabled: bool = False
    auto_generate: bool = True
    cert_path: Text | None = None
    key_path: Text | None = None
    ca_path: Text | None = None


@attrs.frozen(eq=False, repr=False)
class Remote:
    """gateway.remote: a gateway elsewhere, and the certificate by which our commands know it."""

    UNREAD: ClassVar[Table] = stock_keys.REMOTE

    url: Text | None = None
    tls_fingerprint: Fingerprint | None = None


@attrs.frozen(eq=False, repr=False)
class Tailscale:
    """gateway.tailscale"""

    UNREAD: ClassVar[Table] = stock_keys.TAILSCALE

    mode: Literal["off", "serve", "funnel"] = "off"


@attrs.frozen(eq=False, repr=False)
class Reload:
    """gateway.reload: what happens when the file is changed while the gateway runs."""

    UNREAD: ClassVar[Table] = stock_keys.RELOAD

    mode: Literal["off", "restart", "hot", "hybrid"] = "hybrid"
    debounce_ms: Span = Span(300)


@attrs.frozen(eq=False, repr=False)
class Gateway:
    """gateway; no `mode` means local."""

    UNREAD: ClassVar[Table] = stock_keys.GATEWAY

    mode: Literal["local", "remote"] = "local"
    port: Port = Port(18789)
    bind: Bind = "loopback"
    custom_bind_host: Address | None = None
    auth: Auth = Auth()
    trusted_proxies: tuple[Network, ...] = ()
    allow_real_ip_fallback: bool = False
    control_ui: ControlUi = ControlUi()
    tls: Tls = Tls()
    reload: Reload = Reload()
    remote: Remote = Remote()
    tailscale: Tailscale = Tailscale()


@attrs.frozen(eq=False, repr=False)
class ModelChoice:
    """A model by name (`provider/model`). The file may give the name alone."""

    UNREAD: ClassVar[Table] = stock_keys.MODEL_CHOICE
    OPEN: ClassVar[bool] = True

    primary: Text | None = None
    fallbacks: tuple[Text, ...] | None = None


@attrs.frozen(eq=False, repr=False)
class AgentDefaults:
    """agents.defaults"""

    UNREAD: ClassVar[Table] = stock_keys.AGENT_DEFAULTS
    OPEN: ClassVar[bool] = True

    model: ModelChoice = ModelChoice()
    workspace: Text | None = None
    timeout_seconds: Count = Count(600)


@attrs.frozen(eq=False, repr=False)
class Identity:
    """agents.list[].identity"""

    OPEN: ClassVar[bool] = True

    name: str | None = None
    theme: str | None = None
    emoji: str | None = None
    avatar: str | None = None


@attrs.frozen(eq=False, repr=False)
class Agent:
    """One of agents.list (with `id`) or of agents.entries (the key is the id)."""

    UNREAD: ClassVar[Table] = stock_keys.AGENT
    OPEN: ClassVar[bool] = True

    id: AgentId | None = None
    name: str | None = None
    default: bool = False
    workspace: Text | None = None
    model: ModelChoice = ModelChoice()
    identity: Identity = Identity()


@attrs.frozen(eq=False, repr=False)
class Agents:
    """agents; v3 lists them, v4 has a table of them."""

    OPEN: ClassVar[bool] = True

    defaults: AgentDefaults = AgentDefaults()
    list: tuple[Agent, ...] = ()
    entries: Mapping[AgentId, Agent] = attrs.field(factory=dict)

    @property
    def roster(self) -> tuple[Agent, ...]:
        """Every agent with its id, in the order of the file. Empty when none is configured."""
        entries = (attrs.evolve(agent, id=agent.id or name) for name, agent in self.entries.items())
        return (*self.list, *entries)


@attrs.frozen(eq=False, repr=False)
class PriceTier:
    """models.providers.*.models[].cost.tieredPricing[]: prices of prompts from `range[0]` tokens on."""

    input: Amount
    output: Amount
    range: tuple[Amount, ...]
    cache_read: Amount = Amount(0.0)
    cache_write: Amount = Amount(0.0)


@attrs.frozen(eq=False, repr=False)
class Cost:
    """models.providers.*.models[].cost: US dollars a million tokens; unknown without both of the first."""

    OPEN: ClassVar[bool] = True

    input: Amount | None = None
    output: Amount | None = None
    cache_read: Amount = Amount(0.0)
    cache_write: Amount = Amount(0.0)
    tiered_pricing: tuple[PriceTier, ...] = ()


@attrs.frozen(eq=False, repr=False)
class ModelEntry:
    """models.providers.*.models[]; a model without a name is called by its id."""

    UNREAD: ClassVar[Table] = stock_keys.MODEL
    OPEN: ClassVar[bool] = True

    id: Text
    name: str = attrs.field(default=attrs.Factory(lambda self: self.id, takes_self=True))
    reasoning: bool = False
    input: tuple[str, ...] = ("text",)
    context_window: Count | None = None
    max_tokens: Count | None = None
    cost: Cost | None = None


@attrs.frozen(eq=False, repr=False)
class Provider:
    """models.providers.*"""

    UNREAD: ClassVar[Table] = stock_keys.PROVIDER
    OPEN: ClassVar[bool] = True

    base_url: HttpUrl
    api_key: Secret | None = None
    api: Text | None = None
    headers: Mapping[str, Secret] = attrs.field(factory=dict)
    models: tuple[ModelEntry, ...] = ()


@attrs.frozen(eq=False, repr=False)
class Models:
    """models"""

    UNREAD: ClassVar[Table] = stock_keys.MODELS
    OPEN: ClassVar[bool] = True

    mode: Literal["merge", "replace"] = "merge"
    providers: Mapping[str, Provider] = attrs.field(factory=dict)


@attrs.frozen(eq=False, repr=False)
class Session:
    """session"""

    UNREAD: ClassVar[Table] = stock_keys.SESSION
    OPEN: ClassVar[bool] = True

    main_key: Text = Text("main")
    scope: Literal["per-sender", "global"] = "per-sender"


@attrs.frozen(eq=False, repr=False)
class Assistant:
    """ui.assistant"""

    OPEN: ClassVar[bool] = True

    name: str | None = None
    avatar: str | None = None


@attrs.frozen(eq=False, repr=False)
class Ui:
    """ui"""

    UNREAD: ClassVar[Table] = stock_keys.UI
    OPEN: ClassVar[bool] = True

    assistant: Assistant = Assistant()


@attrs.frozen(eq=False, repr=False)
class Logging:
    """logging"""

    UNREAD: ClassVar[Table] = stock_keys.LOGGING
    OPEN: ClassVar[bool] = True

    level: LogLevel = "info"


@attrs.frozen(eq=False, repr=False)
class Env:
    """env; stock lets variables stand in `vars` or beside it. They count where the environment has none."""

    variables: Mapping[str, Secret] = attrs.field(factory=dict)


@attrs.frozen(eq=False, repr=False)
class Update:
    """update; whoever is on `dev` gets what is on `beta`."""

    UNREAD: ClassVar[Table] = stock_keys.UPDATE
    OPEN: ClassVar[bool] = True

    channel: Literal["stable", "beta", "dev"] = "stable"


@attrs.frozen(eq=False, repr=False)
class Restart:
    """openclawd.restart"""

    drain_ms: Span = Span(30_000)


@attrs.frozen(eq=False, repr=False)
class Backup:
    """openclawd.backup: how many days of backups are kept (0: none is made), and how much room all of them
    may take together.
    """

    keep: Kept = Kept(7)
    max_bytes: Count = Count(2 * 1024 * 1024 * 1024)


@attrs.frozen(eq=False, repr=False)
class OwnUpdate:
    """openclawd.update: where versions come from, how many are kept, how long a new one is watched before it
    stays, and what is done by itself, and when. No `urls`: what this program was built with; `root`: a file,
    in the place of what it was built with.
    """

    urls: tuple[HttpUrl, ...] = ()
    root: Text | None = None
    keep: Kept = Kept(3)
    trial_ms: Span = Span(30_000)
    auto: Literal["off", "check", "install"] = "off"
    every_hours: Hours = Hours(24)
    quiet_hours: DayTimes | None = None


@attrs.frozen(eq=False, repr=False)
class Own:
    """openclawd: the only section that stock does not know."""

    public_origin: Origin | None = None
    restart: Restart = Restart()
    backup: Backup = Backup()
    update: OwnUpdate = OwnUpdate()


@attrs.frozen(eq=False, repr=False)
class Config:
    """The whole file."""

    UNREAD: ClassVar[Table] = stock_keys.ROOT

    gateway: Gateway = Gateway()
    agents: Agents = Agents()
    models: Models = Models()
    session: Session = Session()
    ui: Ui = Ui()
    logging: Logging = Logging()
    env: Env = Env()
    update: Update = Update()
    openclawd: Own = Own()
