"""What sending would take, before it is sent: tokens, how full the context gets, and what it may cost.

Estimates, and shown as such: characters over four for tokens, and a price between a short answer and a long one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.core.pricing import ModelFacts
from workbench.core.types import CHARACTERS_PER_TOKEN, Message, Usage

SHORT_ANSWER = 100
LONG_ANSWER = 2_000
"""Tokens. Where `max_tokens` is set below this, it is the upper end instead."""

PER_MESSAGE = 4
"""Tokens that a role and its separators take, in most chat templates."""


@dataclass(frozen=True, slots=True)
class Estimate:
    input_tokens: int
    context_tokens: int | None = None
    low_usd: float | None = None
    high_usd: float | None = None

    @property
    def context_share(self) -> float | None:
        return None if self.context_tokens is None else self.input_tokens / self.context_tokens

    @property
    def fits(self) -> bool:
        """False only when it is known not to."""
        return self.context_tokens is None or self.input_tokens < self.context_tokens


def estimate(messages: Sequence[Message], facts: ModelFacts, max_tokens: int | None = None) -> Estimate:
    """What one target would be sent, in tokens and USD."""
    tokens = sum(PER_MESSAGE + round(len(message.text) / CHARACTERS_PER_TOKEN) for message in messages)
    longest = min(limit for limit in (LONG_ANSWER, max_tokens, facts.max_output_tokens) if limit is not None)
    return Estimate(
        tokens,
        facts.context_tokens,
        _price(facts, tokens, min(SHORT_ANSWER, longest)),
        _price(facts, tokens, longest),
    )


def total(estimates: Sequence[Estimate]) -> tuple[float | None, float | None]:
    """The price range of all together; None when no price is known at all, known ones only otherwise."""
    lows = [one.low_usd for one in estimates if one.low_usd is not None]
    highs = [one.high_usd for one in estimates if one.high_usd is not None]
    return (sum(lows), sum(highs)) if lows else (None, None)


def _price(facts: ModelFacts, input_tokens: int, output_tokens: int) -> float | None:
    if facts.price is None:
        return None
    rates = facts.price.rates(Usage(input=input_tokens, output=output_tokens))
    return None if rates is None else input_tokens * rates.input + output_tokens * rates.output
