"""What tokens cost and how large a model's context is, from the table that litellm ships as a data file.

The file is found and read without importing litellm (4–5 s), on first use (about 20 ms: in a thread, where a loop must
not stall), and of its 3 MB the one that matters here is kept. A person's `prices.toml` wins over it. Unknown is None,
never 0; litellm writes 0 for many models that it has no price for, so a model with neither input nor output price
counts as unknown.
"""

from __future__ import annotations

import functools
import importlib.util
import mmap
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import msgspec

from workbench.core.settings import Settings
from workbench.core.toml import read_toml, struct_from
from workbench.core.types import Route, Usage

_TABLE_NAMES = ("model_prices_and_context_window_backup.json", "model_prices_and_context_window.json")

# Our provider row → how litellm's table calls it, and the prefix its model names carry there.
_TABLE_PROVIDERS: Mapping[str, tuple[str, str]] = {
    "openai": ("openai", ""),
    "anthropic": ("anthropic", ""),
    "gemini": ("gemini", "gemini/"),
    "together": ("together_ai", "together_ai/"),
    "sambanova": ("sambanova", "sambanova/"),
    "openrouter": ("openrouter", "openrouter/"),
}

_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})$")
_KEPT = re.compile(
    r"(?:(?:input|output)_cost_per_token|cache_(?:read|creation)_input_token_cost)(?:_batches|_above_\d+k_tokens)?$"
    r"|max_(?:input|output)_tokens$|litellm_provider$|mode$"
)
"""What is read below, of the sixty things that the table says of a model."""

_TIER = re.compile(r"input_cost_per_token_above_(\d+)k_tokens$")
_PER_MILLION = 1e-6


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per token."""

    input: float
    output: float
    cached_input: float
    """Read from the provider's prefix cache."""
    cache_write: float


@dataclass(frozen=True, slots=True)
class Price:
    live: Rates
    batch: Rates | None = None
    """None where no batch price is stated."""
    tiers: tuple[tuple[int, Rates], ...] = ()
    """Prompts of more than so many tokens are billed, as a whole, at these rates; ascending."""

    def rates(self, usage: Usage, *, batch: bool = False) -> Rates | None:
        if batch:
            return self.batch
        return next((rates for above, rates in reversed(self.tiers) if usage.input > above), self.live)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    price: Price | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None


def cost_usd(usage: Usage | None, price: Price | None, *, batch: bool = False) -> float | None:
    """What a request came to, or None if either part is unknown.

    The provider's own statement of cost wins. `usage.input` counts the whole prompt: what was read from and written
    to the prefix cache are parts of it.
    """
    if usage is None:
        return None
    if usage.cost_usd is not None:
        return usage.cost_usd
    rates = price.rates(usage, batch=batch) if price else None
    if rates is None:
        return None
    plain = max(usage.input - usage.cached_input - usage.cache_write, 0)
    return (
        plain * rates.input
        + usage.cached_input * rates.cached_input
        + usage.cache_write * rates.cache_write
        + usage.output * rates.output
    )


def prefix_saving_usd(usage: Usage | None, price: Price | None) -> float | None:
    """What the provider's prefix cache took off the bill; None when unknown."""
    rates = price.rates(usage) if usage and price else None
    if usage is None or rates is None:
        return None
    return usage.cached_input * (rates.input - rates.cached_input)


class PriceTable:
    """Prices and context sizes by route. `free` names providers whose hardware is the person's own."""

    def __init__(
        self,
        rows: Mapping[str, PriceRow] | None = None,
        *,
        table: Path | None = None,
        free: frozenset[str] = frozenset(),
    ) -> None:
        self._rows = rows or {}
        self._file = table
        self._free = free

    @classmethod
    def load(cls, settings: Settings, prices_file: Path) -> PriceTable:
        """Read `prices.toml` if there is one; litellm's table waits until it is needed. Raises ConfigError."""
        rows: Mapping[str, PriceRow] = {}
        if prices_file.exists():
            text, tables = read_toml(prices_file)
            rows = struct_from(tables, _PricesFile, prices_file, text).models
        free = frozenset(name for name, row in settings.providers.items() if row.prices == "free")
        return cls(rows, table=find_litellm_table(), free=free)

    def warm(self) -> None:
        """Read litellm's table now. Blocking; safe to call from a thread."""
        _ = self._table

    def price_of(self, route: Route) -> Price | None:
        return self.facts_of(route).price

    def facts_of(self, route: Route) -> ModelFacts:
        facts = self._from_table(route)
        row = next((self._rows[name] for name in _own_names(route) if name in self._rows), None)
        if row is not None:
            facts = row.over(facts)
        if route.provider in self._free:
            facts = replace(facts, price=_FREE)
        return facts

    def chat_models(self, provider: str) -> Iterator[str]:
        """Models of a built-in provider that hold conversations, as they are called on the wire."""
        if provider not in _TABLE_PROVIDERS:
            return
        table_provider, prefix = _TABLE_PROVIDERS[provider]
        for name, raw in self._table.items():
            # Looking for the name in the bytes first saves decoding nine entries of ten.
            if f'"{table_provider}"'.encode() not in raw or name.startswith(("ft:", "together-ai-")):
                continue
            entry = msgspec.json.decode(raw)
            if entry.get("litellm_provider") == table_provider and entry.get("mode") in ("chat", "responses"):
                yield name.removeprefix(prefix)

    def _from_table(self, route: Route) -> ModelFacts:
        entry = next((self._table[name] for name in _table_names(route) if name in self._table), None)
        return ModelFacts() if entry is None else _facts(msgspec.json.decode(entry))

    @cached_property
    def _table(self) -> Mapping[str, bytes]:
        if self._file is None:
            return {}
        try:
            with self._file.open("rb") as file:
                # Into memory of its own: once 3 MB have been freed in one piece, glibc gives none back that come in
                # smaller ones, and after a few hundred answers the process is 9 MB larger for good.
                text = mmap.mmap(-1, os.fstat(file.fileno()).st_size)
                file.readinto(text)
            return _compact(msgspec.json.decode(text, type=dict[str, msgspec.Raw]))
        except (OSError, ValueError, msgspec.DecodeError):
            # Prices are a courtesy: without them costs are unknown, and everything else works.
            return {}


class PriceRow(msgspec.Struct, frozen=True, kw_only=True):
    """`[models."<model>"]` of `prices.toml`: USD per million tokens."""

    input: Annotated[float, msgspec.Meta(ge=0)] | None = None
    output: Annotated[float, msgspec.Meta(ge=0)] | None = None
    cached_input: Annotated[float, msgspec.Meta(ge=0)] | None = None
    cache_write: Annotated[float, msgspec.Meta(ge=0)] | None = None
    batch_factor: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """0.5 where batches cost half."""
    context_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def over(self, facts: ModelFacts) -> ModelFacts:
        return ModelFacts(
            price=self._price() or facts.price,
            context_tokens=self.context_tokens or facts.context_tokens,
            max_output_tokens=self.max_output_tokens or facts.max_output_tokens,
        )

    def _price(self) -> Price | None:
        if self.input is None or self.output is None:
            return None
        cached = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write is None else self.cache_write
        live = _scaled(Rates(self.input, self.output, cached, written), _PER_MILLION)
        return Price(live, None if self.batch_factor is None else _scaled(live, self.batch_factor))


class _PricesFile(msgspec.Struct, frozen=True, kw_only=True):
    models: dict[str, PriceRow] = {}


_FREE = Price(Rates(0.0, 0.0, 0.0, 0.0))


def find_litellm_table() -> Path | None:
    """litellm's data file, found without importing litellm; None when it is not there."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    return next((package / name for name in _TABLE_NAMES if (package / name).is_file()), None)


def _compact(entries: Mapping[str, msgspec.Raw]) -> dict[str, bytes]:
    """The entries with what is read of them, as JSON. Every other one says the same as one before it."""
    kept = functools.cache(_KEPT.match)
    said: dict[bytes, bytes] = {}
    compact: dict[str, bytes] = {}
    for name, raw in entries.items():
        entry = msgspec.json.decode(raw, type=dict[str, Any])
        small = msgspec.json.encode({key: value for key, value in entry.items() if kept(key)})
        compact[name] = said.setdefault(small, small)
    return compact


def _own_names(route: Route) -> tuple[str, ...]:
    return route.spec, f"{route.provider}/{route.wire_model}", route.wire_model


def _table_names(route: Route) -> Iterator[str]:
    """Names to look for; a dated snapshot without an entry of its own costs what its model costs."""
    names: tuple[str, ...]
    if route.provider in _TABLE_PROVIDERS:
        names = (f"{_TABLE_PROVIDERS[route.provider][1]}{route.wire_model}",)
    elif route.provider == "litellm" or route.wire_model.startswith(f"{route.provider}/"):
        # What goes through litellm is called on the wire as in its table.
        names = (route.wire_model,)
    else:
        return
    yield from names
    yield from (undated for name in names if (undated := _SNAPSHOT.sub("", name)) != name)


def _facts(entry: Mapping[str, Any]) -> ModelFacts:
    return ModelFacts(
        price=_price(entry),
        context_tokens=_count(entry, "max_input_tokens"),
        max_output_tokens=_count(entry, "max_output_tokens"),
    )


def _price(entry: Mapping[str, Any]) -> Price | None:
    live = _rates(entry, "", None)
    if live is None or (live.input == 0 and live.output == 0):
        return None
    thresholds = sorted(int(match[1]) for name in entry if (match := _TIER.match(name)))
    tiers = tuple(
        (thousands * 1000, rates)
        for thousands in thresholds
        if (rates := _rates(entry, f"_above_{thousands}k_tokens", live))
    )
    return Price(live, _rates(entry, "_batches", None), tiers)


def _rates(entry: Mapping[str, Any], suffix: str, base: Rates | None) -> Rates | None:
    """The rates under `suffix`. Without a `base`, input and output must be stated, and cached tokens cost as others."""
    given_input = _amount(entry, f"input_cost_per_token{suffix}")
    given_output = _amount(entry, f"output_cost_per_token{suffix}")
    if base is None and (given_input is None or given_output is None):
        return None
    input_rate = given_input if given_input is not None else base.input if base else 0.0
    output_rate = given_output if given_output is not None else base.output if base else 0.0
    cached = _amount(entry, f"cache_read_input_token_cost{suffix}")
    written = _amount(entry, f"cache_creation_input_token_cost{suffix}")
    return Rates(
        input=input_rate,
        output=output_rate,
        cached_input=input_rate if cached is None else cached,
        cache_write=input_rate if written is None else written,
    )


def _amount(entry: Mapping[str, Any], name: str) -> float | None:
    value = entry.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _count(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _scaled(rates: Rates, factor: float) -> Rates:
    return Rates(rates.input * factor, rates.output * factor, rates.cached_input * factor, rates.cache_write * factor)
