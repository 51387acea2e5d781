"""The schema says what the reader takes, and nothing else."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import attrs
import jsonschema_rs
import pytest

from openclawd.config import model
from openclawd.config.load import ConfigError, load_text
from openclawd.config.paths import Paths
from openclawd.config.problems import ConfigProblem
from openclawd.config.reading import NotReadable, parse
from openclawd.config.schema import ANY, below, config_schema, object_part, ui_hints
from openclawd.config.schema_help import HELP
from openclawd.config.schema_lookup import lookup

TESTS = Path(__file__).parents[1]
PATHS = Paths(state_dir=Path("/state"), config_file=Path("/state/openclaw.json"))
ENVIRON = {"HOME": "/home/me", "T": "t", "H": "h", "KEY": "k", "TOKEN": "t", "OPENAI_API_KEY": "k"}
VALIDATOR = jsonschema_rs.Draft7Validator(config_schema())
SECTIONS = frozenset(config_schema()["properties"])


def written_configs() -> Iterator[Mapping[str, object]]:
    """Every config in the tests: texts that hold one, and literals with one of the sections."""
    for file in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            document: object = None
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{" in node.value:
                try:
                    document = parse(node.value)
                except NotReadable:
                    continue
            elif isinstance(node, ast.Dict):
                try:
                    document = ast.literal_eval(node)
                    json.dumps(document)
                except (ValueError, TypeError):
                    continue
            if isinstance(document, dict) and not SECTIONS.isdisjoint(document):
                yield document


def problems(document: Mapping[str, object]) -> tuple[ConfigProblem, ...]:
    try:
        load_text(PATHS, json.dumps(document), ENVIRON)
    except ConfigError as error:
        return error.problems
    return ()


def keys_in(
    node: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for key, child in below(node).items():
        yield (*path, key), child
        yield from keys_in(child, (*path, key))


def sample(node: Mapping[str, Any]) -> object:
    """A value that the reader takes at a node."""
    if "default" in node:
        return node["default"]
    if "enum" in node:
        return node["enum"][0]
    kind = node["anyOf"][0]["type"] if "anyOf" in node else node.get("type")
    match kind:
        case "object":
            return {name: sample(node["properties"][name]) for name in node.get("required", ())}
        case "string":
            return "http://127.0.0.1:1"
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case _:
            return [] if kind == "array" else None


def document_with(path: tuple[str, ...]) -> Any:
    """The smallest document that has a value at `path`."""

    def made(node: dict[str, Any], steps: tuple[str, ...]) -> Any:
        if not steps:
            return sample(node)
        whole = object_part(node)
        inner = made(below(node)[steps[0]], steps[1:])
        if whole.get("type") == "array":
            return [inner]
        required = {name: sample(whole["properties"][name]) for name in whole.get("required", ())}
        return required | {"NAME" if steps[0] == ANY else steps[0]: inner}

    return made(config_schema(), path)


def classes_below(kind: Any) -> set[type]:
    """The classes that the reader makes, from `kind` on."""
    found = {kind} if attrs.has(kind) else set()
    inner = [field.type for field in attrs.fields(kind)] if attrs.has(kind) else get_args(kind)
    return found.union(*map(classes_below, inner))


KEYS = [path for path, _ in keys_in(config_schema())]


def test_the_schema_is_one() -> None:
    jsonschema_rs.meta.validate(config_schema())


def test_what_loads_is_valid() -> None:
    configs = [document for document in written_configs() if not problems(document)]
    assert len(configs) > 50
    for document in configs:
        errors = [f"{error.instance_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]
        assert errors == [], document


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_what_the_schema_names_can_be_in_a_file(path: tuple[str, ...]) -> None:
    document = document_with(path)
    VALIDATOR.validate(document)
    # A value may be unfit; the key is not.
    assert [problem for problem in problems(document) if problem.value is None] == []


@pytest.mark.parametrize(
    "document",
    [
        {"gateway": {"port": 18789.0, "customBindHost": "", "auth": {"token": ""}}},
        {"gateway": {"auth": {"token": {"source": "env", "provider": "default", "id": "KEY"}}}},
        {"models": {"providers": {"x": {"baseUrl": "http://h", "apiKey": {"source": "exec", "id": 5}}}}},
        {"models": {"providers": {"x": {"baseUrl": "http://${H}/v1", "headers": {"A": {"source": "file"}}}}}},
        {"agents": {"entries": {"Zoë": {"model": ""}}, "later": None}},
        {"env": {"A": "1", "vars": {"B": "2"}, "shellEnv": {"enabled": True}}},
        {"channels": None, "meta": 5},
    ],
)
def test_odd_configs_that_load_are_valid_too(document: dict[str, object]) -> None:
    assert problems(document) == ()
    VALIDATOR.validate(document)


@pytest.mark.parametrize(
    "document",
    [
        {"gatewy": {}},
        {"gateway": {"port": "18789"}},
        {"gateway": {"port": 0}},
        {"gateway": {"bind": "moon"}},
        {"gateway": {"http": {"no": 1}}},
        {"models": {"providers": {"x": {}}}},
        {"agents": {"list": {}}},
        {"gateway": {"auth": {"token": 5}}},
    ],
)
def test_what_cannot_load_at_all_is_not_valid(document: dict[str, object]) -> None:
    assert problems(document)
    assert not VALIDATOR.is_valid(document)


def test_secrets_are_marked_and_counts_are_not() -> None:
    sensitive = {path for path, hint in ui_hints().items() if hint.get("sensitive")}
    assert {
        "gateway.auth.token",
        "gateway.auth.password",
        "gateway.remote.token",
        "models.providers.*.apiKey",
        "models.providers.*.headers.*",
        "env.*",
        "env.vars.*",
    } <= sensitive
    assert not any(path.endswith(("Tokens", "mode", "port")) for path in sensitive)


def test_every_key_has_a_label_and_the_sections_an_order() -> None:
    hints = ui_hints()
    assert set(hints) == {".".join(path) for path in KEYS}
    assert all(hint["label"] for hint in hints.values())
    assert hints["gateway.controlUi.basePath"]["label"] == "Base path"
    assert hints["models.providers.*.apiKey"]["label"] == "API key"
    sections = [path for path in hints if "." not in path]
    assert [hints[section]["order"] for section in sections] == list(range(len(sections)))


def test_every_key_that_is_read_is_explained_and_no_other() -> None:

    assert classes_below(model.Config) - {model.Env} == set(HELP)
    for kind, texts in HELP.items():
        assert {field.name for field in attrs.fields(kind)} == set(texts), kind


def test_a_key_is_looked_up_with_what_is_below_it() -> None:
    found = lookup("gateway.auth")
    assert found is not None
    assert (found["path"], found["hintPath"], found["reloadKind"]) == (
        "gateway.auth",
        "gateway.auth",
        "hot",
    )
    assert "properties" not in found["schema"]
    mode, token, *_ = found["children"]
    assert (mode["key"], mode["path"], mode["type"]) == ("mode", "gateway.auth.mode", "string")
    assert (mode["required"], mode["hasChildren"]) == (False, False)
    assert token["hint"]["sensitive"] is True


def test_items_and_names_of_ones_own_are_found_by_their_place() -> None:
    by_index, by_mark = lookup("agents.list[0].model"), lookup("agents.list[].model")
    assert by_index is not None
    assert by_mark is not None
    assert by_index["schema"] == by_mark["schema"]
    assert by_index["hintPath"] == "agents.list.*.model"
    provider = lookup("models.providers.mine")
    assert provider is not None
    assert [(child["key"], child["required"]) for child in provider["children"][:1]] == [("baseUrl", True)]


def test_what_is_not_read_changes_nothing() -> None:
    found = lookup("gateway.http.endpoints.responses")
    assert found is not None
    assert found["reloadKind"] == "none"
    assert {child["reloadKind"] for child in found["children"]} == {"none"}


@pytest.mark.parametrize(
    "path", ["gateway.nope", "nope", ".", "[]", "gateway.port.x", "gateway.auth.token.id"]
)
def test_what_is_no_key_is_not_found(path: str) -> None:
    assert lookup(path) is None
