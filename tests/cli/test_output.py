"""Durations and tables as people read them."""

import pytest

from openclawd.cli.output import duration, print_table


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (350.4, "350 ms"),
        (1_000, "1 s"),
        (59_999, "59 s"),
        (180_000, "3 min"),
        (7_200_000, "2 h"),
        (86_400_000, "1 day"),
        (5 * 86_400_000, "5 days"),
        (-5, "0 ms"),
    ],
)
def test_a_duration_is_told_in_its_largest_unit(milliseconds: float, text: str) -> None:
    assert duration(milliseconds) == text


def test_columns_are_aligned_and_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONG"), [("a long cell", 1), ("b", "x" * 80)])
    assert capsys.readouterr().out == f"A            LONG\na long cell  1\nb            {'x' * 80}\n"
