"""The configuration as JSON Schema (draft-07) and hints for forms, for `config.schema`.

Both come from the classes that read the file, so they cannot say anything else than these do. Guaranteed:
whatever a start accepts is valid, and every key that the schema names can be in a file. Not guaranteed: that
what is valid is accepted, as `${VAR}`, addresses and misspelt keys are beyond JSON Schema.
"""

import collections.abc
import functools
import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs

from openclawd.config import model
from openclawd.config.schema_help import HELP, UNREAD_HELP
from openclawd.config.secret import Secret
from openclawd.config.secret_names import hides
from openclawd.config.stock_keys import Shape
from openclawd.config.structure import camel_case

Node = dict[str, Any]

# What stands for any key of a table and any item of a list in the path of a hint, as in stock.
ANY: Final = "*"

_SCALARS: Final[Mapping[Any, Node]] = {
    bool: {"type": "boolean"},
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    model.Port: {"type": "integer", "minimum": 1, "maximum": 65535},
    model.Count: {"type": "integer", "minimum": 1},
    model.Span: {"type": "integer", "minimum": 0, "maximum": 300_000},
    model.Kept: {"type": "integer", "minimum": 0, "maximum": 366},
    model.Hours: {"type": "integer", "minimum": 1, "maximum": 8_760},
}
_SHAPES: Final[Mapping[type, Node]] = {**_SCALARS, list: {"type": "array"}}
_SECRET_REFERENCE: Final[Node] = {
    "type": "object",
    # What else stands there is the business of the source.
    "properties": {"source": {"type": "string"}, "provider": {}, "id": {}},
    "required": ["source"],
}
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ACRONYMS: Final = frozenset({"api", "url", "id", "ip", "tls", "ui", "http", "ssh", "cli", "acp", "mcp"})


@functools.cache
def config_schema() -> Node:
    """The schema. It is shared: do not change it."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_object(model.Config)}


@functools.cache
def ui_hints() -> dict[str, Node]:
    """What a form shows beside each key, by its path (`models.providers.*.apiKey`). Shared, too."""
    hints: dict[str, Node] = {}
    _collect(config_schema(), (), hints)
    for order, section in enumerate(config_schema()["properties"]):
        hints[section] |= {"group": hints[section]["label"], "order": order}
    return hints


# --- the schema


def _node(kind: Any) -> Node:
    origin = get_origin(kind)
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if kind is Secret:
        # A program may set it, and is never shown it (draft-07, 10.3).
        return {"anyOf": [{"type": "string"}, dict(_SECRET_REFERENCE)], "writeOnly": True}
    if kind is model.ModelChoice:
        return {"anyOf": [{"type": "string"}, _object(kind)]}
    if kind is model.Env:
        return _environment()
    if attrs.has(kind):
        return _object(kind)
    if origin is Literal:
        return {"type": "string", "enum": list(get_args(kind))}
    if origin is tuple:
        return {"type": "array", "items": _node(get_args(kind)[0])}
    if origin is collections.abc.Mapping:
        return {"type": "object", "additionalProperties": _node(get_args(kind)[1])}
    if origin in (Union, UnionType):
        (inner,) = (part for part in get_args(kind) if part is not type(None))
        return _node(inner)
    # A named string or number.
    return _node(kind.__supertype__)


def _object(kind: Any) -> Node:
    texts = HELP.get(kind, {})
    properties: dict[str, Node] = {}
    for field in attrs.fields(kind):
        node = _node(field.type)
        if field.name in texts:
            node["description"] = texts[field.name]
        if isinstance(field.default, bool | int | float | str):
            node["default"] = field.default
        elif isinstance(field.default, tuple) and field.default:
            node["default"] = list(field.default)
        properties[camel_case(field.name)] = node
    for key, shape in getattr(kind, "UNREAD", {}).items():
        properties[key] = {**_unread(shape), "description": UNREAD_HELP}
    required = [camel_case(field.name) for field in attrs.fields(kind) if field.default is attrs.NOTHING]
    node = {"type": "object", "properties": properties, "additionalProperties": getattr(kind, "OPEN", False)}
    return {**node, "required": required} if required else node


def _environment() -> Node:
    """Variables stand in `env`, in `env.vars`, or in both."""
    shell = _unread({"enabled": bool, "timeoutMs": int})
    return {
        "type": "object",
        "properties": {
            "vars": {"type": "object", "additionalProperties": _node(Secret)},
            "shellEnv": {**shell, "description": UNREAD_HELP},
        },
        "additionalProperties": _node(Secret),
    }


def _unread(shape: Shape) -> Node:
    """A key that is known and not read: as much as is checked of it."""
    if shape is None:
        return {}
    if isinstance(shape, type):
        return dict(_SHAPES[shape])
    if isinstance(shape, tuple):
        return {"type": "string", "enum": list(shape)}
    properties = {key: _unread(inner) for key, inner in shape.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


# --- what is below a node


def object_part(node: Node) -> Node:
    """The node, or of one that may be a word instead of an object, the object; a secret is always a word."""
    if "writeOnly" in node:
        return {}
    alternatives = node.get("anyOf", ())
    return next((each for each in alternatives if each["type"] == "object"), node)


def below(node: Node) -> dict[str, Node]:
    """The children of a node by their keys; `*` is any key of a table and any item of a list."""
    whole = object_part(node)
    children: dict[str, Node] = dict(whole.get("properties", {}))
    for rest in (whole.get("additionalProperties"), whole.get("items")):
        if isinstance(rest, dict):
            children[ANY] = rest
    return children


# --- hints


def _collect(node: Node, path: tuple[str, ...], hints: dict[str, Node], *, unread: bool = False) -> None:
    for key, child in below(node).items():
        here = (*path, key)
        not_read = unread or child.get("description") == UNREAD_HELP
        hint: Node = {"label": _label(key if key != ANY or not path else path[-1])}
        if "description" in child:
            hint["help"] = child["description"]
        if _is_sensitive(child, here):
            hint["sensitive"] = True
        if not_read:
            hint["advanced"] = True
        hints[".".join(here)] = hint
        _collect(child, here, hints, unread=not_read)


def _is_sensitive(node: Node, path: tuple[str, ...]) -> bool:
    """Whether a form should cover it: our secrets, and by their names stock's."""
    is_text = len(path) > 1 and node.get("type", "string") == "string" and not below(node)
    return "writeOnly" in node or (is_text and hides(0, path))


def _label(key: str) -> str:
    """`customBindHost` is "Custom bind host"."""
    words = [word.upper() if word.lower() in _ACRONYMS else word.lower() for word in _WORDS.findall(key)]
    text = " ".join(words) or key
    return text[:1].upper() + text[1:]
