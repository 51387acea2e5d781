"""Jobs: there is no scheduler yet, and every answer says so."""

from typing import Final, Literal

import attrs

from openclawd.auth.scopes import READ
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr, NonNegativeInt
from openclawd.protocol.versions import V4

# Stock's, when no job says how many there are.
_LIMIT: Final = 50
_EMPTY_REVISION: Final = "0"

CRON = MethodTable()


@params
class CronListParams:
    """`cron.list`: which jobs, in which order. The last seven came with v4."""

    include_disabled: bool | None = None
    limit: int = attrs.field(default=_LIMIT, metadata={"minimum": 1, "maximum": 200})
    offset: NonNegativeInt | None = None
    query: str | None = None
    enabled: Literal["all", "enabled", "disabled"] | None = None
    sort_by: Literal["nextRunAtMs", "updatedAtMs", "name"] | None = None
    sort_dir: Literal["asc", "desc"] | None = None
    schedule_kind: Literal["all", "at", "every", "cron", "on-exit", "stream"] | None = None
    last_run_status: Literal["all", "ok", "error", "skipped", "unknown"] | None = None
    trigger: Literal["all", "conditional", "unconditional"] | None = None
    agent_id: NonEmptyStr | None = None
    compact: bool | None = None
    include_delivery_previews: bool | None = None


@CRON.add("cron.list", scope=READ, params=CronListParams)
def cron_list(call: Call, params: CronListParams) -> object:
    """Whatever was asked for, there is none; the offset is stock's, which ends where the jobs do.

    v4 clients take a page only with the revision of the inventory it is of; an empty one has but one.
    """
    revision = {"snapshotRevision": _EMPTY_REVISION} if call.caller.wire_generation >= V4 else {}
    return revision | {
        "jobs": [],
        "total": 0,
        "offset": 0,
        "limit": params.limit,
        "hasMore": False,
        "nextOffset": None,
    }


@CRON.add("cron.status", scope=READ, params=NoParams)
def cron_status(call: Call, _params: NoParams) -> object:
    """Not enabled, no jobs."""
    return {
        "enabled": False,
        "storePath": str(call.services.loaded.paths.database),
        "jobs": 0,
        "nextWakeAtMs": None,
    }
