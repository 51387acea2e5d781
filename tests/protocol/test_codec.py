"""JSON to attrs classes: strict, closed, and never anything but InvalidValue."""

import contextlib
from collections.abc import Mapping
from typing import Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openclawd.protocol.codec import (
    InvalidValue,
    NonEmptyStr,
    NonNegativeInt,
    NotJson,
    PositiveInt,
    decode,
    encode,
    structure,
    unstructure,
)
from openclawd.protocol.connect import ConnectParams
from openclawd.protocol.problems import find_problems


@attrs.frozen
class Inner:
    name: NonEmptyStr


@attrs.frozen
class Sample:
    text: str
    count: PositiveInt
    flag: bool = False
    ratio: float | None = None
    kind: Literal["a", "b"] | None = None
    names: tuple[NonEmptyStr, ...] = attrs.field(default=(), metadata={"max_items": 2})
    inner_value: Inner | None = None
    flags: Mapping[str, bool] | None = None
    limit: NonNegativeInt | None = attrs.field(default=None, metadata={"maximum": 10})
    label: str | None = attrs.field(default=None, metadata={"nullable": True, "max_length": 3})
    either: str | bool | None = None
    thread: str | int | None = None
    anything: object = None


GOOD: Mapping[str, object] = {"text": "x", "count": 1}

any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def problems_of(**changes: object) -> tuple[str, ...]:
    with pytest.raises(InvalidValue) as caught:
        structure({**GOOD, **changes}, Sample)
    return caught.value.problems


def test_a_value_comes_in_and_goes_out_in_camel_case() -> None:
    value = {**GOOD, "innerValue": {"name": "n"}, "names": ["a"], "flags": {"f": True}, "kind": "b"}
    sample = structure(value, Sample)
    assert sample == Sample(
        "x",
        PositiveInt(1),
        names=(NonEmptyStr("a"),),
        inner_value=Inner(NonEmptyStr("n")),
        flags={"f": True},
        kind="b",
    )
    assert structure(unstructure(sample), Sample) == sample
    assert "ratio" not in unstructure(sample)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"text": 1}, "at /text: must be string"),
        ({"text": None}, "at /text: must be string"),
        ({"count": True}, "at /count: must be integer"),
        ({"count": 1.0}, "at /count: must be integer"),
        ({"count": "1"}, "at /count: must be integer"),
        ({"count": 0}, "at /count: must be >= 1"),
        ({"flag": 1}, "at /flag: must be boolean"),
        ({"flag": None}, "at /flag: must be boolean"),
        ({"ratio": "1"}, "at /ratio: must be number"),
        ({"ratio": True}, "at /ratio: must be number"),
        ({"names": "ab"}, "at /names: must be array"),
        ({"names": {"a": 1}}, "at /names: must be array"),
        ({"names": ["a", 1]}, "at /names/1: must be string"),
        ({"names": [""]}, "at /names/0: must NOT have fewer than 1 characters"),
        ({"names": ["a", "b", "c"]}, "at /names: must NOT have more than 2 items"),
        ({"innerValue": []}, "at /innerValue: must be object"),
        ({"innerValue": {}}, "at /innerValue: must have required property 'name'"),
        ({"innerValue": {"name": "n", "x": 1}}, "at /innerValue: unexpected property 'x'"),
        ({"innerValue": None}, "at /innerValue: must be object"),
        ({"flags": {"a/b~": 1}}, "at /flags/a~1b~0: must be boolean"),
        ({"flags": [1]}, "at /flags: must be object"),
        ({"limit": -1}, "at /limit: must be >= 0"),
        ({"limit": 11}, "at /limit: must be <= 10"),
        ({"label": "long"}, "at /label: must NOT have more than 3 characters"),
        ({"either": 1}, "at /either: must match a schema in anyOf"),
        ({"thread": False}, "at /thread: must match a schema in anyOf"),
        ({"thread": 1.0}, "at /thread: must match a schema in anyOf"),
        ({"zzz": 1}, "at root: unexpected property 'zzz'"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected(changes: dict[str, object], problem: str) -> None:
    assert problem in problems_of(**changes)


def test_missing_fields_are_all_named_and_v4_hears_of_the_first() -> None:
    with pytest.raises(InvalidValue) as caught:
        structure({}, Sample)
    assert caught.value.text() == "must have required property 'text'; must have required property 'count'"
    assert caught.value.text(first_only=True) == "must have required property 'text'"


def test_an_enumeration_has_two_problems_in_v3_and_other_words_in_v4() -> None:
    with pytest.raises(InvalidValue) as caught:
        structure({**GOOD, "kind": "c"}, Sample)
    assert caught.value.text() == (
        "at /kind: must be equal to constant; at /kind: must match a schema in anyOf"
    )
    assert caught.value.text(first_only=True) == "at /kind: must be equal to one of the allowed values"


@pytest.mark.parametrize("value", [None, [], "", 1, True])
def test_only_an_object_is_an_object(value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        structure(value, Sample)
    assert caught.value.problems == ("at root: must be object",)


def test_null_is_taken_where_the_field_says_so() -> None:
    assert structure({**GOOD, "label": None}, Sample).label is None


def test_the_list_of_problems_is_bounded_however_wrong_the_value() -> None:
    strange = {f"k{number}": 1 for number in range(10_000)} | {"x" * 50_000: 1}
    with pytest.raises(InvalidValue) as caught:
        structure(strange, Sample)
    assert len(caught.value.text()) < 4_000


def test_a_class_with_a_type_that_would_be_coerced_is_refused_loudly() -> None:
    @attrs.frozen
    class Loose:
        items: list[str]

    with pytest.raises(TypeError, match="items"):
        structure({"items": []}, Loose)


@given(any_json)
def test_whatever_the_value_is_only_invalid_value_is_raised(value: object) -> None:
    for cls in (Sample, ConnectParams):
        with contextlib.suppress(InvalidValue):
            structure(value, cls)


wrong_or_right = st.fixed_dictionaries(
    {"text": st.text(max_size=2) | any_json, "count": st.integers(-1, 2) | any_json},
    optional={
        "flag": st.booleans() | any_json,
        "ratio": st.floats(allow_nan=False) | any_json,
        "kind": st.sampled_from(["a", "b", "c"]) | any_json,
        "names": st.lists(st.text(max_size=1), max_size=3) | any_json,
        "innerValue": st.fixed_dictionaries({"name": st.text(max_size=1)}) | any_json,
        "flags": st.dictionaries(st.text(max_size=1), st.booleans() | st.none(), max_size=2) | any_json,
        "limit": st.integers(-1, 11) | any_json,
        "label": st.text(max_size=4) | any_json,
        "either": st.text() | st.booleans() | any_json,
        "thread": st.text() | st.integers() | st.booleans() | any_json,
        "anything": any_json,
    },
)


@given(wrong_or_right)
def test_nothing_is_coerced_and_both_passes_agree(value: dict[str, object]) -> None:
    problems = find_problems(value, Sample)
    try:
        sample = structure(value, Sample)
    except InvalidValue:
        assert problems != ("at root: validation error",)
        return
    assert problems == ("at root: validation error",)
    back = unstructure(sample)
    for key, item in value.items():
        # What was taken goes out as it came in, to the type.
        assert encode(back.get(key)) == encode(item)


@pytest.mark.parametrize("data", [b"", b"{", b"nul", b"NaN", b'"\\ud800"', b"\xff", b'{"a":1}x', "[" * 5000])
def test_what_is_not_json_is_called_so(data: bytes | str) -> None:
    with pytest.raises(NotJson):
        decode(data)


@given(st.binary(max_size=64))
def test_decoding_any_bytes_raises_nothing_but_not_json(data: bytes) -> None:
    with contextlib.suppress(NotJson):
        decode(data)


def test_attrs_values_and_mappings_inside_a_payload_are_encoded() -> None:
    assert encode({"inner": Inner(NonEmptyStr("n"))}) == b'{"inner":{"name":"n"}}'
    with pytest.raises(TypeError):
        encode({"thing": object()})
