"""The models that the simulator plays, as rows. A new one is one line and no code.

Latencies are typical of what each provider's users report in 2026; contexts and prices are the published ones where
there is one, rounded otherwise. They make a comparison look like a comparison; they are no measurement of anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from workbench.simulator.pacing import Pace


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
    answer_tokens: int = 420
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


_GPT5_EFFORTS = ("minimal", "low", "medium", "high")
_GPT54_EFFORTS = ("none", "low", "medium", "high", "xhigh")
_O_EFFORTS = ("low", "medium", "high")
_OPEN_EFFORTS = ("low", "medium", "high")


def _pace(ttft_s: float, tokens_per_s: float, ttft_sigma: float = 0.22, gap_sigma: float = 0.35) -> Pace:
    return Pace(ttft_s, ttft_sigma, 1.0 / tokens_per_s, gap_sigma)


def _gpt(
    name: str,
    pace: Pace,
    style: Style,
    prices: tuple[float, float, float],
    *,
    context: int = 400_000,
    output: int = 128_000,
    reasons: int = 0,
    efforts: tuple[str, ...] = (),
    default_effort: str = "medium",
    answer: int = 420,
    writes: bool = False,
    aliases: tuple[str, ...] = (),
) -> ModelProfile:
    return ModelProfile(
        Provider.OPENAI,
        name,
        pace,
        style,
        context,
        output,
        *prices,
        answer_tokens=answer,
        reasoning=Reasoning.HIDDEN if reasons else Reasoning.NONE,
        reasoning_tokens=reasons,
        efforts=efforts,
        default_effort=default_effort,
        fixed_sampling=bool(reasons),
        needs_completion_limit=bool(reasons),
        cache_minimum_tokens=1024,
        cache_writes=writes,
        owner="system",
        aliases=aliases,
    )


def _embedding(
    provider: Provider, name: str, dimensions: int, usd: float, context: int = 8_192, owner: str = "system"
) -> ModelProfile:
    return ModelProfile(
        provider,
        name,
        _pace(0.12, 1000),
        Style.PLAIN,
        context,
        0,
        usd,
        0.0,
        embedding_dimensions=dimensions,
        owner=owner,
    )


OPENAI = (
    _gpt("gpt-5.6", _pace(0.62, 78), Style.STRUCTURED, (2.5, 15.0, 0.25), reasons=170, efforts=_GPT54_EFFORTS, writes=True),
    _gpt("gpt-5.4", _pace(0.55, 72), Style.STRUCTURED, (2.5, 15.0, 0.25), reasons=160, efforts=_GPT54_EFFORTS),
    _gpt("gpt-5.4-mini", _pace(0.38, 130), Style.STRUCTURED, (0.75, 4.5, 0.075), reasons=90, efforts=_GPT54_EFFORTS, answer=340),
    _gpt("gpt-5.4-nano", _pace(0.30, 180), Style.TERSE, (0.2, 1.25, 0.02), reasons=60, efforts=_GPT54_EFFORTS, answer=220),
    _gpt("gpt-5", _pace(0.70, 68), Style.STRUCTURED, (1.25, 10.0, 0.125), reasons=240, efforts=_GPT5_EFFORTS),
    _gpt("gpt-5-mini", _pace(0.45, 110), Style.STRUCTURED, (0.25, 2.0, 0.025), reasons=140, efforts=_GPT5_EFFORTS, answer=340),
    _gpt("gpt-4.1", _pace(0.48, 88), Style.PLAIN, (2.0, 8.0, 0.5), context=1_047_576, output=32_768),
    _gpt("gpt-4.1-mini", _pace(0.36, 120), Style.PLAIN, (0.4, 1.6, 0.1), context=1_047_576, output=32_768, answer=320),
    _gpt("gpt-4.1-nano", _pace(0.28, 170), Style.TERSE, (0.1, 0.4, 0.025), context=1_047_576, output=32_768, answer=200),
    _gpt("gpt-4o", _pace(0.46, 92), Style.WARM, (2.5, 10.0, 1.25), context=128_000, output=16_384, aliases=("gpt-4o-2024-11-20",)),
    _gpt("gpt-4o-mini", _pace(0.40, 105), Style.WARM, (0.15, 0.6, 0.075), context=128_000, output=16_384, answer=300),
    _gpt("o3", _pace(0.80, 75), Style.ACADEMIC, (2.0, 8.0, 0.5), context=200_000, output=100_000, reasons=420, efforts=_O_EFFORTS),
    _gpt("o4-mini", _pace(0.50, 120), Style.ACADEMIC, (1.1, 4.4, 0.275), context=200_000, output=100_000, reasons=300, efforts=_O_EFFORTS, answer=320),
    _embedding(Provider.OPENAI, "text-embedding-3-small", 1536, 0.02),
    _embedding(Provider.OPENAI, "text-embedding-3-large", 3072, 0.13),
)  # fmt: skip


def _claude(
    name: str, pace: Pace, style: Style, prices: tuple[float, float, float], *, minimum: int, answer: int,
    output: int = 64_000, aliases: tuple[str, ...] = (),
) -> ModelProfile:  # fmt: skip
    return ModelProfile(
        Provider.ANTHROPIC,
        name,
        pace,
        style,
        200_000,
        output,
        *prices,
        tokens_per_event=4,
        answer_tokens=answer,
        reasoning=Reasoning.OPEN,
        reasoning_tokens=260,
        cache_minimum_tokens=minimum,
        cache_writes=True,
        owner="anthropic",
        aliases=aliases,
    )


ANTHROPIC = (
    _claude("claude-opus-4-6", _pace(0.95, 62), Style.ACADEMIC, (5.0, 25.0, 0.5), minimum=1024, answer=520, output=128_000),
    _claude("claude-sonnet-4-6", _pace(0.72, 80), Style.WARM, (3.0, 15.0, 0.3), minimum=1024, answer=460),
    _claude("claude-sonnet-4-5", _pace(0.80, 74), Style.WARM, (3.0, 15.0, 0.3), minimum=1024, answer=460, aliases=("claude-sonnet-4-5-20250929",)),
    _claude("claude-haiku-4-5", _pace(0.42, 150), Style.TERSE, (1.0, 5.0, 0.1), minimum=4096, answer=280, aliases=("claude-haiku-4-5-20251001",)),
)  # fmt: skip


def _gemini(
    name: str, pace: Pace, style: Style, prices: tuple[float, float, float], *, thinking: Thinking, thinks: int,
    answer: int, may_be_off: bool = True, aliases: tuple[str, ...] = (),
) -> ModelProfile:  # fmt: skip
    return ModelProfile(
        Provider.GEMINI,
        name,
        pace,
        style,
        1_048_576,
        65_536,
        *prices,
        tokens_per_event=18,
        answer_tokens=answer,
        reasoning=Reasoning.OPEN,
        reasoning_tokens=thinks,
        thinking=thinking,
        thinking_may_be_off=may_be_off,
        cache_minimum_tokens=1024,
        owner="google",
        aliases=aliases,
    )


GEMINI = (
    _gemini("gemini-3.1-pro", _pace(1.10, 110), Style.ACADEMIC, (2.0, 12.0, 0.2), thinking=Thinking.LEVEL, thinks=220, answer=480, may_be_off=False, aliases=("gemini-3.1-pro-preview", "gemini-3-pro-preview")),
    _gemini("gemini-3-flash", _pace(0.55, 190), Style.TABULAR, (0.5, 3.0, 0.05), thinking=Thinking.LEVEL, thinks=100, answer=380, aliases=("gemini-3-flash-preview",)),
    _gemini("gemini-2.5-pro", _pace(1.20, 105), Style.ACADEMIC, (1.25, 10.0, 0.125), thinking=Thinking.BUDGET, thinks=260, answer=480, may_be_off=False),
    _gemini("gemini-2.5-flash", _pace(0.48, 210), Style.TABULAR, (0.3, 2.5, 0.03), thinking=Thinking.BUDGET, thinks=90, answer=380),
    _gemini("gemini-2.5-flash-lite", _pace(0.34, 260), Style.TERSE, (0.1, 0.4, 0.01), thinking=Thinking.BUDGET, thinks=40, answer=240),
    _embedding(Provider.GEMINI, "gemini-embedding-001", 3072, 0.15, 2_048, "google"),
)  # fmt: skip


def _open_weights(
    provider: Provider, name: str, pace: Pace, style: Style, prices: tuple[float, float], *, context: int = 131_072,
    reasons: int = 0, reasoning: Reasoning = Reasoning.OPEN, answer: int = 400, per_event: int = 1, owner: str = "",
    efforts: tuple[str, ...] = (), output: int = 32_768, cached: float = 0.0, cache_minimum: int | None = None,
    aliases: tuple[str, ...] = (),
) -> ModelProfile:  # fmt: skip
    return ModelProfile(
        provider,
        name,
        pace,
        style,
        context,
        output,
        *prices,
        cached_usd=cached,
        tokens_per_event=per_event,
        answer_tokens=answer,
        reasoning=reasoning if reasons else Reasoning.NONE,
        reasoning_tokens=reasons,
        efforts=efforts,
        cache_minimum_tokens=cache_minimum,
        owner=owner,
        aliases=aliases,
    )


_T, _S, _R, _L, _X = Provider.TOGETHER, Provider.SAMBANOVA, Provider.OPENROUTER, Provider.LOCAL, Provider.LITELLM

TOGETHER = (
    _open_weights(_T, "meta-llama/Llama-3.3-70B-Instruct-Turbo", _pace(0.32, 115), Style.WARM, (0.88, 0.88), owner="Meta"),
    _open_weights(_T, "Qwen/Qwen3.5-397B-A17B", _pace(0.58, 85), Style.STRUCTURED, (0.6, 3.6), context=262_144, reasons=180, owner="Qwen"),
    _open_weights(_T, "Qwen/Qwen3.5-9B", _pace(0.24, 160), Style.TERSE, (0.1, 0.15), context=262_144, answer=260, owner="Qwen"),
    _open_weights(_T, "deepseek-ai/DeepSeek-V3.2", _pace(0.66, 62), Style.ACADEMIC, (0.6, 1.7), owner="DeepSeek"),
    _open_weights(_T, "moonshotai/Kimi-K2.5", _pace(0.60, 95), Style.PLAIN, (0.5, 2.8), context=262_144, reasons=150, owner="Moonshot AI"),
    _open_weights(_T, "openai/gpt-oss-120b", _pace(0.30, 210), Style.TABULAR, (0.15, 0.6), reasons=80, efforts=_OPEN_EFFORTS, owner="OpenAI"),
    _embedding(_T, "BAAI/bge-base-en-v1.5", 768, 0.008, 512, "BAAI"),
)  # fmt: skip

SAMBANOVA = (
    _open_weights(_S, "DeepSeek-V3.2", _pace(0.28, 240), Style.ACADEMIC, (3.0, 4.5), per_event=3, owner="no-reply@sambanova.ai"),
    _open_weights(_S, "DeepSeek-R1-0528", _pace(0.35, 230), Style.ACADEMIC, (5.0, 7.0), reasons=240, reasoning=Reasoning.TAGGED, per_event=3, owner="no-reply@sambanova.ai"),
    _open_weights(_S, "Meta-Llama-3.3-70B-Instruct", _pace(0.18, 380), Style.WARM, (0.6, 1.2), per_event=4, owner="no-reply@sambanova.ai"),
    _open_weights(_S, "Meta-Llama-3.1-8B-Instruct", _pace(0.12, 900), Style.TERSE, (0.1, 0.2), per_event=8, answer=240, context=16_384, output=4_096, owner="no-reply@sambanova.ai"),
    _open_weights(_S, "gpt-oss-120b", _pace(0.20, 550), Style.TABULAR, (0.22, 0.59), reasons=80, efforts=_OPEN_EFFORTS, per_event=5, owner="no-reply@sambanova.ai"),
)  # fmt: skip

OPENROUTER = (
    _open_weights(_R, "openai/gpt-5.4", _pace(0.85, 70), Style.STRUCTURED, (2.5, 15.0), context=400_000, reasons=160, efforts=_GPT54_EFFORTS, cached=0.25, cache_minimum=1024, owner="OpenAI"),
    _open_weights(_R, "openai/gpt-4.1-mini", _pace(0.62, 115), Style.PLAIN, (0.4, 1.6), context=1_047_576, cached=0.1, cache_minimum=1024, owner="OpenAI"),
    _open_weights(_R, "anthropic/claude-sonnet-4.6", _pace(1.05, 76), Style.WARM, (3.0, 15.0), context=200_000, reasons=220, cached=0.3, cache_minimum=1024, per_event=4, owner="Anthropic"),
    _open_weights(_R, "google/gemini-3.1-pro", _pace(1.40, 105), Style.ACADEMIC, (2.0, 12.0), context=1_048_576, reasons=200, cached=0.2, per_event=16, owner="Google", aliases=("google/gemini-3.1-pro-preview",)),
    _open_weights(_R, "x-ai/grok-4.1-fast", _pace(0.70, 140), Style.WARM, (0.2, 0.5), context=2_000_000, reasons=130, owner="xAI"),
    _open_weights(_R, "deepseek/deepseek-v3.2", _pace(0.90, 52), Style.ACADEMIC, (0.27, 0.41), context=163_840, owner="DeepSeek"),
    _open_weights(_R, "qwen/qwen3.5-397b-a17b", _pace(0.80, 70), Style.STRUCTURED, (0.6, 3.6), context=262_144, reasons=160, owner="Qwen"),
    _open_weights(_R, "meta-llama/llama-3.3-70b-instruct", _pace(0.55, 88), Style.WARM, (0.1, 0.32), owner="Meta"),
    _open_weights(_R, "mistralai/mistral-large-2512", _pace(0.60, 64), Style.PLAIN, (0.5, 1.5), context=262_144, owner="Mistral"),
)  # fmt: skip

LOCAL = (
    _open_weights(_L, "qwen3-8b", _pace(0.65, 42), Style.PLAIN, (0.0, 0.0), context=32_768, output=32_768, reasons=110, reasoning=Reasoning.TAGGED, answer=320, owner="vllm"),
    _open_weights(_L, "llama-3.2-3b-instruct", _pace(0.30, 78), Style.WARM, (0.0, 0.0), context=8_192, output=8_192, answer=240, owner="vllm"),
    _open_weights(_L, "gemma-3-12b-it", _pace(0.80, 31), Style.STRUCTURED, (0.0, 0.0), context=16_384, output=16_384, answer=300, owner="vllm"),
    _embedding(_L, "nomic-embed-text", 768, 0.0, 8_192, "vllm"),
)  # fmt: skip

LITELLM = (
    _open_weights(_X, "llama-3.3-70b-versatile", _pace(0.16, 330), Style.WARM, (0.59, 0.79), per_event=2, owner="Meta"),
    _open_weights(_X, "openai/gpt-oss-120b", _pace(0.18, 480), Style.TABULAR, (0.15, 0.6), reasons=80, efforts=_OPEN_EFFORTS, per_event=2, owner="OpenAI"),
    _open_weights(_X, "mistral-large-latest", _pace(0.50, 66), Style.PLAIN, (0.5, 1.5), context=262_144, owner="mistralai"),
    _open_weights(_X, "mistral-small-latest", _pace(0.28, 150), Style.TERSE, (0.1, 0.3), context=131_072, answer=240, owner="mistralai"),
    _open_weights(_X, "deepseek-chat", _pace(0.85, 48), Style.ACADEMIC, (0.28, 0.42), owner="deepseek"),
    _open_weights(_X, "deepseek-reasoner", _pace(0.90, 50), Style.ACADEMIC, (0.28, 0.42), reasons=260, owner="deepseek"),
    _open_weights(_X, "grok-4.1-fast", _pace(0.60, 145), Style.WARM, (0.2, 0.5), context=2_000_000, owner="xai"),
    _open_weights(_X, "command-a-03-2025", _pace(0.45, 85), Style.STRUCTURED, (2.5, 10.0), context=256_000, owner="cohere"),
)  # fmt: skip

ALL: tuple[ModelProfile, ...] = (
    *OPENAI, *ANTHROPIC, *GEMINI, *TOGETHER, *SAMBANOVA, *OPENROUTER, *LOCAL, *LITELLM,
)  # fmt: skip


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
