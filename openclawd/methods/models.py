"""Models: which can be chosen, and whether there are keys to ask them with."""

from typing import Literal

from openclawd.agents.catalog import Catalog
from openclawd.agents.entries import ModelEntry
from openclawd.agents.known import ProviderStatus
from openclawd.agents.thinking import thinking_default, thinking_levels
from openclawd.auth.scopes import READ
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request
from openclawd.protocol.versions import V4

MODELS = MethodTable()


@params
class ModelsListParams:
    """`models.list`. Every view shows the same: nothing is offered that was not configured or found.

    `provider` leaves out the others, `include_details` adds `local`; both came after v4 was published.
    """

    agent_id: NonEmptyStr | None = None
    view: Literal["default", "configured", "provider-config", "all"] | None = None
    refresh: bool = False
    prepared_only: bool = False
    include_provider_capabilities: bool = False
    provider: NonEmptyStr | None = None
    include_details: bool = False


@params
class ModelsAuthStatusParams:
    """`models.authStatus`. Keys belong to the gateway, whichever the agent; nothing is kept to refresh."""

    agent_id: str | None = None
    refresh: bool = False


@MODELS.add("models.list", scope=READ, params=ModelsListParams)
async def models_list(call: Call, params: ModelsListParams) -> object:
    """The models that can be chosen now; v4 is told more about each."""
    if params.prepared_only and params.refresh:
        raise invalid_request("models.list takes preparedOnly or refresh, not both")
    catalog = call.services.catalog
    if not params.prepared_only:
        await catalog.discover()
    wanted = None if params.provider is None else params.provider.lower()
    entries = [entry for entry in catalog.entries() if wanted in {None, entry.provider}]
    if call.caller.wire_generation < V4:
        return {"models": [entry.to_wire() for entry in entries]}
    default = catalog.default(params.agent_id)
    now_ms = call.services.now_ms()
    rows = [_row(catalog, entry, entry.ref == default, now_ms) for entry in entries]
    if params.include_details:
        for row, entry in zip(rows, entries, strict=True):
            row["local"] = catalog.is_local(entry.provider)
    return {"models": rows}


@MODELS.add("models.authStatus", scope=READ, params=ModelsAuthStatusParams)
def models_auth_status(call: Call, _params: ModelsAuthStatusParams) -> object:
    """Where each provider's key comes from; never the key."""
    return {
        "ts": call.services.now_ms(),
        "providers": [_status(provider) for provider in call.services.catalog.providers()],
    }


def _row(catalog: Catalog, entry: ModelEntry, is_default: bool, now_ms: int) -> dict[str, object]:
    row = entry.to_wire()
    if is_default:
        row["tags"] = ["default"]
    unavailable = catalog.unavailable(entry.provider, now_ms)
    row["available"] = unavailable is None
    if unavailable is not None:
        row["unavailableReason"] = unavailable.reason
        if unavailable.until_ms is not None:
            row["unavailableUntil"] = unavailable.until_ms
    row["thinkingLevels"] = [{"id": level, "label": level} for level in thinking_levels(entry)]
    row["thinkingDefault"] = thinking_default(entry)
    row["supportsTools"] = False
    return row


def _status(provider: ProviderStatus) -> dict[str, object]:
    """`static` is stock's word for a key that does not expire, or none where none is needed."""
    status: dict[str, object] = {
        "provider": provider.name,
        "displayName": provider.name,
        "status": "missing" if provider.lacks_key else "static",
        "profiles": [],
    }
    if provider.key_from == "config":
        status["apiKey"] = {"source": "config"}
    elif provider.key_from == "env":
        status["apiKey"] = {"source": "env", "envVar": provider.key_variable}
    return status
