"""What answers cost."""

import pytest

from openclawd.agents.model import Usage
from openclawd.agents.prices import FREE, Prices

HAIKU = Prices(0.10, 0.50, 0.01, 0.125, long=((100_001, Prices(0.50, 2.50, 0.05, 0.625)),))


def test_each_kind_of_token_has_its_price() -> None:
    cost = Prices(3, 15, 0.30, 3.75).cost(Usage(input=1000, output=200, cache_read=4000, cache_write=400))
    assert (cost.input, cost.output, cost.cache_read, cost.cache_write) == pytest.approx(
        (0.003, 0.003, 0.0012, 0.0015)
    )
    assert cost.total == pytest.approx(0.0087)


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        (Usage(input=100_000, output=1_000_000), 0.01 + 0.50),
        (Usage(input=100_001, output=1_000_000), 0.0500005 + 2.50),
        (Usage(input=1, cache_read=100_000), 0.0000005 + 0.005),
    ],
)
def test_a_long_prompt_makes_the_whole_request_dearer(usage: Usage, total: float) -> None:
    assert HAIKU.cost(usage).total == pytest.approx(total)


def test_what_runs_at_home_costs_nothing() -> None:
    assert FREE.cost(Usage(10, 10, 10, 10)).total == 0
