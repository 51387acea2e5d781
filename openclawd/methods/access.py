"""Who gets in, for administrators: what wrong guesses have cost whom, and changes that count at once."""

import logging

from openclawd.auth.scopes import ADMIN
from openclawd.config.problems import ConfigError
from openclawd.config.rotation import NotRotatable
from openclawd.methods.config import invalid_config
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.params import params
from openclawd.methods.services import Reloaded
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request, unavailable

ACCESS = MethodTable()
_log = logging.getLogger("openclawd.access")


@params
class LimitsClearParams:
    """`gateway.limits.clear`: a source as `gateway.limits.list` has it; without one, all of them."""

    source: NonEmptyStr | None = None


@ACCESS.add("gateway.limits.list", scope=ADMIN, params=NoParams)
def limits_list(call: Call, _params: NoParams) -> object:
    """`{rules, limits}`: who has presented wrong secrets lately, the latest first.

    `triesLeft` of `tries` until the source is refused unexamined; `nextTryMs`: when one more is back, 0 when
    all are; `known`: how many wrong secrets of it are remembered, which cost nothing when they come again.
    """
    limiter = call.services.limiter
    limits = []
    for row in limiter.rows(call.services.now_ms()):
        standing = limiter.standing(row)
        limits.append(
            {
                "source": row.source,
                "kind": row.kind,
                "tries": standing.tries,
                "triesLeft": standing.tries_left,
                "nextTryMs": standing.next_back_ms,
                "known": len(row.digests),
                "seenAtMs": row.seen_at_ms,
            }
        )
    rules = limiter.rules
    return {
        "rules": {
            "tries": rules.tries,
            "refillMs": rules.refill_ms,
            "exemptLoopback": rules.exempt_loopback,
        },
        "limits": limits,
    }


@ACCESS.add("gateway.limits.clear", scope=ADMIN, params=LimitsClearParams)
def limits_clear(call: Call, params: LimitsClearParams) -> object:
    """`{cleared}`: how many rows of the list are gone."""
    cleared = call.services.limiter.clear(params.source)
    fields = {"source": params.source or "all", "cleared": cleared, "conn": call.caller.connection_id}
    _log.info("limits cleared", extra={"fields": fields})
    return {"cleared": cleared}


@ACCESS.add("gateway.reload", scope=ADMIN, params=NoParams)
async def gateway_reload(call: Call, _params: NoParams) -> object:
    """Go by the configuration file as it is now: `{ok, applied, restartRequired}`, lists of keys; `problems`:
    what cannot be gone by, in words; `overridden`: keys in whose place a flag or a variable counts.
    """
    try:
        return _answer(await call.services.reload())
    except ConfigError as error:
        raise invalid_config(error) from None


@ACCESS.add("gateway.token.rotate", scope=ADMIN, params=NoParams)
async def gateway_token_rotate(call: Call, _params: NoParams) -> object:
    """Have a new gateway token, in the file and in force; nobody is told it over a connection."""
    try:
        reloaded = await call.services.rotate_token()
    except NotRotatable as refused:
        raise invalid_request(str(refused), cure=refused.cure) from None
    except ConfigError as error:
        raise invalid_config(error) from None
    except OSError as error:
        raise unavailable(f"the config file: {error.strerror or error}") from error
    _log.info("token rotated", extra={"fields": {"conn": call.caller.connection_id}})
    return _answer(reloaded)


def _answer(reloaded: Reloaded) -> object:
    return {
        "ok": True,
        "applied": list(reloaded.applied),
        "restartRequired": list(reloaded.restart_required),
        "restarts": reloaded.restarts,
        "problems": list(reloaded.problems),
        "overridden": dict(reloaded.overridden),
    }
