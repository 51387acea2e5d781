"""What an answer costs: tokens times the provider's list prices."""

from typing import Final

import attrs

from openclawd.agents.model import Usage

_PER: Final = 1_000_000


@attrs.frozen(eq=False, repr=False)
class Cost:
    """US dollars, by what was counted."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.input + self.output + self.cache_read + self.cache_write


@attrs.frozen
class Prices:
    """US dollars for a million tokens. A cache that has no price of its own costs nothing, as in stock.

    `long` are the prices of whole requests whose prompt, cached or not, has so many tokens or more.
    """

    input: float
    output: float
    cache_read: float = 0.0
    cache_write: float = 0.0
    long: tuple[tuple[int, "Prices"], ...] = ()

    def cost(self, usage: Usage) -> Cost:
        """What `usage` costs."""
        prompt = usage.input + usage.cache_read + usage.cache_write
        _, prices = max(
            ((tokens, prices) for tokens, prices in self.long if prompt >= tokens),
            key=lambda tier: tier[0],
            default=(0, self),
        )
        return Cost(
            usage.input * prices.input / _PER,
            usage.output * prices.output / _PER,
            usage.cache_read * prices.cache_read / _PER,
            usage.cache_write * prices.cache_write / _PER,
        )


# Of a model that runs on one's own machine.
FREE: Final = Prices(0.0, 0.0)
