"""Embeddings, in one request: OpenAI's endpoint and its imitators, Gemini's, and whatever litellm reaches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from workbench.core.clock import Clock, SystemClock
from workbench.core.errors import MalformedResponse, UsageError
from workbench.core.events import UsageReport
from workbench.core.types import FinishReason, Usage
from workbench.providers.base import Call, Deadlines, ProviderSpec, WireEnd, WireEvent, WireFamily, WireOpened
from workbench.providers.failures import Headers, request_id_of
from workbench.providers.fetching import Account, fetch
from workbench.providers.http import Connections
from workbench.providers.litellm_fallback import embed_through_litellm

MOST_TEXTS: Final = {WireFamily.GEMINI: 100}
USUAL_MOST_TEXTS: Final = 96
"""What the strictest of the compatible hosts take; OpenAI itself takes 2,048."""


@dataclass(frozen=True, slots=True)
class Embedded:
    vectors: tuple[tuple[float, ...], ...]
    """One for each text, in their order."""
    usage: Usage | None
    """None where the provider does not count (Gemini)."""
    headers: Headers
    """For the limiter."""


def most_texts(spec: ProviderSpec) -> int:
    """How many texts one request may hold."""
    return 2_048 if spec.name == "openai" else MOST_TEXTS.get(spec.family, USUAL_MOST_TEXTS)


class EmbeddingWire:
    """Some texts' embeddings as an adapter: keys, limits and retries treat the request as any other.

    What comes back is no text: it lies in `vectors` once the call has ended well.
    """

    def __init__(
        self, connections: Connections, clock: Clock, texts: Sequence[str], dimensions: int | None = None
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._texts = texts
        self._dimensions = dimensions
        self.vectors: tuple[tuple[float, ...], ...] = ()

    async def open(self, call: Call) -> AsyncGenerator[WireEvent, None]:
        account = Account(call.spec, call.key, call.key_alias, call.route.wire_model)
        account.witness.check_key()
        deadlines = replace(call.deadlines, first_token_s=call.deadlines.total_s)
        sent_ns = self._clock.monotonic_ns()
        try:
            embedded = await embed(
                self._connections,
                account,
                self._texts,
                dimensions=self._dimensions,
                deadlines=deadlines,
                clock=self._clock,
            )
        except UnicodeEncodeError as exc:
            raise account.witness.unwritable() from exc
        self.vectors = embedded.vectors
        at_ns, headers = self._clock.monotonic_ns(), embedded.headers
        yield WireOpened(at_ns, sent_ns, headers, request_id_of(headers), http_version="")
        if embedded.usage is not None:
            yield UsageReport(at_ns, embedded.usage)
        yield WireEnd(at_ns, FinishReason.STOP, "")

    async def aclose(self) -> None:
        """Nothing of its own: the connections belong to `Connections`."""


async def embed(
    connections: Connections,
    account: Account,
    texts: Sequence[str],
    *,
    dimensions: int | None = None,
    deadlines: Deadlines | None = None,
    clock: Clock | None = None,
) -> Embedded:
    """Embed up to `most_texts` texts with `account.model`.

    Raises the `ProviderError` of whatever went wrong, `UsageError` where a provider has no embeddings.
    """
    match account.spec.family:
        case WireFamily.OPENAI_CHAT | WireFamily.OPENAI_RESPONSES | WireFamily.LITELLM:
            path, body = "embeddings", _openai_body(account.model, texts, dimensions)
        case WireFamily.GEMINI:
            path, body = f"models/{account.model}:batchEmbedContents", _gemini_body(account.model, texts, dimensions)
        case _:
            raise UsageError(f"{account.spec.title or account.spec.name} has no embeddings here.")
    if account.spec.family is WireFamily.LITELLM:
        del body["encoding_format"]  # it refuses the name for most of its providers
        answer, headers = await embed_through_litellm(account, body, deadlines or Deadlines(), clock or SystemClock())
    else:
        answer, headers = await fetch(connections, account, path, body=body, deadlines=deadlines, clock=clock)
    try:
        vectors = _gemini_vectors(answer) if account.spec.family is WireFamily.GEMINI else _openai_vectors(answer)
    except (KeyError, TypeError):
        vectors = ()
    if len(vectors) != len(texts):
        said = f"{account.witness.place.host} sent {len(vectors)} embeddings for {len(texts)} texts."
        raise MalformedResponse(said, **account.witness.details(headers))
    usage = answer.get("usage")
    counted = Usage(input=usage.get("prompt_tokens") or 0) if isinstance(usage, dict) else None
    return Embedded(vectors, counted, headers)


def _openai_body(model: str, texts: Sequence[str], dimensions: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "float"}
    if dimensions is not None:
        body["dimensions"] = dimensions
    return body


def _gemini_body(model: str, texts: Sequence[str], dimensions: int | None) -> dict[str, Any]:
    common: dict[str, Any] = {"model": f"models/{model}"}
    if dimensions is not None:
        common["outputDimensionality"] = dimensions
    return {"requests": [{**common, "content": {"parts": [{"text": text}]}} for text in texts]}


def _openai_vectors(answer: Any) -> tuple[tuple[float, ...], ...]:
    rows = sorted(answer["data"], key=lambda row: row.get("index", 0))
    return tuple(tuple(row["embedding"]) for row in rows)


def _gemini_vectors(answer: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row["values"]) for row in answer["embeddings"])
