"""The models that the simulator plays: what a row of models.toml means, and how a model is found by its name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources

import msgspec

from workbench.simulator.pacing import Pace

TTFT_SIGMA = 0.22
GAP_SIGMA = 0.35
"""Spread of the logarithms, alike for all models."""


class Provider(StrEnum):
    """Also the first segment of each provider's path on the simulator."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    TOGETHER = "together"
    SAMBANOVA = "sambanova"
    OPENROUTER = "openrouter"
    LOCAL = "local"
    LITELLM = "litellm"
    """An OpenAI-shaped host for everything that goes through litellm: `groq/…`, `mistral/…`."""


class Reasoning(StrEnum):
    NONE = "none"
    HIDDEN = "hidden"
    """Counted, waited for, and never shown in Chat Completions; summaries in Responses (OpenAI)."""
    OPEN = "open"
    """Streams in a channel of its own: `reasoning_content`, `reasoning`, thinking blocks, thought parts."""
    TAGGED = "tagged"
    """Streams inside the answer, between `<think>` and `</think>`, as local servers without a parser do."""


class Thinking(StrEnum):
    """How a Gemini model is told how much to think; the other way is refused."""

    BUDGET = "budget"
    LEVEL = "level"


class Style(StrEnum):
    """A model's voice: what the corpus lets it write."""

    STRUCTURED = "structured"
    """Headings, lists, a closing summary."""
    PLAIN = "plain"
    """Paragraphs with few marks."""
    TERSE = "terse"
    WARM = "warm"
    """Full sentences, an emoji or two, an offer to go on."""
    ACADEMIC = "academic"
    """Definitions, formulas, caveats."""
    TABULAR = "tabular"
    """A table wherever one fits."""


@dataclass(frozen=True, slots=True)
class ModelProfile:
    provider: Provider
    name: str
    pace: Pace
    style: Style
    context_tokens: int
    max_output_tokens: int
    input_usd: float
    """Per million tokens, as are the other prices."""
    output_usd: float
    cached_usd: float = 0.0
    tokens_per_event: int = 1
    """How many tokens the provider puts into one event."""
    answer_tokens: int = 400
    """Median length of an answer; log-normal."""
    answer_sigma: float = 0.35
    reasoning: Reasoning = Reasoning.NONE
    reasoning_tokens: int = 0
    """Median at medium effort."""
    efforts: tuple[str, ...] = ()
    """Values of `reasoning_effort` that are accepted; empty: the parameter itself is refused."""
    default_effort: str = "medium"
    thinking: Thinking | None = None
    thinking_may_be_off: bool = True
    fixed_sampling: bool = False
    """temperature, top_p and the penalties are refused unless they are the default."""
    needs_completion_limit: bool = False
    """`max_tokens` is refused in favour of `max_completion_tokens`."""
    cache_minimum_tokens: int | None = None
    """Shortest prefix that the prompt cache keeps; None: no prompt cache."""
    cache_writes: bool = False
    """Cache writes are billed and reported."""
    embedding_dimensions: int | None = None
    """Set for embedding models, which do nothing else."""
    owner: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def is_embedding(self) -> bool:
        return self.embedding_dimensions is not None


class _Row(msgspec.Struct, forbid_unknown_fields=True, rename={"input_usd": "in", "output_usd": "out"}):
    """One line of models.toml, its provider's defaults filled in."""

    context: int
    input_usd: float
    ttft: float = 0.12
    tps: float = 1000.0
    style: Style = Style.PLAIN
    output: int = 0
    output_usd: float = 0.0
    cached: float = 0.0
    per_event: int = 1
    answer: int = 400
    reasoning: Reasoning = Reasoning.NONE
    thinks: int = 0
    efforts: tuple[str, ...] = ()
    thinking: Thinking | None = None
    may_be_off: bool = True
    fixed_sampling: bool = False
    completion_limit: bool = False
    cache_from: int | None = None
    cache_writes: bool = False
    dimensions: int | None = None
    owner: str = ""
    aliases: tuple[str, ...] = ()

    def profile(self, provider: Provider, name: str) -> ModelProfile:
        return ModelProfile(
            provider=provider,
            name=name,
            pace=Pace(self.ttft, TTFT_SIGMA, 1.0 / self.tps, GAP_SIGMA),
            style=self.style,
            context_tokens=self.context,
            max_output_tokens=self.output,
            input_usd=self.input_usd,
            output_usd=self.output_usd,
            cached_usd=self.cached,
            tokens_per_event=self.per_event,
            answer_tokens=self.answer,
            reasoning=self.reasoning,
            reasoning_tokens=self.thinks,
            efforts=self.efforts,
            thinking=self.thinking,
            thinking_may_be_off=self.may_be_off,
            fixed_sampling=self.fixed_sampling,
            needs_completion_limit=self.completion_limit,
            cache_minimum_tokens=self.cache_from,
            cache_writes=self.cache_writes,
            embedding_dimensions=self.dimensions,
            owner=self.owner,
            aliases=self.aliases,
        )


@cache
def all_models() -> tuple[ModelProfile, ...]:
    """Everything in models.toml, in its order."""
    table = tomllib.loads(resources.files(__package__).joinpath("models.toml").read_text("utf-8"))
    return tuple(
        msgspec.convert({**section.get("defaults", {}), **row}, _Row).profile(Provider(provider), name)
        for provider, section in table.items()
        for name, row in section["models"].items()
    )


class ModelIndex:
    """Finds a model by what a client may call it."""

    def __init__(self, models: Iterable[ModelProfile]) -> None:
        self._by_provider: dict[Provider, list[ModelProfile]] = {provider: [] for provider in Provider}
        self._by_name: dict[tuple[Provider, str], ModelProfile] = {}
        for model in models:
            self._by_provider[model.provider].append(model)
            for name in (model.name, *model.aliases):
                self._by_name[model.provider, name] = model

    def of(self, provider: Provider) -> list[ModelProfile]:
        return self._by_provider[provider]

    def find(self, provider: Provider, name: str) -> ModelProfile | None:
        return self._by_name.get((provider, name))
