"""What rows may cost as a batch, beside what they would cost live, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from workbench.core.pricing import Price, cost_usd
from workbench.core.types import CHARACTERS_PER_TOKEN, Usage
from workbench.jobs.job import JobEstimate
from workbench.jobs.rows import Row
from workbench.providers.batch import BatchLimits

PER_MESSAGE = 4
"""Tokens around each message."""

SHORT_ANSWER = 50
LONG_ANSWER = 1_000
"""Tokens; what answers are taken to have at least and, where a row sets no limit, at most."""


@dataclass(slots=True)
class Tally:
    """Rows, added up one by one."""

    rows: int = 0
    input_tokens: int = 0
    short_tokens: int = 0
    long_tokens: int = 0

    def add(self, row: Row) -> None:
        most = row.params.max_tokens or LONG_ANSWER
        characters = sum(len(message.text) for message in row.messages)
        self.rows += 1
        self.input_tokens += round(characters / CHARACTERS_PER_TOKEN) + PER_MESSAGE * len(row.messages)
        self.short_tokens += min(SHORT_ANSWER, most)
        self.long_tokens += most

    def estimate(self, price: Price | None, limits: BatchLimits) -> JobEstimate:
        # Prices that rise with the prompt go by the row; all rows together would be taken for one long prompt.
        plain = None if price is None else replace(price, tiers=())

        def cost(output: int, *, batch: bool) -> float | None:
            return cost_usd(Usage(input=self.input_tokens, output=output), plain, batch=batch)

        return JobEstimate(
            rows=self.rows,
            input_tokens=self.input_tokens,
            parts=max(1, -(-self.rows // limits.rows)),
            batch_usd_low=cost(self.short_tokens, batch=True),
            batch_usd_high=cost(self.long_tokens, batch=True),
            live_usd_low=cost(self.short_tokens, batch=False),
            live_usd_high=cost(self.long_tokens, batch=False),
        )


def tally(rows: Iterable[Row]) -> Tally:
    counted = Tally()
    for row in rows:
        counted.add(row)
    return counted
