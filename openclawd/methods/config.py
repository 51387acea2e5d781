"""The configuration on the wire: look at the file, replace it, know what can be in it.

The answers tell of the file as it is now. What is written counts at once as far as it can; the rest counts
from the gateway's next start. Only who owns the configuration is told the hash of its text (config.file says
why).
"""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

import attrs
import trio

from openclawd import __version__
from openclawd.auth.scopes import ADMIN, READ, allows
from openclawd.config.file import BaseHashMissing, BaseHashStale, CurrentFile
from openclawd.config.problems import ConfigError, ConfigProblem
from openclawd.methods.control_plane import refuse_while_leaving
from openclawd.methods.method import Call, MethodTable, NoParams
from openclawd.methods.params import params
from openclawd.protocol.codec import NonEmptyStr
from openclawd.protocol.errors import RequestError, invalid_request, unavailable
from openclawd.protocol.versions import V4

T = TypeVar("T")

# What stock lets a path be made of.
_PATH: Final = re.compile(r"[A-Za-z0-9_./\[\]\-*]+")
_SHOWN_PROBLEMS: Final = 16

CONFIG = MethodTable()
_log = logging.getLogger("openclawd.config")


@params
class ConfigSetParams:
    """`config.set`: the whole text; `base_hash` is that of the `config.get` that it began with."""

    raw: NonEmptyStr
    base_hash: NonEmptyStr | None = None


@params
class ConfigSchemaLookupParams:
    """`config.schema.lookup`: `agents.list[0].model`, say."""

    path: NonEmptyStr = attrs.field(metadata={"max_length": 1024})


@CONFIG.add("config.get", scope=READ, params=NoParams)
async def config_get(call: Call, _params: NoParams) -> object:
    """The file without its secrets; `hash` is of its text, so that an editor can tell whether it changed."""
    file = call.services.config_file
    current = await _on_disk(file.read)
    owns = allows(call.caller.scopes, ADMIN)
    answer = config_answer(current, owns=owns)
    if call.caller.wire_generation < V4:
        return answer
    return answer | {
        "sourceConfig": answer["parsed"],
        "runtimeConfig": redacted(file.applied.document),
        "includedPaths": [],
        "configRevisionHash": answer["hash"],
        "appliedConfigHash": file.applied.hash if owns else file.applied_shown_hash,
    }


@CONFIG.add("config.set", scope=ADMIN, params=ConfigSetParams)
async def config_set(call: Call, params: ConfigSetParams) -> object:
    """Replace the file, and go by it. `restartRequired` when some of it counts from the next start only;
    which keys these are is in `restartRequiredFor`.
    """
    refuse_while_leaving(call, "config.set")
    current = await written(partial(call.services.config_file.replace, params.raw, params.base_hash))
    _log.info(
        "config written",
        extra={"fields": {"file": str(current.paths.config_file), "conn": call.caller.connection_id}},
    )
    answer = {
        "ok": True,
        "path": str(current.paths.config_file),
        "config": redacted(current.document),
        "hash": current.hash,
    }
    try:
        reloaded = await call.services.reload()
    except ConfigError:
        # Somebody has changed it again, and not for the better; the log has the reason.
        return answer | {"restartRequired": True}
    return answer | {
        "restartRequired": bool(reloaded.restart_required),
        "restartRequiredFor": list(reloaded.restart_required),
    }


@CONFIG.add("config.schema", scope=READ, params=NoParams)
def config_schema(call: Call, _params: NoParams) -> object:
    """What can be in the file, for forms."""
    # Imported here: a gateway whose configuration nobody edits needs none of it.
    from openclawd.config import schema

    generated = datetime.fromtimestamp(call.services.now_ms() / 1000, UTC)
    return {
        "schema": schema.config_schema(),
        "uiHints": schema.ui_hints(),
        "version": __version__,
        "generatedAt": generated.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


@CONFIG.add("config.schema.lookup", scope=READ, params=ConfigSchemaLookupParams)
def config_schema_lookup(_call: Call, params: ConfigSchemaLookupParams) -> object:
    """One key of it, and what is directly below."""
    from openclawd.config.schema_lookup import lookup

    if not _PATH.fullmatch(params.path):
        raise invalid_request("invalid config.schema.lookup params: at /path: must match pattern")
    found = lookup(params.path)
    if found is None:
        raise invalid_request("config schema path not found")
    return found


def config_answer(current: CurrentFile, *, owns: bool) -> dict[str, Any]:
    """`config.get` in stock's shape, all of it without secrets; the `hash` of the text for who `owns` it.

    `${VAR}` stays in every form: an editor that saves what it was given must not write secrets into the file.
    """
    from openclawd.config.redact import redact_text

    document = redacted(current.document)
    return {
        "path": str(current.paths.config_file),
        "exists": current.exists,
        "raw": redact_text(current.raw, current.document) if current.exists else None,
        "parsed": document,
        "resolved": document,
        "valid": not current.problems,
        "config": document,
        "hash": current.hash if owns else current.shown_hash,
        "issues": _issues(current.problems),
        "warnings": [{"path": "", "message": notice} for notice in current.notices],
        "legacyIssues": [],
    }


async def written(act: Callable[[], T]) -> T:
    """What writing the file by `act` gives. Raises RequestError in stock's words."""
    try:
        return await _on_disk(act)
    except BaseHashMissing:
        raise invalid_request("config base hash required; re-run config.get and retry") from None
    except BaseHashStale:
        raise invalid_request("config changed since last load; re-run config.get and retry") from None
    except ConfigError as error:
        raise invalid_config(error) from None


def redacted(document: Mapping[str, object]) -> dict[str, object]:
    """The document as it may be shown."""
    from openclawd.config.redact import redact

    return redact(document)


def invalid_config(error: ConfigError) -> RequestError:
    """The refusal of what cannot be the configuration."""
    shown = "; ".join(problem.text() for problem in error.problems[:_SHOWN_PROBLEMS])
    return invalid_request(f"invalid config: {shown}", issues=_issues(error.problems))


def _issues(problems: tuple[ConfigProblem, ...]) -> list[dict[str, str]]:
    return [{"path": problem.path, "message": problem.text()} for problem in problems]


async def _on_disk(act: Callable[[], T]) -> T:
    """Do what blocks, elsewhere. An error of the disk is nothing that the client did."""
    try:
        return await trio.to_thread.run_sync(act)
    except OSError as error:
        raise unavailable(f"the config file: {error.strerror or error}") from error
