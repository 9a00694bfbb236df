"""The stored answer to one request: to the very same question, or to one that is much like it.

Looking may open the cache or ask for an embedding, so it is done once per target, before anything is sent.
"""

from __future__ import annotations

from workbench.core.types import Request, Result
from workbench.engine.cache import ResponseCache
from workbench.engine.router import Target
from workbench.engine.semantic import Question, SemanticCache
from workbench.engine.services import Services
from workbench.engine.stored_answer import StoredAnswer, may_store, reads, writes


class Recall:
    def __init__(self, services: Services, request: Request) -> None:
        self._on = services
        self._request = request
        self._question: Question | None = None
        """What was asked, for the semantic cache."""

    async def find(self, target: Target, key: str | None) -> tuple[StoredAnswer | None, float | None]:
        """The answer that is stored, and how much its question is like this one; None for how much if it is the same.
        `key` is None where nothing may be looked up."""
        cache = self._on.cache
        if cache is None or key is None:
            return None, None
        # Also for requests that only write: opening it now costs nothing later.
        await cache.open()
        if writes(self._request.cache):
            await cache.keep_up()
        stored = cache.get(key) if reads(self._request.cache) else None
        if stored is None and self._on.semantic is not None:
            return await self._in_other_words(target, cache, self._on.semantic)
        return stored, None

    def keep(self, key: str | None, result: Result) -> None:
        """Store an answer that was just given, if it may be."""
        cache = self._on.cache
        if not key or cache is None or not writes(self._request.cache) or not may_store(result, self._request.params):
            return
        cache.put(key, result)
        if self._on.semantic is not None and self._question is not None:
            self._on.semantic.add(self._question, key)

    async def _in_other_words(
        self, target: Target, cache: ResponseCache, semantic: SemanticCache
    ) -> tuple[StoredAnswer | None, float | None]:
        question = self._question = await semantic.question(self._request, target)
        if question is None or not reads(self._request.cache):
            return None, None
        near = await semantic.nearest(question)
        if near is None:
            return None, None
        stored = cache.get(near.answer)
        if stored is None:
            semantic.forget(near.answer)
            return None, None
        return stored, near.similarity
