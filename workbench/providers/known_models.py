"""A short list of models for the picker and for "did you mean". Not a limit: any name may be used.

Context windows are in tokens, as the providers state them; None = it depends on who serves it. `list_models` asks the
servers themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class KnownModel:
    provider: str
    """Name of the provider row."""
    name: str
    """As a caller writes it, prefix included."""
    context: int | None = None
    reasons: bool = False


_M: Final = 1_048_576

KNOWN_MODELS: Final = (
    KnownModel("openai", "gpt-6-sol", 922_000, reasons=True),
    KnownModel("openai", "gpt-6-luna", 922_000, reasons=True),
    KnownModel("openai", "gpt-6-astra", 922_000, reasons=True),
    KnownModel("openai", "gpt-5.6-sol", 922_000, reasons=True),
    KnownModel("openai", "gpt-5.6-terra", 922_000, reasons=True),
    KnownModel("openai", "gpt-5.6-luna", 922_000, reasons=True),
    KnownModel("openai", "gpt-5.5", 1_050_000, reasons=True),
    KnownModel("openai", "gpt-5.4", 1_050_000, reasons=True),
    KnownModel("openai", "gpt-5.4-mini", 272_000, reasons=True),
    KnownModel("openai", "gpt-5.4-nano", 272_000, reasons=True),
    KnownModel("openai", "gpt-5", 272_000, reasons=True),
    KnownModel("openai", "gpt-5-mini", 272_000, reasons=True),
    KnownModel("openai", "gpt-5-nano", 272_000, reasons=True),
    KnownModel("openai", "gpt-4.1", 1_047_576),
    KnownModel("openai", "gpt-4.1-mini", 1_047_576),
    KnownModel("openai", "gpt-4o", 128_000),
    KnownModel("openai", "gpt-4o-mini", 128_000),
    KnownModel("openai", "o3", 200_000, reasons=True),
    KnownModel("openai", "text-embedding-3-small", 8_192),
    KnownModel("openai", "text-embedding-3-large", 8_192),
    KnownModel("gemini", "gemini/gemini-4-argon", _M, reasons=True),
    KnownModel("gemini", "gemini/gemini-3.8-flash", _M, reasons=True),
    KnownModel("gemini", "gemini/gemini-3.5-flash", _M, reasons=True),
    KnownModel("gemini", "gemini/gemini-3.5-flash-lite", _M, reasons=True),
    KnownModel("gemini", "gemini/gemini-3.1-pro-preview", _M, reasons=True),
    KnownModel("gemini", "gemini/gemini-3-flash-preview", _M, reasons=True),
    KnownModel("gemini", "gemini/gemini-2.5-pro", _M, reasons=True),
    KnownModel("gemini", "gemini/gemini-2.5-flash", _M, reasons=True),
    KnownModel("gemini", "gemini/gemini-2.5-flash-lite", _M, reasons=True),
    KnownModel("anthropic", "anthropic/claude-opus-5-5", 1_000_000, reasons=True),
    KnownModel("anthropic", "anthropic/claude-sonnet-5-5", 1_000_000, reasons=True),
    KnownModel("anthropic", "anthropic/claude-haiku-5-5", 1_000_000, reasons=True),
    KnownModel("anthropic", "anthropic/claude-opus-5", 1_000_000, reasons=True),
    KnownModel("anthropic", "anthropic/claude-sonnet-5", 1_000_000, reasons=True),
    KnownModel("anthropic", "anthropic/claude-opus-4-8", 1_000_000, reasons=True),
    KnownModel("anthropic", "anthropic/claude-sonnet-4-6", 1_000_000, reasons=True),
    KnownModel("anthropic", "anthropic/claude-haiku-4-5", 200_000, reasons=True),
    KnownModel("together", "together_ai/deepseek-ai/DeepSeek-V4.1-Flash", reasons=True),
    KnownModel("together", "together_ai/moonshotai/Kimi-K3", reasons=True),
    KnownModel("together", "together_ai/zai-org/GLM-5.3", reasons=True),
    KnownModel("together", "together_ai/Qwen/Qwen3.5-397B-A17B", 262_144, reasons=True),
    KnownModel("together", "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo", 131_072),
    KnownModel("together", "together_ai/openai/gpt-oss-120b", 131_072, reasons=True),
    KnownModel("together", "together_ai/openai/gpt-oss-20b", 131_072, reasons=True),
    KnownModel("sambanova", "sambanova/gpt-oss-120b", 131_072, reasons=True),
    KnownModel("sambanova", "sambanova/MiniMax-M2.7", 196_608, reasons=True),
    KnownModel("sambanova", "sambanova/DeepSeek-V3.1", 131_072, reasons=True),
    KnownModel("sambanova", "sambanova/Meta-Llama-3.3-70B-Instruct", 131_072),
    KnownModel("openrouter", "openrouter/openai/gpt-5.4", 1_050_000, reasons=True),
    KnownModel("openrouter", "openrouter/anthropic/claude-sonnet-5", 1_000_000, reasons=True),
    KnownModel("openrouter", "openrouter/deepseek/deepseek-v4-flash", 1_000_000, reasons=True),
    KnownModel("openrouter", "openrouter/openai/gpt-oss-120b", 131_072, reasons=True),
    KnownModel("groq", "groq/openai/gpt-oss-120b", 131_072, reasons=True),
    KnownModel("groq", "groq/openai/gpt-oss-20b", 131_072, reasons=True),
    KnownModel("mistral", "mistral/mistral-large-latest", 262_144),
    KnownModel("mistral", "mistral/mistral-medium-latest", 262_144, reasons=True),
    KnownModel("mistral", "mistral/mistral-small-latest", 262_144, reasons=True),
    KnownModel("deepseek", "deepseek/deepseek-v4-pro", 1_000_000, reasons=True),
    KnownModel("deepseek", "deepseek/deepseek-v4-flash", 1_000_000, reasons=True),
    KnownModel("xai", "xai/grok-4.7", 500_000, reasons=True),
    KnownModel("xai", "xai/grok-4.20", 1_000_000, reasons=True),
    KnownModel("cohere", "cohere/command-a-03-2025", 256_000),
)
