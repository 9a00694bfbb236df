"""Usage added up over many answers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workbench.core.types import Result


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """What an `LLM` has used since it was made. Answers from the response cache cost nothing and are not in here."""

    requests: int = 0
    cache_hits: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Part of `input_tokens` that the provider read from its own prefix cache."""
    cost_usd: float = 0.0
    unpriced: int = 0
    """Answers whose price is unknown: `cost_usd` is without them."""
    saved_response_cache_usd: float = 0.0
    """What answers from the response cache would have cost, as far as known."""
    saved_prefix_cache_usd: float = 0.0
    """What the providers' prefix caches took off `cost_usd`, as far as known."""

    def plus(self, result: Result) -> UsageTotals:
        cached = result.cached
        usage = None if cached else result.usage
        # Written out: `replace` would take half as long as the rest of a cache hit.
        return UsageTotals(
            requests=self.requests + 1,
            cache_hits=self.cache_hits + cached,
            input_tokens=self.input_tokens + (usage.input if usage else 0),
            output_tokens=self.output_tokens + (usage.output if usage else 0),
            cached_tokens=self.cached_tokens + (usage.cached_input if usage else 0),
            cost_usd=self.cost_usd + (0.0 if cached else result.cost_usd or 0.0),
            unpriced=self.unpriced + (not cached and result.cost_usd is None),
            saved_response_cache_usd=self.saved_response_cache_usd + (result.saved_usd or 0.0 if cached else 0.0),
            saved_prefix_cache_usd=self.saved_prefix_cache_usd + (result.prefix_saved_usd or 0.0),
        )

    def plus_hits(self, hits: int) -> UsageTotals:
        """`hits` requests more that the response cache answered."""
        return replace(self, requests=self.requests + hits, cache_hits=self.cache_hits + hits)

    def minus(self, other: UsageTotals) -> UsageTotals:
        return UsageTotals(**{name: getattr(self, name) - getattr(other, name) for name in self.__dataclass_fields__})
