"""From a JSON document to the typed Config: strictly, and with everything that is wrong at once.

cattrs chooses the hook for a type; the hooks are ours. Its own would coerce, stop at what is unknown and know
neither stock's unread keys nor the path of a value; and generating code for two dozen classes would cost
every start 20 ms, which these hooks, walking `attrs.fields`, do not.
"""

import collections.abc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs
import cattrs

from openclawd.config import model, values
from openclawd.config.secret import Secret
from openclawd.config.stock_keys import BOOKKEEPING, Shape
from openclawd.config.substitution import MissingVariable, substituted

Path = tuple[str | int, ...]

# Single characters put in, left out or replaced: "prot" is meant to be "port". Later releases of stock add
# keys that resemble ours no closer than that ("pdfModel" and "model").
_MISSPELT_EDITS: Final = 2
# Stock fetches a secret from these itself.
_FETCHED_SOURCES: Final = frozenset({"file", "exec"})
_REFERENCE: Final = 'only {source: "env", id: "NAME"} or a string is supported here'
_INCLUDE: Final = "$include is not supported; put what it includes into this file"
_UNREAD_KINDS: Final[Mapping[type, tuple[type | tuple[type, ...], str]]] = {
    bool: (bool, "true or false"),
    int: (int, "an integer"),
    float: ((int, float), "a number"),
    str: (str, "a string"),
    list: (list, "a list"),
}
_SCALARS: Final[tuple[tuple[Any, Callable[[object], object]], ...]] = (
    (bool, values.boolean),
    (str, values.string),
    (model.Port, values.port),
    (model.Count, values.count),
    (model.Span, values.span),
    (model.Kept, values.kept),
    (model.Hours, values.hours),
    (model.DayTimes, values.day_times),
    (model.Amount, values.amount),
    (model.Text, values.text),
    (model.HttpUrl, values.http_url),
    (model.Origin, values.origin),
    (model.Network, values.network),
    (model.Address, values.address),
    (model.Fingerprint, values.fingerprint),
    (model.AgentId, values.agent_id),
)
# Where these may be left out, an empty string says as much, as in stock.
_TEXTS: Final = frozenset(
    {
        str,
        model.Text,
        model.HttpUrl,
        model.Origin,
        model.Address,
        model.Fingerprint,
        model.AgentId,
        model.DayTimes,
        model.ModelChoice,
        Secret,
    }
)
# In the place of a value that counts as left out.
_ABSENT: Final = object()


@attrs.frozen(eq=False, repr=False)
class Finding:
    """One thing that is wrong at `path`: `value` is not `expected`, or the sentence `said` says it all."""

    path: Path
    value: object = None
    expected: str = ""
    said: str | None = None
    hint: str | None = None


@attrs.define(eq=False, repr=False)
class Outcome:
    """What was found on the way. With findings, the Config is not to be used."""

    findings: list[Finding] = attrs.field(factory=list)
    unread: list[Path] = attrs.field(factory=list)
    unresolved: list[Path] = attrs.field(factory=list)
    """References to secrets that this gateway does not fetch."""


def structure(document: Mapping[str, object], environ: Mapping[str, str]) -> tuple[model.Config, Outcome]:
    """The Config of a document, with `${VAR}` taken from `environ`."""
    reader = _Reader(environ)
    config: model.Config = reader.read(document, model.Config)
    return config, reader.outcome


class _Reader:
    """Reads one document. What does not fit is noted, and None stands in its place."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.outcome = Outcome()
        self._environ = environ
        self._path: Path = ()
        self._converter = cattrs.BaseConverter()
        shapes: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...] = (
            (attrs.has, self._object),
            (lambda kind: get_origin(kind) is Literal, self._word),
            (lambda kind: get_origin(kind) is tuple, self._list),
            (lambda kind: get_origin(kind) is collections.abc.Mapping, self._table),
            (lambda kind: get_origin(kind) in (Union, UnionType), self._optional),
            # What comes later is asked first, and this has attributes, too.
            (lambda kind: kind is model.ModelChoice, self._model_choice),
        )
        for check, hook in shapes:
            self._converter.register_structure_hook_func(check, hook)
        for kind, scalar in _SCALARS:
            self._converter.register_structure_hook(kind, self._scalar(scalar))
        self._converter.register_structure_hook(model.Env, self._env)
        self._converter.register_structure_hook(Secret, self._secret)

    def read(self, value: object, kind: Any) -> Any:
        return self._converter.structure(value, kind)

    # --- shapes

    def _object(self, value: object, kind: Any) -> Any:
        if not isinstance(value, dict):
            return self._unfit(value, "an object")
        known = {camel_case(field.name): field for field in attrs.fields(kind)}
        unread = getattr(kind, "UNREAD", {})
        arguments: dict[str, object] = {}
        for key, item in value.items():
            with self._at(key):
                if key in known:
                    field = known[key]
                    made = _ABSENT if _says_nothing(item, field) else self.read(item, field.type)
                    if made is not _ABSENT:
                        arguments[field.name] = made
                elif key in unread:
                    self._keep(item, unread[key])
                else:
                    self._unknown(key, known, unread, is_open=getattr(kind, "OPEN", False))
        for key, field in known.items():
            if field.default is attrs.NOTHING and field.name not in arguments:
                arguments[field.name] = None
                self._say(f"needs {key}")
        return kind(**arguments)

    def _word(self, value: object, kind: Any) -> Any:
        words = get_args(kind)
        return value if isinstance(value, str) and value in words else self._unfit(value, _one_of(words))

    def _list(self, value: object, kind: Any) -> Any:
        if not isinstance(value, list):
            return self._unfit(value, "a list")
        item_kind = get_args(kind)[0]
        items = []
        for index, item in enumerate(value):
            with self._at(index):
                items.append(self.read(item, item_kind))
        return tuple(items)

    def _table(self, value: object, kind: Any) -> Any:
        if not isinstance(value, dict):
            return self._unfit(value, "an object")
        key_kind, item_kind = get_args(kind)
        table = {}
        for key, item in value.items():
            with self._at(key):
                made = self.read(item, item_kind)
                if made is not _ABSENT:
                    table[self.read(key, key_kind)] = made
        return table

    def _optional(self, value: object, kind: Any) -> Any:
        """Leaving a key out is how to say nothing; null is a wrong value, as in stock."""
        (inner,) = (part for part in get_args(kind) if part is not type(None))
        return self.read(value, inner)

    # --- values

    def _scalar(self, check: Callable[[object], object]) -> Callable[[object, Any], Any]:
        def hook(value: object, _: Any) -> Any:
            try:
                return check(self._filled(value))
            except values.Unfit as unfit:
                return self._unfit(value, str(unfit))

        return hook

    def _filled(self, value: object) -> object:
        """A string with its `${VAR}` replaced; a missing variable is noted and the string left as it is."""
        if not isinstance(value, str):
            return value
        try:
            return substituted(value, self._environ)
        except MissingVariable as missing:
            self._missing(missing.name)
            return value

    def _secret(self, value: object, _: Any) -> Any:
        """A string, or stock's reference to a variable: `{source: "env", provider, id}`.

        A reference to a file or a program counts as left out in `models`, where a provider then says that it
        has no key; elsewhere it is refused, as a gateway without its secret may be open to everybody.
        """
        if isinstance(value, dict) and isinstance(value.get("source"), str):
            name = value.get("id")
            if value["source"] in _FETCHED_SOURCES and self._path[0] == "models":
                self.outcome.unresolved.append(self._path)
                return _ABSENT
            if value["source"] != "env" or not isinstance(name, str):
                return self._say(_REFERENCE)
            if not self._environ.get(name):
                return self._missing(name)
            return Secret(self._environ[name])
        filled = self._filled(value)
        return Secret(filled) if isinstance(filled, str) else self._unfit(value, "a string")

    def _model_choice(self, value: object, kind: Any) -> Any:
        if isinstance(value, str):
            return model.ModelChoice(primary=self.read(value, model.Text))
        if not isinstance(value, dict):
            return self._unfit(value, 'a model like "provider/model", or {primary, fallbacks}')
        return self._object(value, kind)

    def _env(self, value: object, _: Any) -> Any:
        if not isinstance(value, dict):
            return self._unfit(value, "an object")
        variables: dict[str, Secret] = {}
        for key, item in value.items():
            with self._at(key):
                if key == "shellEnv":
                    self._keep(item, {"enabled": bool, "timeoutMs": int})
                elif key == "vars":
                    variables |= self.read(item, Mapping[str, Secret]) or {}
                else:
                    variables[key] = self.read(item, Secret)
        return model.Env(variables)

    # --- keys that are not read

    def _keep(self, value: object, shape: Shape) -> None:
        """Note a known key that is not read, having looked at its shape."""
        self.outcome.unread.append(self._path)
        self._check(value, shape)

    def _check(self, value: object, shape: Shape) -> None:
        if shape is None:
            return
        if isinstance(shape, tuple):
            if value not in shape:
                self._unfit(value, _one_of(shape))
        elif isinstance(shape, type):
            kinds, expected = _UNREAD_KINDS[shape]
            if not isinstance(value, kinds) or (isinstance(value, bool) and shape is not bool):
                self._unfit(value, expected)
        elif not isinstance(value, dict):
            self._unfit(value, "an object")
        else:
            for key, item in value.items():
                with self._at(key):
                    if key in shape:
                        self._check(item, shape[key])
                    else:
                        self._unknown(key, shape, {}, is_open=False)

    def _unknown(self, key: str, known: Iterable[str], unread: Iterable[str], *, is_open: bool) -> None:
        if key == "$include":
            self._say(_INCLUDE)
            return
        meant = _closest(key, known if is_open else [*known, *unread])
        if is_open and meant is None:
            self.outcome.unread.append(self._path)
            return
        hint = f"did you mean {format_path((*self._path[:-1], meant))}?" if meant else None
        self._say("no such key", hint)

    # --- notes

    @contextmanager
    def _at(self, step: str | int) -> Iterator[None]:
        above = self._path
        self._path = (*above, step)
        yield
        self._path = above

    def _unfit(self, value: object, expected: str) -> None:
        self.outcome.findings.append(Finding(self._path, value, expected))

    def _say(self, sentence: str, hint: str | None = None) -> None:
        self.outcome.findings.append(Finding(self._path, said=sentence, hint=hint))

    def _missing(self, name: str) -> None:
        self._say(f"the environment variable {name} is not set")


def notices(outcome: Outcome) -> tuple[str, ...]:
    """What is kept and not used, a sentence a kind; what stands in many items of a list is named once."""
    said = (
        ("kept for stock and not used here", [path for path in outcome.unread if path[0] not in BOOKKEEPING]),
        ('secrets from a file or a program are not read here ({source: "env"} is)', outcome.unresolved),
    )
    return tuple(f"{what}: {', '.join(_names(paths))}" for what, paths in said if paths)


def _names(paths: Iterable[Path]) -> Iterable[str]:
    return dict.fromkeys(re.sub(r"\[\d+\]", "[]", format_path(path)) for path in paths)


def format_path(path: Path) -> str:
    """`models.providers["my.own"].models[0].id`"""
    pieces: list[str] = []
    for step in path:
        if isinstance(step, int):
            pieces.append(f"[{step}]")
        elif step and all(letter.isalnum() or letter in "_-$" for letter in step):
            pieces.append(f".{step}" if pieces else step)
        else:
            pieces.append(f"[{ascii(step)[:60]}]")
    return "".join(pieces)


def camel_case(name: str) -> str:
    """The key of the file that a field is: `some_key` is `someKey`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _one_of(words: Iterable[str]) -> str:
    return "one of " + ", ".join(words)


def _says_nothing(value: object, field: "attrs.Attribute[Any]") -> bool:
    if not isinstance(value, str) or value.strip() or field.default is attrs.NOTHING:
        return False
    kinds = get_args(field.type) if get_origin(field.type) in (Union, UnionType) else (field.type,)
    return not _TEXTS.isdisjoint(kinds)


def _closest(key: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `key` is a slip of: few edits away, and at least half of it kept."""
    near = ((_edits(key.lower(), candidate.lower()), candidate) for candidate in candidates)
    slips = [(edits, name) for edits, name in near if edits <= min(_MISSPELT_EDITS, len(name) // 2)]
    return min(slips)[1] if slips else None


def _edits(one: str, other: str) -> int:
    """The Levenshtein distance; of lengths too different, only that it is too far."""
    if abs(len(one) - len(other)) > _MISSPELT_EDITS:
        return _MISSPELT_EDITS + 1
    row = list(range(len(other) + 1))
    for count, letter in enumerate(one, 1):
        above, row = row, [count]
        for index, each in enumerate(other):
            row.append(min(above[index] + (letter != each), above[index + 1] + 1, row[index] + 1))
    return row[-1]
