"""Many texts to vectors: those in the cache from there, the others in requests of the provider's size, all at once.

Each request goes through the pipeline like any other: keys, limits, retries, price and record. What is cached is the
vector of one text, so a longer list later asks for what is new in it only.
"""

from __future__ import annotations

import asyncio
import binascii
import struct
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from workbench.core.errors import UsageError
from workbench.core.types import CacheMode, Json, Message, Params, Priority, Request, Result
from workbench.engine.cache import ResponseCache
from workbench.engine.router import Target
from workbench.engine.stored_answer import StoredAnswer, cache_key, reads, writes
from workbench.providers.embeddings import most_texts

Vector: TypeAlias = tuple[float, ...]
AskAtOnce: TypeAlias = Callable[[Sequence[str]], Awaitable[tuple[tuple[Vector, ...], Result]]]

MOST_AT_ONCE: Final = 100
"""Where a provider takes more: several requests beside each other are sooner done than a long one."""

MOST_CHARACTERS: Final = 400_000
"""In one request: OpenAI takes 300,000 tokens over all texts, and dense scripts have more than one per character."""

_READS_BETWEEN_TURNS: Final = 50
"""Reading one vector takes about 100 µs; the loop has streams to serve meanwhile."""


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to embed, and how."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    """None leaves it to the model."""
    cache: CacheMode = CacheMode.USE
    priority: Priority = Priority.BULK
    job: str = ""
    max_in_flight: int | None = None
    max_retries: int | None = None

    def __post_init__(self) -> None:
        for place, text in enumerate(self.texts):
            if not isinstance(text, str) or not text.strip():
                raise UsageError(f"text {place}: expected words to embed, got {text!r}.")
            try:
                text.encode()
            except UnicodeEncodeError:
                raise UsageError(f"text {place}: holds half a character, which cannot be sent: {text!r}.") from None

    def as_request(self, texts: Sequence[str]) -> Request:
        """One request of it, in the pipeline's terms. Nothing is written, so no room is kept for an answer."""
        return Request(
            model=self.model,
            messages=tuple(map(Message.user, texts)),
            params=Params(max_tokens=0),
            cache=CacheMode.OFF,
            priority=self.priority,
            job=self.job,
            max_in_flight=self.max_in_flight,
            max_retries=self.max_retries,
        )


@dataclass(frozen=True, slots=True)
class Embeddings:
    vectors: tuple[Vector, ...]
    """One for each text, in their order."""
    results: tuple[Result, ...]
    """What each request that was sent came to: usage, cost and timing, without text."""
    cached: int
    """How many different texts were in the cache."""


async def embed_texts(
    request: EmbeddingRequest, target: Target, cache: ResponseCache | None, ask: AskAtOnce
) -> Embeddings:
    """`ask` embeds as many texts as it is given, in one request."""
    known: dict[str, Vector] = {}
    texts = list(dict.fromkeys(request.texts))
    keys = {text: _key(request, target, text) for text in texts} if cache is not None else {}
    if cache is not None and request.cache is not CacheMode.OFF:
        await cache.open()
        if reads(request.cache):
            known = await _stored(cache, keys)
    missing = [text for text in texts if text not in known]
    results: list[Result] = []

    async def fetch(part: Sequence[str]) -> None:
        vectors, result = await ask(part)
        results.append(result)
        characters = sum(map(len, part))
        for text, vector in zip(part, vectors, strict=True):
            known[text] = vector
            if cache is not None and writes(request.cache):
                cache.put(keys[text], _as_stored(result, vector, len(text) / characters))

    parts = parts_of(missing, min(most_texts(target.spec), MOST_AT_ONCE))
    outcomes = await asyncio.gather(*map(fetch, parts), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return Embeddings(tuple(known[text] for text in request.texts), tuple(results), cached=len(texts) - len(missing))


def parts_of(texts: Sequence[str], most: int) -> Iterator[list[str]]:
    """The texts in requests of at most `most` and at most MOST_CHARACTERS, one that is longer alone."""
    part: list[str] = []
    characters = 0
    for text in texts:
        if part and (len(part) == most or characters + len(text) > MOST_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(text)
        characters += len(text)
    if part:
        yield part


def _key(request: EmbeddingRequest, target: Target, text: str) -> str:
    body: dict[str, Json] = {} if request.dimensions is None else {"dimensions": request.dimensions}
    return cache_key(target.route, (Message.user(text),), body, 0, family="embedding")


async def _stored(cache: ResponseCache, keys: dict[str, str]) -> dict[str, Vector]:
    found: dict[str, Vector] = {}
    for number, (text, key) in enumerate(keys.items(), 1):
        stored = cache.get(key)
        if stored is not None and (vector := _vector(stored)) is not None:
            found[text] = vector
        if number % _READS_BETWEEN_TURNS == 0:
            await asyncio.sleep(0)
    return found


def _as_stored(result: Result, vector: Vector, share: float) -> Result:
    """The vector as the text of an answer, exactly, with this text's share of the request's cost."""
    packed = b64encode(struct.pack(f"<{len(vector)}d", *vector)).decode("ascii")
    cost_usd = None if result.cost_usd is None else result.cost_usd * share
    return replace(result, text=packed, usage=None, cost_usd=cost_usd)


def _vector(stored: StoredAnswer) -> Vector | None:
    """None for what was not stored by `_as_stored`: asked again and written over."""
    try:
        packed = b64decode(stored.text, validate=True)
        return struct.unpack(f"<{len(packed) // 8}d", packed)
    except (binascii.Error, struct.error):
        return None
