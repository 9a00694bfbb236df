"""What batch jobs need of an engine: where a model goes, the keys, the prices, the wire, and the response cache.

Batches have limits of their own at every provider, so nothing here passes the limiter; and the files of one travel over
the same connections as everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

from workbench.core.clock import Clock
from workbench.core.errors import UsageError
from workbench.core.pricing import Price
from workbench.core.types import Message, Params, Request, Result, Route
from workbench.engine.cache import ResponseCache
from workbench.engine.intake import cache_keys
from workbench.engine.keyring import Key, Keyring
from workbench.engine.router import Router, Target
from workbench.engine.stored_answer import may_store
from workbench.providers.base import ProviderSpec
from workbench.providers.batch import BatchAdapter
from workbench.providers.batch_adapters import BatchAdapters


@dataclass(frozen=True, slots=True)
class Answered:
    """One row and its answer, on their way to the response cache."""

    messages: tuple[Message, ...]
    params: Params
    result: Result


class Batching:
    """One open engine, as batch jobs see it. Belongs to its loop, where nothing else is said."""

    def __init__(
        self,
        *,
        clock: Clock,
        rng: Random,
        router: Router,
        keyring: Callable[[ProviderSpec], Keyring],
        prices: Callable[[Route], Price | None],
        cache: ResponseCache | None,
        adapters: BatchAdapters,
        ready: Callable[[ProviderSpec], Awaitable[None]],
    ) -> None:
        self.clock = clock
        self.rng = rng
        self._router = router
        self._keyring = keyring
        self._prices = prices
        self._cache = cache
        self._adapters = adapters
        self._ready = ready

    @property
    def rows(self) -> tuple[ProviderSpec, ...]:
        """Every provider, with the base URL that counts."""
        return self._router.rows

    @property
    def keeps_answers(self) -> bool:
        return self._cache is not None

    def target(self, model: str) -> Target:
        """Where rows for this model go. Raises UnknownModel, ConfigError, and UsageError for a chain."""
        targets = self._router.route(model)
        if "|" in model:
            raise UsageError(f"{model!r} is a chain; a batch goes to one model.", hint="Submit it to each on its own.")
        return targets[0]

    async def keys(self, spec: ProviderSpec) -> tuple[Key, ...]:
        """The system's keyring may take its time, so this is asked in a thread."""
        return (await asyncio.to_thread(self._keyring, spec)).keys

    async def adapter(self, spec: ProviderSpec) -> BatchAdapter:
        """With its SDK imported. Raises `NotImplementedError` that names who has batches."""
        adapter = self._adapters.adapter_for(spec)
        await self._ready(spec)
        return adapter

    def price(self, route: Route) -> Price | None:
        """The first time, reads the table of prices: to be asked in a thread."""
        return self._prices(route)

    def kept(self, target: Target, answers: Sequence[Answered]) -> list[tuple[str, Result]]:
        """The answers that may be stored, by the keys under which live requests look for them. From any thread."""
        found = []
        for answer in answers:
            if may_store(answer.result, answer.params):
                request = Request(target.route.spec, answer.messages, answer.params)
                found.append((cache_keys(request, (target,))[0], answer.result))
        return found

    async def store(self, answers: Sequence[tuple[str, Result]]) -> None:
        """Into the response cache; returns when they are there, so that nobody piles up more than it takes."""
        if self._cache is not None and answers:
            await self._cache.put_all(answers)
