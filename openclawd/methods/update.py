"""Updates for clients: what is newer, having it, and how the last one ended (protocol.md 5 and 10)."""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from openclawd.auth.scopes import ADMIN
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.methods.restart import account_of
from openclawd.methods.services import RestartRefused, RestartRequest, UpdateRefused
from openclawd.protocol.errors import invalid_request, unavailable

UPDATE = MethodTable()

# A slow line and a large program; whoever does not want to wait so long says it.
DEFAULT_TIMEOUT_MS: Final = 30 * 60 * 1000
# How stock would have got its version; ours is neither of its `git`, `npm`, `pnpm` and the like.
_MODE: Final = "openclawd"
_SENTINEL: Final = "restart-sentinel.json"
_HINT: Final = "openclawd update status"


@params
class UpdateStatusParams:
    """`update.status`; with `refresh_checkout` (stock's word) it is looked for newer versions first."""

    refresh_checkout: bool | None = None


@UPDATE.add("update.status", scope=ADMIN, params=UpdateStatusParams)
async def update_status(call: Call, params: UpdateStatusParams) -> object:
    """`{sentinel, updateAvailable, effectiveChannel, schedule{channel, autoEnabled}}`; the sentinel tells how
    the last update ended, in the form of the note that stock leaves.
    """
    updates = call.services.updates
    if params.refresh_checkout:
        await _check(call)
    told = updates.status()
    return {
        "sentinel": _last(told.get("last")),
        "updateAvailable": updates.available,
        "effectiveChannel": told["channel"],
        "schedule": {"channel": told["channel"], "autoEnabled": told["auto"] == "install"},
    }


@params
class OwnUpdateStatusParams:
    """`openclawd.update.status`; with `refresh` it is looked for newer versions first."""

    refresh: bool | None = None


@UPDATE.add("openclawd.update.status", scope=ADMIN, params=OwnUpdateStatusParams)
async def own_update_status(call: Call, params: OwnUpdateStatusParams) -> object:
    """Ours, as stock's answer has no place for it: `{version, channel, auto, updatesItself,
    updateAvailable}`, and what is known of `checkedAtMs`, `checkProblem`, `checkCure`, `notes`, `command`,
    `previous`, `progress`, `trial{from, to, beganMs, windowMs}`,
    `last{from, to, outcome, reason?, atMs, by}`.
    """
    if params.refresh:
        await _check(call)
    updates = call.services.updates
    return updates.status() | {"updateAvailable": updates.available}


async def _check(call: Call) -> None:
    try:
        await call.services.updates.check()
    except UpdateRefused as refused:
        words = f"it cannot be told whether there is a newer version: {refused.reason}"
        raise unavailable(words, reason="update-refused", cure=refused.cure) from None


@params
class UpdateRunParams:
    """`update.run`. `session_key` is told `note` and `continuation_message` when it is done; `timeout_ms`: so
    long is waited for the answer, and the update goes on. `restart_delay_ms` is stock's: here the restart
    follows as soon as the new version has proved that it could serve, and nobody is turned away by it.
    `target` names a commit of a checkout, `delivery_context` a channel; there are none.
    """

    session_key: str | None = None
    delivery_context: Mapping[str, Any] | None = None
    note: str | None = None
    continuation_message: str | None = None
    target: Mapping[str, Any] | None = None
    restart_delay_ms: int | None = attrs.field(default=None, metadata={"minimum": 0})
    timeout_ms: int | None = attrs.field(default=None, metadata={"minimum": 1})


@UPDATE.add("update.run", scope=ADMIN, params=UpdateRunParams)
async def update_run(call: Call, params: UpdateRunParams) -> object:
    """`{ok, result, restart, sentinel}`: the newest version is in its place and the gateway restarts into it;
    `result.status` is `skipped` where nothing is newer, and `error` with a reason where there is no update.

    Whether the version stays is decided after the restart: `update.status`, event `openclawd.update`.
    """
    call.services.control_plane.admit(call, "update.run")
    if params.target is not None:
        raise invalid_request("target names a commit of a checkout, and this gateway is none")
    key = call.services.sessions.canonical(params.session_key) if params.session_key else None
    note = "\n".join(filter(None, (params.note, params.continuation_message))) or None
    now_ms, before = call.services.now_ms, call.services.updates.status().get("version")
    began_ms = now_ms()
    timeout_ms = DEFAULT_TIMEOUT_MS if params.timeout_ms is None else params.timeout_ms
    result: dict[str, Any] = {"status": "skipped", "mode": _MODE, "before": {"version": before}}
    restart: dict[str, object] | None = None
    try:
        with trio.fail_after(timeout_ms / 1000):
            begun = await call.services.updates.run(call.caller.connection_id)
            if begun.to_version is None:
                result["reason"] = "up-to-date"
            else:
                result |= {"status": "ok", "after": {"version": begun.to_version}}
                restart = await _restart(call, f"update to {begun.to_version}", key, note)
    except trio.TooSlowError:
        slow = f"the update takes longer than {timeout_ms} ms, and goes on"
        raise unavailable(slow, reason="timeout") from None
    except (UpdateRefused, RestartRefused) as refused:
        cure = refused.cure if isinstance(refused, UpdateRefused) else None
        result |= {"status": "error", "reason": str(refused), **({"cure": cure} if cure else {})}
    result |= {"steps": [], "durationMs": max(0, now_ms() - began_ms)}
    payload = {
        "kind": "update",
        "status": result["status"],
        "ts": now_ms(),
        **({"sessionKey": key} if key is not None else {}),
        "message": note,
        "doctorHint": _HINT,
        "stats": {name: value for name, value in result.items() if name != "status"},
    }
    path = str(call.services.loaded.paths.state_dir / _SENTINEL)
    return {
        "ok": result["status"] != "error",
        "result": result,
        "restart": restart,
        # It is written when the gateway leaves.
        "sentinel": {"path": path, "persisted": restart is not None, "payload": payload},
    }


async def _restart(call: Call, reason: str, key: str | None, note: str | None) -> dict[str, object]:
    """Join the restart that the updater has asked for, so that who is to be told of it is. Raises
    RestartRefused.
    """
    wanted = RestartRequest(reason, "update", session_key=key, note=note)
    return account_of(call, reason, await call.services.restart.request(wanted))


def _last(last: object) -> dict[str, object] | None:
    """How the last update ended, as stock's page shows it; None before the first."""
    if not isinstance(last, dict):
        return None
    reason = {"reason": last["reason"]} if "reason" in last else {}
    return {
        "kind": "update",
        "status": "ok" if last["outcome"] == "confirmed" else "error",
        "ts": last["atMs"],
        "message": None,
        "doctorHint": _HINT,
        "stats": {
            "mode": _MODE,
            "before": {"version": last["from"]},
            "after": {"version": last["to"] if last["outcome"] == "confirmed" else last["from"]},
            **reason,
        },
    }
