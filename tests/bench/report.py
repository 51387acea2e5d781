"""The results as an aligned table or as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.bench.figures import FIGURES, Figure, number
from tests.bench.rounds import Results, Series

_FAILED: Final = "not measured: "
# A traceback is for --json.
_LINE_CHARS: Final = 160


def table(results: Results) -> str:
    """One tree against its budgets."""
    (every,) = results.values()
    rows = [("figure", "measured", "budget", "verdict", "noise", "")]
    for name, series in every.items():
        figure = FIGURES[name]
        if not series.readings:
            rows.append((figure.title, _FAILED + _one_line(series.failure or ""), "", "", "", ""))
            continue
        verdict = "met" if figure.met(series.value) else "NOT MET"
        rows.append(
            (
                figure.title,
                _quantity(figure, series.value),
                figure.budget_text,
                verdict,
                _ratio(series.noise),
                _one_line(series.beside),
            )
        )
    return _aligned(rows)


def comparison(results: Results) -> str:
    """Two trees side by side, the older first."""
    (old_name, old), (new_name, new) = results.items()
    rows = [("figure", old_name, new_name, "ratio", "noise", "")]
    for name in old:
        figure, before, after = FIGURES[name], old[name], new[name]
        if not before.readings or not after.readings:
            failed = before if not before.readings else after
            rows.append((figure.title, _FAILED + _one_line(failed.failure or ""), "", "", "", ""))
            continue
        rows.append(
            (
                figure.title,
                _quantity(figure, before.value),
                _quantity(figure, after.value),
                f"{after.value / before.value:.2f}",
                _ratio(_noise(before, after)),
                _judgement(figure, before, after),
            )
        )
    return _aligned(rows)


def document(results: Results, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, for a program: each round's value too."""
    trees = {
        tree: {name: _figure(FIGURES[name], series) for name, series in every.items()}
        for tree, every in results.items()
    }
    found: dict[str, Any] = {**about, "trees": trees}
    if len(results) == 2:
        old, new = results.values()
        found["comparison"] = {
            name: {"ratio": new[name].value / old[name].value, "noise": _noise(old[name], new[name])}
            for name in old
            if old[name].readings and new[name].readings
        }
    return found


def _figure(figure: Figure, series: Series) -> dict[str, Any]:
    found: dict[str, Any] = {"title": figure.title, "unit": figure.unit, "budget": figure.budget_text}
    if series.failure is not None:
        found["failure"] = series.failure
    if series.readings:
        found |= {
            "value": series.value,
            "met": figure.met(series.value),
            "noise": series.noise,
            "beside": series.beside,
            "rounds": [reading.value for reading in series.readings],
        }
    return found


def _noise(before: Series, after: Series) -> float | None:
    if before.noise is None or after.noise is None:
        return None
    return max(before.noise, after.noise)


def _judgement(figure: Figure, before: Series, after: Series) -> str:
    ratio, noise = after.value / before.value, _noise(before, after)
    if noise is None or 1 / noise <= ratio <= noise:
        return "within the noise"
    return "better" if (ratio > 1) is figure.more_is_better else "worse"


def _quantity(figure: Figure, value: float) -> str:
    return f"{number(value, figure.digits)} {figure.unit}"


def _ratio(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LINE_CHARS]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    # What was not measured says why in the place of all other columns, and must not widen the first of them.
    full = [row for row in rows if any(row[2:])]
    widths = [max(len(row[column]) for row in full) for column in range(len(rows[0]))]
    widths[0] = max(len(row[0]) for row in rows)
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([*cells, row[-1]] if any(row[2:]) else row[:2]).rstrip())
    return "\n".join(lines)
