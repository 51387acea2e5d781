"""One place of the schema and what is directly below it, for `config.schema.lookup`."""

import re
from typing import Any, Final

from openclawd.config.schema import ANY, Node, below, config_schema, object_part, ui_hints
from openclawd.config.schema_help import UNREAD_HELP

# `agents.list[0].id`, `agents.list[].id` and `agents.list.*.id` mean the same.
_INDEX: Final = re.compile(r"\[(\*|\d*)\]")
_BELOW: Final = frozenset({"properties", "items", "anyOf", "required"})
# What a running gateway cannot go by without a restart; all else counts at once.
NEEDS_RESTART: Final = frozenset(
    {
        "gateway.port",
        "gateway.bind",
        "gateway.customBindHost",
        "gateway.tls.enabled",
        "gateway.controlUi.enabled",
        "gateway.controlUi.basePath",
        "gateway.controlUi.root",
        "session",
    }
)


def lookup(path: str) -> dict[str, Any] | None:
    """`{path, schema, reloadKind, hint?, hintPath?, children}` in stock's shape; None when there is no such
    key.
    """
    steps = [step for step in _INDEX.sub(lambda found: f".{found[1] or ANY}", path).split(".") if step]
    if not steps:
        return None
    node: Node = config_schema()
    hint_path: list[str] = []
    unread = False
    for step in steps:
        children = below(node)
        key = step if step in children else ANY
        if key not in children:
            return None
        node = children[key]
        hint_path.append(key)
        unread = unread or node.get("description") == UNREAD_HELP
    required = object_part(node).get("required", ())
    return {
        "path": ".".join(steps),
        "schema": _shallow(node),
        "reloadKind": _reload_kind(hint_path, unread=unread),
        **_hint(hint_path),
        "children": [
            {
                "key": key,
                "path": ".".join([*steps, key]),
                **({"type": child["type"]} if "type" in child else {}),
                "required": key in required,
                "hasChildren": bool(below(child)),
                "reloadKind": _reload_kind(
                    [*hint_path, key], unread=unread or child.get("description") == UNREAD_HELP
                ),
                **_hint([*hint_path, key]),
            }
            for key, child in below(node).items()
        ],
    }


def _reload_kind(path: list[str], *, unread: bool) -> str:
    """What is not read at all changes nothing; a section needs a restart when something in it does."""
    if unread:
        return "none"
    here = ".".join(path)
    needed = any(f"{key}.".startswith(f"{here}.") or here.startswith(f"{key}.") for key in NEEDS_RESTART)
    return "restart" if needed else "hot"


def _hint(path: list[str]) -> dict[str, object]:
    name = ".".join(path)
    return {"hint": ui_hints()[name], "hintPath": name}


def _shallow(node: Node) -> Node:
    """The node without what is below it."""
    kept = {key: value for key, value in node.items() if key not in _BELOW}
    if isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = True
    types = [each["type"] for each in node.get("anyOf", ())]
    return {"type": types, **kept} if types else kept
