"""The providers as rows of data, and the one function that says which row a model name belongs to.

A new OpenAI-compatible host is one `ProviderSpec` here (or in a person's configuration) and no code. Nothing in this
module reads the environment by itself or imports an SDK: `rows_from` takes the mapping, `resolve` is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from workbench.core.errors import ConfigError, UnknownModel
from workbench.providers.base import ProviderSpec, Transport, WireFamily
from workbench.providers.known_models import KNOWN_MODELS, KnownModel

OPENAI = ProviderSpec(
    name="openai",
    prefix="openai",
    # Speaks both; `capabilities.wire_family` chooses by model.
    family=WireFamily.OPENAI_RESPONSES,
    base_url="https://api.openai.com/v1",
    base_url_variables=("OPENAI_BASE_URL",),
    key_variables=("OPENAI_API_KEY", "OPENAI_KEYS"),
    transport=Transport.HTTP2,
    bare_patterns=("gpt-*", "o1*", "o3*", "o4*", "chatgpt-*", "ft:gpt-*", "text-embedding-*", "!gpt-oss*"),
    title="OpenAI",
)
GEMINI = ProviderSpec(
    name="gemini",
    prefix="gemini",
    family=WireFamily.GEMINI,
    base_url="https://generativelanguage.googleapis.com",
    base_url_variables=("GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"),
    key_variables=("GEMINI_API_KEY", "GEMINI_KEYS", "GOOGLE_API_KEY"),
    transport=Transport.HTTP2,
    title="Google Gemini",
)
ANTHROPIC = ProviderSpec(
    name="anthropic",
    prefix="anthropic",
    family=WireFamily.ANTHROPIC,
    base_url="https://api.anthropic.com",
    base_url_variables=("ANTHROPIC_BASE_URL",),
    key_variables=("ANTHROPIC_API_KEY", "ANTHROPIC_KEYS"),
    transport=Transport.HTTP2,
    title="Anthropic",
)
TOGETHER = ProviderSpec(
    name="together",
    prefix="together_ai",
    family=WireFamily.OPENAI_CHAT,
    base_url="https://api.together.xyz/v1",
    base_url_variables=("TOGETHER_BASE_URL",),
    key_variables=("TOGETHER_API_KEY", "TOGETHER_KEYS", "TOGETHERAI_API_KEY"),
    title="Together",
)
SAMBANOVA = ProviderSpec(
    name="sambanova",
    prefix="sambanova",
    family=WireFamily.OPENAI_CHAT,
    base_url="https://api.sambanova.ai/v1",
    base_url_variables=("SAMBANOVA_BASE_URL",),
    key_variables=("SAMBANOVA_API_KEY", "SAMBANOVA_KEYS"),
    title="SambaNova",
)
OPENROUTER = ProviderSpec(
    name="openrouter",
    prefix="openrouter",
    family=WireFamily.OPENAI_CHAT,
    base_url="https://openrouter.ai/api/v1",
    base_url_variables=("OPENROUTER_BASE_URL",),
    key_variables=("OPENROUTER_API_KEY", "OPENROUTER_KEYS"),
    title="OpenRouter",
    body_defaults=(("provider", {"sort": "price"}),),
    # An application without a site of its own says localhost, and is then known by its title.
    headers=(("HTTP-Referer", "http://localhost"), ("X-Title", "llm-workbench")),
)
LOCAL = ProviderSpec(
    name="local",
    prefix="local",
    family=WireFamily.OPENAI_CHAT,
    base_url="http://localhost:30000/v1",
    base_url_variables=("LOCAL_BASE_URL",),
    key_variables=("LOCAL_API_KEY", "LOCAL_KEYS"),
    needs_key=False,
    title="Local server",
    queues_instead_of_refusing=True,
)
LITELLM = ProviderSpec(
    name="litellm",
    prefix="",
    family=WireFamily.LITELLM,
    base_url="",
    base_url_variables=("LITELLM_BASE_URL",),
    key_variables=("LITELLM_API_KEY", "LITELLM_KEYS"),
    needs_key=False,
    # The only names without a prefix that litellm knows and nobody above claims.
    bare_patterns=("command-*", "jamba-*"),
    title="litellm",
)


def _through_litellm(name: str, title: str, *stems: str) -> ProviderSpec:
    """A provider that litellm knows: its key and base URL have names of their own, the wire is litellm's.

    Args:
        stems: what the variables start with, where that is not the name in capitals; the first is the usual one.
    """
    stems = stems or (name.upper(),)
    return ProviderSpec(
        name=name,
        prefix=name,
        family=WireFamily.LITELLM,
        base_url="",
        base_url_variables=tuple(f"{stem}{end}" for stem in stems for end in ("_BASE_URL", "_API_BASE")),
        key_variables=(f"{stems[0]}_API_KEY", f"{stems[0]}_KEYS", *(f"{stem}_API_KEY" for stem in stems[1:])),
        title=title,
    )


THROUGH_LITELLM: Final = (
    _through_litellm("groq", "Groq"),
    _through_litellm("mistral", "Mistral"),
    _through_litellm("deepseek", "DeepSeek"),
    _through_litellm("xai", "xAI"),
    _through_litellm("cohere", "Cohere"),
    _through_litellm("fireworks_ai", "Fireworks", "FIREWORKS", "FIREWORKS_AI"),
    _through_litellm("cerebras", "Cerebras"),
    _through_litellm("perplexity", "Perplexity", "PERPLEXITY", "PERPLEXITYAI"),
    _through_litellm("deepinfra", "DeepInfra"),
    _through_litellm("moonshot", "Moonshot"),
    _through_litellm("zai", "Z.AI"),
    _through_litellm("minimax", "MiniMax"),
    _through_litellm("dashscope", "Alibaba DashScope"),
    _through_litellm("novita", "Novita"),
    _through_litellm("nebius", "Nebius"),
    _through_litellm("hyperbolic", "Hyperbolic"),
    _through_litellm("nvidia_nim", "NVIDIA NIM"),
    _through_litellm("huggingface", "Hugging Face"),
    _through_litellm("replicate", "Replicate"),
    _through_litellm("ai21", "AI21"),
    _through_litellm("azure", "Azure OpenAI"),
)

BUILT_IN: Final = (OPENAI, GEMINI, ANTHROPIC, TOGETHER, SAMBANOVA, OPENROUTER, LOCAL, *THROUGH_LITELLM, LITELLM)
"""The order is the picker's; the catch-all comes last."""

_KEYLESS_LITELLM: Final = frozenset(
    {
        "bedrock",
        "bedrock_converse",
        "sagemaker",
        "vertex_ai",
        "vertex_ai_beta",
        "ollama",
        "ollama_chat",
        "oci",
        "watsonx",
    }
)
"""Prefixes that litellm signs in its own way, so that a close spelling of ours is not taken for a mistake."""


def rows_from(environ: Mapping[str, str], extra: Sequence[ProviderSpec] = ()) -> tuple[ProviderSpec, ...]:
    """The built-in rows with a person's own ones merged in by name, and base URLs from the environment.

    A row of `extra` replaces the built-in one of the same name; others go before the catch-all. The first variable of
    a row that is set wins over its base URL. Raises `ConfigError` when two rows claim one prefix.
    """
    mine = {row.name: row for row in extra}
    rows = [mine.pop(row.name, row) for row in BUILT_IN]
    rows[-1:-1] = mine.values()
    taken: dict[str, str] = {}
    for row in rows:
        if (other := taken.setdefault(row.prefix, row.name)) != row.name:
            raise ConfigError(
                f"Providers {other} and {row.name} both claim the prefix {row.prefix!r}.",
                hint="Give one another prefix.",
            )
    return tuple(_with_base_url(row, environ) for row in rows)


def _with_base_url(row: ProviderSpec, environ: Mapping[str, str]) -> ProviderSpec:
    for variable in row.base_url_variables:
        if value := environ.get(variable, "").strip():
            return replace(row, base_url=value.rstrip("/"))
    return row


def resolve(
    model: str, rows: Sequence[ProviderSpec], aliases: Mapping[str, str] | None = None
) -> tuple[ProviderSpec, str]:
    """The row that serves a model name, and what to call the model on its wire.

    Aliases are tried first, then `prefix/…`, then the rows' bare patterns, then the catch-all. Raises `UnknownModel`,
    with the nearest names there are, for a name that nobody would answer.
    """
    name = _follow(model.strip(), aliases or {})
    head, slash, rest = name.partition("/")
    if slash:
        return _by_prefix(name, head, rest, rows)
    for row in rows:
        if _claims(row, name):
            return row, name
    raise UnknownModel(f"No provider is known for {name!r}.", hint=_did_you_mean(name, rows))


def _follow(name: str, aliases: Mapping[str, str]) -> str:
    seen = {name}
    while name in aliases:
        name = aliases[name].strip()
        if name in seen:
            raise ConfigError(f"The alias {name!r} leads back to itself.", hint="Break the circle under [aliases].")
        seen.add(name)
    return name


def _by_prefix(name: str, head: str, rest: str, rows: Sequence[ProviderSpec]) -> tuple[ProviderSpec, str]:
    if not rest:
        raise UnknownModel(f"{name!r} names a provider and no model.", hint=f"Write {head}/ and the model's name.")
    for row in rows:
        if row.prefix == head:
            return row, name if row.family is WireFamily.LITELLM else rest
    catch_all = next((row for row in rows if not row.prefix), None)
    if catch_all is not None and head == catch_all.name:
        return catch_all, rest
    prefixes = [row.prefix for row in rows if row.prefix]
    close = [] if head in _KEYLESS_LITELLM else get_close_matches(head, prefixes, n=1, cutoff=0.75)
    if close or catch_all is None:
        hint = f"Did you mean {close[0]}/{rest}?" if close else f"Prefixes: {', '.join(prefixes)}."
        raise UnknownModel(f"No provider is called {head!r}.", hint=hint)
    return catch_all, name


def _claims(row: ProviderSpec, name: str) -> bool:
    lower = name.lower()
    excluded = any(fnmatchcase(lower, pattern[1:]) for pattern in row.bare_patterns if pattern.startswith("!"))
    return not excluded and any(fnmatchcase(lower, pattern) for pattern in row.bare_patterns)


def known_models(rows: Iterable[ProviderSpec] = BUILT_IN) -> tuple[KnownModel, ...]:
    """The curated models of these rows, in the rows' order: what a picker shows before any server has been asked."""
    by_provider: dict[str, list[KnownModel]] = {}
    for model in KNOWN_MODELS:
        by_provider.setdefault(model.provider, []).append(model)
    return tuple(model for row in rows for model in by_provider.get(row.name, ()))


def _did_you_mean(name: str, rows: Sequence[ProviderSpec]) -> str:
    """Nearest known names: first those that only lack their prefix, then those spelled alike."""
    lower = name.lower()
    names = [model.name for model in known_models(rows)]
    tails = {known: known.rpartition("/")[2].lower() for known in names}
    same = [known for known, tail in tails.items() if tail == lower]
    stems = [known for known, tail in tails.items() if tail.startswith(lower)]
    alike = get_close_matches(lower, sorted(set(tails.values())), n=3, cutoff=0.6)
    spelled = [known for wanted in alike for known, tail in tails.items() if tail == wanted]
    found = list(dict.fromkeys([*same, *stems, *spelled]))[:3]
    if found:
        return f"Did you mean {' or '.join(found)}?"
    return "Write provider/model, such as anthropic/claude-sonnet-5; litellm/NAME leaves the choice to litellm."
