"""Restarts for clients: what one would have to wait for, and asking for one (protocol.md 10)."""

import logging
import os
from typing import Final

from openclawd.auth.scopes import ADMIN, READ
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.params import params
from openclawd.methods.services import RestartRefused, RestartRequest, RestartTicket
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request, unavailable
from openclawd.protocol.versions import V4

RESTART = MethodTable()

# As in stock: it stands in the log and in the next generation's status.
_REASON_CHARS: Final = 200
_NOTE_CHARS: Final = 2_000
_REASON: Final = "gateway.restart.safe"
# What stock restarts by, in the two wire generations; here either does.
_SIGNAL_V3: Final = "SIGUSR1"
_SIGNAL_V4: Final = "SIGUSR2"

_log = logging.getLogger("openclawd.lifecycle")


@RESTART.add("gateway.restart.preflight", scope=READ, params=NoParams)
def gateway_restart_preflight(call: Call, _params: NoParams) -> object:
    """`{safe, counts, blockers[{kind, count, message}], summary}`: what a restart now would wait for.

    Of stock's counts only `embeddedRuns` can be more than 0: queued messages are kept and answered after the
    restart, and there is nothing else that it would cut off.
    """
    return _under_way(call)


@params
class GatewayRestartParams:
    """`gateway.restart.request`; `target`, and `safe` which goes with it, name a gateway by the owner of
    stock's lock file. `session_key` is told `note` when it is done.
    """

    reason: str | None = None
    skip_deferral: bool | None = None
    safe: bool | None = None
    target: object = None
    session_key: NonEmptyStr | None = None
    note: str | None = None


@RESTART.add("gateway.restart.request", scope=ADMIN, params=GatewayRestartParams)
async def gateway_restart_request(call: Call, params: GatewayRestartParams) -> object:
    """`{ok, status, preflight, restart}`; `status` is `coalesced` where one was asked for already, `deferred`
    where it waits for runs to end, else `scheduled`.

    Answered once the program to execute has proved that it can start; UNAVAILABLE with the reason if not.
    """
    if params.target is not None:
        # This gateway has no such lock.
        raise invalid_request("target gateway no longer owns the active lock")
    key = params.session_key
    reason = _cut(params.reason, _REASON_CHARS) or _REASON
    wanted = RestartRequest(
        reason,
        "restart",
        session_key=call.services.sessions.canonical(key) if key is not None else None,
        note=_cut(params.note, _NOTE_CHARS),
    )
    under_way = _under_way(call)
    fields = {"reason": reason, "conn": call.caller.connection_id}
    _log.info("restart asked for by a client", extra={"fields": fields})
    try:
        ticket = await call.services.restart.request(wanted)
    except RestartRefused as refused:
        raise unavailable(
            f"no restart, and the gateway serves on: {refused}", reason="restart-refused"
        ) from None
    waits = not under_way["safe"] and not params.skip_deferral
    return {
        "ok": True,
        "status": "coalesced" if ticket.coalesced else "deferred" if waits else "scheduled",
        "preflight": under_way,
        "restart": account_of(call, reason, ticket),
    }


def account_of(call: Call, reason: str, asked: RestartTicket | RestartRefused) -> dict[str, object]:
    """Stock's account of a restart that was asked for: `ok` is false, with `error`, where it was refused."""
    account: dict[str, object] = {
        "pid": os.getpid(),
        "signal": _SIGNAL_V4 if call.caller.wire_generation >= V4 else _SIGNAL_V3,
        "reason": reason,
        "mode": "emit",
        "cooldownMsApplied": 0,
    }
    if isinstance(asked, RestartRefused):
        return {"ok": False, "delayMs": 0, "coalesced": False, "error": str(asked), **account}
    return {"ok": True, "delayMs": asked.delay_ms, "coalesced": asked.coalesced, **account}


def _under_way(call: Call) -> dict[str, object]:
    runs = call.services.sessions.active_runs
    blockers = []
    if runs:
        message = f"{runs} run{'s' * (runs != 1)} under way"
        blockers.append({"kind": "embedded-run", "count": runs, "message": message})
    return {
        "safe": not runs,
        "counts": {
            "queueSize": 0,
            "pendingReplies": 0,
            "embeddedRuns": runs,
            "cronRuns": 0,
            "backgroundExecSessions": 0,
            "rootRequests": 0,
            "activeTasks": 0,
            "totalActive": runs,
        },
        "blockers": blockers,
        "summary": f"a restart waits for {blockers[0]['message']}" if blockers else "nothing is under way",
    }


def _cut(text: str | None, chars: int) -> str | None:
    """None where it says nothing."""
    return (text or "").strip()[:chars] or None
