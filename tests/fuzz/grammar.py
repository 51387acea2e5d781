"""Strategies for what is nearly right: shapes taken from the classes that read them, with a few slips."""

import collections.abc
import json
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from hypothesis import strategies as st

from openclawd.config.structure import camel_case
from openclawd.methods.table import METHODS
from openclawd.protocol.fields import implied, wire_fields

Json = Any

WORDS = (
    "",
    "main",
    "agent:main:main",
    "operator",
    "operator.read",
    "node",
    "cli",
    "off",
    "high",
    "x" * 200,
    "\0",
    "é\u2028",
)
NUMBERS = (0, 1, -1, 3, 4, 18789, 2**31, 2**53, 2**63, 2**64, 1.0, 0.5, -0.0, 1e300)

texts = st.sampled_from(WORDS) | st.text(max_size=12)
junk: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def fitting(kind: Any, limits: Mapping[str, int] | None = None) -> st.SearchStrategy[Json]:
    """JSON values that the codec takes for `kind`, a type as wire classes have them."""
    plain, own = implied(kind)
    bounds = {**own, **(limits or {})}
    origin, members = get_origin(plain), get_args(plain)
    if attrs.has(plain):
        return _object(plain)
    if origin is Literal:
        return st.sampled_from(members)
    if origin is tuple:
        return st.lists(
            fitting(members[0]), min_size=bounds.get("min_items", 0), max_size=bounds.get("max_items", 3)
        )
    if origin is collections.abc.Mapping:
        return st.dictionaries(st.text(max_size=5), fitting(members[1]), max_size=3)
    if origin in (Union, types.UnionType):
        return st.one_of([fitting(member) for member in members])
    if plain is bool:
        return st.booleans()
    if plain in (int, float):
        low, high = bounds.get("minimum", -(2**53)), bounds.get("maximum", 2**53)
        return st.integers(low, high)
    if plain is str:
        return st.text(min_size=bounds.get("min_length", 0), max_size=min(bounds.get("max_length", 20), 100))
    return junk


def _object(cls: type) -> st.SearchStrategy[Json]:
    fields = wire_fields(cls)
    members = {
        field.key: fitting(field.type, field.limits) | st.none()
        if field.nullable
        else fitting(field.type, field.limits)
        for field in fields
    }
    required = {field.key: members[field.key] for field in fields if field.required}
    optional = {field.key: members[field.key] for field in fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def nearly(draw: st.DrawFn, whole: st.SearchStrategy[Json], *, slips: int = 3) -> Json:
    """A value of `whole` with up to `slips` places in it replaced, left out or added to."""
    value = draw(whole)
    for _ in range(draw(st.integers(0, slips))):
        value = _slip(draw, value)
    return value


def _slip(draw: st.DrawFn, value: Json) -> Json:
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: _slip(draw, value[key])}
    if isinstance(value, list) and value and draw(st.booleans()):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], _slip(draw, value[index]), *value[index + 1 :]]
    if isinstance(value, dict) and value and draw(st.booleans()):
        without = draw(st.sampled_from(sorted(value)))
        return {key: member for key, member in value.items() if key != without}
    if isinstance(value, dict) and draw(st.booleans()):
        return {**value, draw(texts): draw(junk)}
    return draw(junk)


@st.composite
def requests(draw: st.DrawFn) -> Json:
    """Request frames for every method, with slips in the frame and in the params."""
    method = draw(st.sampled_from(sorted(METHODS)))
    frame = {
        "type": "req",
        "id": draw(texts),
        "method": method,
        "params": draw(nearly(fitting(METHODS[method].params))),
    }
    return draw(nearly(st.just(frame), slips=1))


# --- configs

_EITHER: st.SearchStrategy[bool] = st.booleans()

_CONFIG_VALUES = (
    *(
        "",
        "loopback",
        "lan",
        "custom",
        "auto",
        "token",
        "password",
        "none",
        "local",
        "remote",
        "/x",
        "x/",
        "${A}",
        "$${A}",
        "${a",
    ),
    *(
        "http://h",
        "https://h:1/v1",
        "ftp://h",
        "http://[::1",
        "10.0.0.0/8",
        "::1",
        "a/b",
        "a" * 80,
        "*",
        "~",
        "\0",
        "per-sender",
    ),
)


def configs(kind: Any) -> st.SearchStrategy[Json]:
    """Documents with the keys of a config class, and values that some of them take."""
    origin, members = get_origin(kind), get_args(kind)
    if attrs.has(kind) and attrs.fields(kind):
        fields = {camel_case(field.name): field.type for field in attrs.fields(kind)}
        return st.fixed_dictionaries({}, optional={key: configs(member) for key, member in fields.items()})
    if origin is Literal:
        return st.sampled_from(members)
    if origin is tuple:
        return st.lists(configs(members[0]), max_size=2)
    if origin is collections.abc.Mapping:
        return st.dictionaries(texts, configs(members[1]), max_size=2)
    if origin in (Union, types.UnionType):
        return st.one_of([configs(member) for member in members if member is not type(None)])
    return st.sampled_from(_CONFIG_VALUES) | st.sampled_from(NUMBERS) | st.booleans() | junk


@st.composite
def json5(draw: st.DrawFn, document: st.SearchStrategy[Json]) -> str:
    """The text of a document, in all the ways that JSON5 has."""
    return _space(draw) + _written(draw, draw(document)) + _space(draw)


def _space(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(("", "", " ", "\n", "\r\n", "\t", "// x\n", "/* * */", "\ufeff", "\u2028")))


def _written(draw: st.DrawFn, value: Json) -> str:
    if isinstance(value, dict):
        return _listed(draw, "{}", [_member(draw, key, each) for key, each in value.items()])
    if isinstance(value, list):
        return _listed(draw, "[]", [_written(draw, each) for each in value])
    if isinstance(value, str):
        return _quoted(draw, value)
    if type(value) is int and value >= 0 and draw(_EITHER):
        return draw(st.sampled_from((hex(value), f"+{value}", f"{value}.", f"{value}e0")))
    return json.dumps(value)


def _listed(draw: st.DrawFn, brackets: str, members: list[str]) -> str:
    comma = draw(_EITHER)
    end = "," if comma and members else ""
    inner = ",".join(f"{_space(draw)}{member}{_space(draw)}" for member in members)
    return f"{brackets[0]}{inner}{end}{_space(draw)}{brackets[1]}"


def _member(draw: st.DrawFn, key: str, value: Json) -> str:
    name = key if key.isidentifier() and key.isascii() and draw(_EITHER) else _quoted(draw, key)
    return f"{name}{_space(draw)}:{_space(draw)}{_written(draw, value)}"


def _quoted(draw: st.DrawFn, text: str) -> str:
    if draw(_EITHER):
        return json.dumps(text, ensure_ascii=draw(_EITHER))
    escaped = json.dumps(text)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return f"'{escaped}'"
