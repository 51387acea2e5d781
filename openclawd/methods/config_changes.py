"""`config.apply` and `config.patch`: another configuration that counts at once, with a restart where needed.

Stock restarts for most of what is changed so. Here only what needs it does: then the answer has `restart`,
and the conversation that the caller named hears `note` when the next generation stands.
"""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal

import attrs

from openclawd.auth.scopes import ADMIN
from openclawd.config.file import CurrentFile
from openclawd.config.problems import ConfigError, PatchRefused
from openclawd.methods.config import redacted, written
from openclawd.methods.method import Call, MethodTable
from openclawd.methods.params import params
from openclawd.methods.restart import account_of
from openclawd.methods.services import Reloaded, RestartRefused, RestartRequest
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import invalid_request
from openclawd.protocol.versions import V4

CONFIG_CHANGES = MethodTable()

# Stock's, so that the answer is read before the connection goes.
DEFAULT_DELAY_MS: Final = 2_000
SENTINEL: Final = "restart-sentinel.json"
_HINT: Final = "Run: openclawd doctor"

_log = logging.getLogger("openclawd.config")


@params
class ConfigApplyParams:
    """`config.apply`: the whole text. `deliveryContext` and `threadId` are of channels; there are none."""

    raw: NonEmptyStr
    base_hash: NonEmptyStr | None = None
    session_key: str | None = None
    note: str | None = None
    restart_delay_ms: int | None = attrs.field(default=None, metadata={"minimum": 0})
    delivery_context: Mapping[str, Any] | None = None
    thread_id: str | int | None = None


@params
class ConfigPatchParams(ConfigApplyParams):
    """`config.patch`: a merge patch in JSON5; `replace_paths` names the lists that may lose items."""

    replace_paths: tuple[NonEmptyStr, ...] | None = None


@CONFIG_CHANGES.add("config.apply", scope=ADMIN, params=ConfigApplyParams)
async def config_apply(call: Call, params: ConfigApplyParams) -> object:
    """Replace the file and go by it."""
    call.services.control_plane.admit(call, "config.apply")
    key = _session_key(call, params)
    file = call.services.config_file
    current = await written(partial(file.replace, params.raw, params.base_hash))
    return await _settled(call, params, "config-apply", current, key=key, more={})


@CONFIG_CHANGES.add("config.patch", scope=ADMIN, params=ConfigPatchParams)
async def config_patch(call: Call, params: ConfigPatchParams) -> object:
    """Change what the patch names, in the file, and go by it; `noop` where it says nothing new.

    v3 replaces a list without an `id` in every item whatever it loses; v4 wants that named.
    """
    call.services.control_plane.admit(call, "config.patch")
    key = _session_key(call, params)
    named = params.replace_paths
    if named is None and call.caller.wire_generation >= V4:
        named = ()
    patch = partial(call.services.config_file.patch, params.raw, params.base_hash, named)
    try:
        current, changed = await written(patch)
    except PatchRefused as refused:
        raise invalid_request(str(refused)) from None
    if not changed:
        path = str(current.paths.config_file)
        return {
            "ok": True,
            "noop": True,
            "changedPaths": [],
            "path": path,
            "config": redacted(current.document),
        }
    return await _settled(call, params, "config-patch", current, key=key, more={"changedPaths": changed})


def _session_key(call: Call, params: ConfigApplyParams) -> str | None:
    """The conversation that is told. Raises RequestError, so before anything is written."""
    return call.services.sessions.canonical(params.session_key) if params.session_key else None


async def _settled(
    call: Call,
    params: ConfigApplyParams,
    kind: Literal["config-apply", "config-patch"],
    current: CurrentFile,
    *,
    key: str | None,
    more: Mapping[str, object],
) -> object:
    """Go by what was written, and say what follows."""
    fields = {"file": str(current.paths.config_file), "conn": call.caller.connection_id, "by": kind}
    _log.info("config written", extra={"fields": fields})
    try:
        reloaded = await call.services.reload()
    except ConfigError:
        # Somebody has changed it again, and not for the better; the log has the reason.
        reloaded = Reloaded((), ())
    answer: dict[str, object] = {
        "ok": True,
        "path": str(current.paths.config_file),
        "hash": current.hash,
        "config": redacted(current.document),
        **more,
        "restartRequired": bool(reloaded.restart_required),
        "restartRequiredFor": list(reloaded.restart_required),
    }
    restart: dict[str, object] | None = None
    if reloaded.restart_required:
        restart = await _restart(call, params, kind, key, reloaded.restart_required)
        answer["restart"] = restart
    elif call.caller.wire_generation < V4:
        answer["restart"] = None
    payload: dict[str, object] = {
        "kind": kind,
        "status": "ok",
        "ts": call.services.now_ms(),
        **({"sessionKey": key} if key is not None else {}),
        "message": params.note,
        "doctorHint": _HINT,
        "stats": {
            "mode": kind.replace("-", "."),
            "root": str(current.paths.config_file),
            "requiresRestart": bool(reloaded.restart_required),
        },
    }
    # It is written when the gateway leaves.
    persisted = restart is not None and restart["ok"] is True
    path = str(current.paths.state_dir / SENTINEL)
    return answer | {"sentinel": {"path": path, "persisted": persisted, "payload": payload}}


async def _restart(
    call: Call,
    params: ConfigApplyParams,
    kind: Literal["config-apply", "config-patch"],
    key: str | None,
    needed: tuple[str, ...],
) -> dict[str, object]:
    """Ask for the restart: stock's account of it. `ok` is false, with `error`, where it was refused."""
    reason = f"{kind.replace('-', '.')}: {', '.join(needed)}"
    delay_ms = DEFAULT_DELAY_MS if params.restart_delay_ms is None else params.restart_delay_ms
    wanted = RestartRequest(reason, kind, delay_ms=delay_ms, session_key=key, note=params.note)
    try:
        return account_of(call, reason, await call.services.restart.request(wanted))
    except RestartRefused as refused:
        return account_of(call, reason, refused)
