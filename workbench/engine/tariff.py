"""What routes charge, each looked up once: most requests go where others have gone.

The table behind it is read in a thread while the first requests are on their way. What it says is never worth failing
a request for: a cost that cannot be told is None.
"""

from __future__ import annotations

import asyncio

from workbench.core.pricing import Price, PriceTable, cost_usd, prefix_saving_usd
from workbench.core.types import Route, Usage


class Tariff:
    """Usable at once; `warm` and `aclose` belong to whoever made it, on one event loop."""

    def __init__(self, table: PriceTable) -> None:
        self.table = table
        self._prices: dict[Route, Price | None] = {}
        self._warming: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Begin to read the table in a thread: whoever needs a price before waits for it."""
        self._warming = asyncio.create_task(asyncio.to_thread(self.table.warm), name="read prices")

    async def aclose(self) -> None:
        """Wait for the thread."""
        if self._warming is not None:
            await asyncio.wait({self._warming})

    def cost_usd(self, usage: Usage | None, route: Route) -> float | None:
        """What a request came to; None where that is not known."""
        return cost_usd(usage, self._price(usage, route))

    def prefix_saving_usd(self, usage: Usage | None, route: Route) -> float | None:
        """What the provider's prefix cache took off the bill; None where there is nothing, or nothing known."""
        return prefix_saving_usd(usage, self._price(usage, route)) or None

    def _price(self, usage: Usage | None, route: Route) -> Price | None:
        """None also where there is nothing to be priced: the table need not be read for that."""
        if usage is None:
            return None
        if route not in self._prices:
            self._prices[route] = self.table.price_of(route)
        return self._prices[route]
