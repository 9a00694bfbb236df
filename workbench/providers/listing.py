"""What a provider serves, asked of the provider itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import MalformedResponse, UsageError
from workbench.providers.base import WireFamily
from workbench.providers.fetching import Account, fetch
from workbench.providers.http import Connections


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model, as its server describes it."""

    name: str
    """As a caller writes it, prefix included."""
    context: int | None = None
    owner: str = ""
    input_usd: float | None = None
    """Dollars per token, where the list says it (OpenRouter)."""
    output_usd: float | None = None


_CONTEXT_NAMES = ("context_length", "max_model_len", "context_window", "max_context_length", "max_input_tokens")


async def list_models(connections: Connections, account: Account) -> tuple[ListedModel, ...]:
    """Every model that this key may use, by name. Also the cheapest way to see whether a key and an address work.

    Raises the `ProviderError` of whatever went wrong, `UsageError` where there is no list (litellm).
    """
    spec = account.spec
    match spec.family:
        case WireFamily.LITELLM:
            raise UsageError(f"{spec.title or spec.name} is reached through litellm, which lists no models.")
        case WireFamily.GEMINI:
            answer, _ = await fetch(connections, account, "models?pageSize=1000")
            found = _gemini(answer)
        case WireFamily.ANTHROPIC:
            answer, _ = await fetch(connections, account, "models?limit=1000")
            found = _openai(answer)
        case _:
            answer, _ = await fetch(connections, account, "models")
            found = _openai(answer)
    models = [model for model in found if model.name]
    if not models and not isinstance(answer, list | dict):
        raise MalformedResponse(f"{account.witness.place.host} sent no list of models.", **account.witness.details())
    prefix = f"{spec.prefix}/" if spec.prefix and not spec.bare_patterns else ""
    return tuple(
        sorted(
            (ListedModel(prefix + m.name, m.context, m.owner, m.input_usd, m.output_usd) for m in models),
            key=lambda model: model.name,
        )
    )


def _rows(answer: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """The list's rows: under a name, or bare as Together sends it."""
    rows = answer.get(name) if isinstance(answer, dict) else answer
    yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()


_OTHER_TRADES = frozenset({"embedding", "rerank", "moderation", "image", "audio", "transcribe", "video"})
"""What Together calls the models in its list that do not chat."""


def _openai(answer: Any) -> list[ListedModel]:
    models = []
    for row in _rows(answer, "data"):
        if row.get("type") in _OTHER_TRADES:
            continue
        price = row.get("pricing")
        price = price if isinstance(price, dict) else {}
        models.append(
            ListedModel(
                name=str(row.get("id") or ""),
                context=next((value for name in _CONTEXT_NAMES if isinstance(value := row.get(name), int)), None),
                owner=str(row.get("owned_by") or row.get("organization") or ""),
                input_usd=_dollars(price.get("prompt")),
                output_usd=_dollars(price.get("completion")),
            )
        )
    return models


def _gemini(answer: Any) -> list[ListedModel]:
    return [
        ListedModel(str(row.get("name") or "").removeprefix("models/"), row.get("inputTokenLimit"), "google")
        for row in _rows(answer, "models")
        if "generateContent" in row.get("supportedGenerationMethods", ("generateContent",))
    ]


def _dollars(text: Any) -> float | None:
    """OpenRouter writes prices as text, and -1 where they depend on the model that it chooses."""
    try:
        price = float(text)
    except (TypeError, ValueError):
        return None
    return price if price >= 0 else None
