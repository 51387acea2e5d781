"""What answers cost: `usage.cost`, `usage.status`, `sessions.usage` and its two details."""

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from openclawd.auth.scopes import READ
from openclawd.methods.method import AnyParams, Call, MethodTable, NoParams
from openclawd.methods.params import params
from openclawd.protocol.codec import InvalidValue, NonEmptyStr, structure
from openclawd.protocol.errors import invalid_request
from openclawd.protocol.fields import wire_fields
from openclawd.sessions.costs import UsageQuery
from openclawd.sessions.days import Mode, Range, Span

USAGE: Final = MethodTable()


@attrs.frozen(eq=False, repr=False)
class UsageCostParams:
    """What `usage.cost` understands; the rest of its params it lets pass, as stock does."""

    start_date: str | None = None
    end_date: str | None = None
    days: int | None = attrs.field(default=None, metadata={"minimum": 1})
    mode: Mode | None = None
    utc_offset: str | None = None
    time_zone: NonEmptyStr | None = None
    range: Range | None = None


@params
class SessionsUsageParams:
    """`sessions.usage`. What a session's context weighs is not measured (`includeContextWeight`), and
    former conversations of a key always count with it (`groupBy`, `includeHistorical`).
    """

    key: NonEmptyStr | None = None
    agent_id: NonEmptyStr | None = None
    agent_scope: Literal["all"] | None = None
    start_date: str | None = None
    end_date: str | None = None
    mode: Mode | None = None
    range: Range | None = None
    group_by: Literal["instance", "family"] | None = None
    include_historical: bool = False
    utc_offset: str | None = None
    time_zone: NonEmptyStr | None = None
    limit: int | None = attrs.field(default=None, metadata={"minimum": 1})
    include_context_weight: bool = False


@params
class CurveParams:
    """`sessions.usage.timeseries`."""

    key: NonEmptyStr
    agent_id: NonEmptyStr | None = None


@params
class LogParams:
    """`sessions.usage.logs`."""

    key: NonEmptyStr
    agent_id: NonEmptyStr | None = None
    limit: int | None = attrs.field(default=None, metadata={"minimum": 1})


@USAGE.add("usage.status", scope=READ, params=NoParams)
def usage_status(call: Call, _params: NoParams) -> object:
    """No provider that is spoken to here tells what is left of a quota."""
    return {"updatedAt": call.services.now_ms(), "providers": []}


@USAGE.add("usage.cost", scope=READ, params=AnyParams)
async def usage_cost(call: Call, params: AnyParams) -> object:
    """Tokens and costs day by day."""
    given = params.given if isinstance(params.given, Mapping) else {}
    known = {field.key: given[field.key] for field in wire_fields(UsageCostParams) if field.key in given}
    try:
        asked = structure(known, UsageCostParams)
    except InvalidValue as error:
        raise invalid_request(f"invalid usage.cost params: {error.text()}") from error
    span = Span(**attrs.asdict(asked))
    return await call.services.sessions.costs.by_day(span, generation=call.caller.wire_generation)


@USAGE.add("sessions.usage", scope=READ, params=SessionsUsageParams)
async def sessions_usage(call: Call, params: SessionsUsageParams) -> object:
    """Tokens, costs and messages, session by session and added up."""
    span = Span(
        start_date=params.start_date,
        end_date=params.end_date,
        mode=params.mode,
        utc_offset=params.utc_offset,
        time_zone=params.time_zone,
        range=params.range,
    )
    query = UsageQuery(
        span,
        session_key=params.key,
        agent_id=None if params.agent_scope == "all" else params.agent_id,
        limit=params.limit,
    )
    return await call.services.sessions.costs.by_session(query, generation=call.caller.wire_generation)


@USAGE.add("sessions.usage.timeseries", scope=READ, params=CurveParams)
async def sessions_usage_timeseries(call: Call, params: CurveParams) -> object:
    """How the costs of a conversation grew."""
    return await call.services.sessions.costs.curve(params.key, params.agent_id)


@USAGE.add("sessions.usage.logs", scope=READ, params=LogParams)
async def sessions_usage_logs(call: Call, params: LogParams) -> object:
    """What was said last in a conversation, and what each answer cost."""
    return await call.services.sessions.costs.log(params.key, params.limit, params.agent_id)
