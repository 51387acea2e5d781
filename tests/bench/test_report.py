"""What the benchmark makes of its readings."""

from tests.bench.figures import FIGURES, Reading
from tests.bench.report import comparison, document, table
from tests.bench.rounds import Series


def series(*values: float) -> Series:
    return Series([Reading(value, f"round of {value}") for value in values])


def cells(text: str, title: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(title)]
    return line.removeprefix(title).split()


def test_a_figure_on_the_wrong_side_of_its_budget_is_not_met() -> None:
    slow = table({"tree": {"health": series(14_000, 14_999, 15_000), "start": series(0.41, 0.4, 0.4)}})

    assert "NOT MET" in " ".join(cells(slow, "pipelined health"))
    assert "NOT MET" in " ".join(cells(slow, "start to first hello-ok"))


def test_a_budget_that_is_just_reached_is_met_unless_it_has_to_be_undercut() -> None:
    assert (FIGURES["memory"].met(31), FIGURES["health"].met(15_000), FIGURES["start"].met(0.4)) == (
        True,
        True,
        False,
    )


def test_the_value_is_the_median_and_the_noise_the_ratio_of_every_other_round() -> None:
    found = series(10, 20, 12, 22)

    assert (found.value, found.noise, found.beside) == (16, 21 / 11, "round of 20")


def test_a_ratio_below_the_noise_is_no_news() -> None:
    calm, wild = series(100, 100, 100, 100), series(100, 130, 100, 130)
    text = comparison(
        {
            "old": {"health": calm, "memory": wild, "first-delta": calm},
            "new": {
                "health": series(120, 120, 120, 120),
                "memory": series(110, 110),
                "first-delta": series(120, 120),
            },
        }
    )

    assert cells(text, "pipelined health calls on one core")[-1] == "better"
    assert cells(text, "first chat delta after provider's byte")[-1] == "worse"
    assert cells(text, "memory a further client")[-3:] == ["within", "the", "noise"]


def test_a_round_that_failed_is_told_beside_the_others() -> None:
    found = Series([Reading(20_000)], failure="the gateway broke off: reset\nTraceback")
    text = table({"tree": {"health": found}})

    assert text.endswith("met      ?  a round failed: the gateway broke off: reset Traceback")


def test_what_could_not_be_measured_is_said_and_not_invented() -> None:
    failed = Series(failure="the gateway does not start: no such file\nand more")
    text = table({"tree": {"health": failed}})
    found = document({"tree": {"health": failed}}, {})

    assert "not measured: the gateway does not start: no such file" in text
    assert "value" not in found["trees"]["tree"]["health"]
