"""The shape of a JSON value: types where the value does not matter, `?` behind a key that may be absent.

`{"id": str, "name?": str, "rows": [{"ts": int}]}` fits an object with at least these members; members that
are not named may be there too, since a gateway may tell more than stock's. A tuple is a choice of shapes,
and what is no type, list, tuple or dict must be equal.
"""

from typing import Any


def misfits(value: Any, shape: Any, at: str = "") -> list[str]:
    """Where `value` does not have `shape`, in words; empty when it fits."""
    here = at or "the value"
    match shape:
        case dict():
            if not isinstance(value, dict):
                return [f"{here} is {value!r}, not an object"]
            found = []
            for key, inner in shape.items():
                name = key.removesuffix("?")
                if name in value:
                    found += misfits(value[name], inner, f"{at}.{name}")
                elif name == key:
                    found.append(f"{here} has no {name}: {sorted(value)}")
            return found
        case list():
            if not isinstance(value, list):
                return [f"{here} is {value!r}, not an array"]
            return [
                fault
                for index, item in enumerate(value)
                for inner in shape[:1]
                for fault in misfits(item, inner, f"{at}[{index}]")
            ]
        case tuple():
            tried = [misfits(value, inner, at) for inner in shape]
            return [] if any(not faults for faults in tried) else tried[0]
        case type():
            fits = isinstance(value, shape) and (shape is bool) == isinstance(value, bool)
            return [] if fits else [f"{here} is {value!r}, not {shape.__name__}"]
        case _:
            return [] if value == shape else [f"{here} is {value!r}, not {shape!r}"]
