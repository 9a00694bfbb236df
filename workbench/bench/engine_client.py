"""The whole engine as a client of `wire_client`: routing, limits, history of keys and metrics included, cache off."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from time import perf_counter

from workbench.core.events import Delta
from workbench.core.settings import CacheSettings, LimitSettings, ProviderSettings, Settings
from workbench.core.types import CacheMode, Message, Priority, Request
from workbench.engine.engine import Engine


class EngineClient:
    """`complete`, as `LLM.generate` calls it, or `stream`, as a pane does."""

    def __init__(self, model: str, key: str) -> None:
        self._model = model
        self._key = key
        self._stack = AsyncExitStack()
        self._engine: Engine | None = None
        self._base_url = ""
        # Sixty-four workers ask at once for an engine that is not open yet.
        self._opening = asyncio.Lock()

    async def stream(self, base_url: str, prompt: str) -> tuple[int, float]:
        engine = await self._engine_for(base_url)
        characters, first_s, started = 0, 0.0, perf_counter()
        async with aclosing(engine.stream(self._request(prompt))) as events:
            async for event in events:
                if type(event) is Delta:
                    first_s = first_s or perf_counter() - started
                    characters += len(event.text)
        return characters, first_s

    async def request(self, base_url: str, prompt: str) -> int:
        engine = await self._engine_for(base_url)
        return len((await engine.complete(self._request(prompt), stream=False)).text)

    async def aclose(self) -> None:
        await self._stack.aclose()
        self._engine = None

    def _request(self, prompt: str) -> Request:
        # Sixty-four times the same words would be one call: a bench measures sixty-four.
        return Request(self._model, (Message.user(prompt),), cache=CacheMode.OFF, priority=Priority.BULK)

    async def _engine_for(self, base_url: str) -> Engine:
        async with self._opening:
            if self._engine is None or base_url != self._base_url:
                await self.aclose()
                self._engine = await self._stack.enter_async_context(bench_engine(base_url, self._key, cached=False))
                self._base_url = base_url
            return self._engine


@asynccontextmanager
async def bench_engine(
    base_url: str, key: str, *, cached: bool, root: Path | None = None, provider: str = "openai"
) -> AsyncIterator[Engine]:
    """An engine whose provider is `base_url`, with nothing of this person's. Its files are under `root`, or nowhere."""
    with tempfile.TemporaryDirectory() as temporary:
        place = root or Path(temporary)
        settings = Settings(
            providers={provider: ProviderSettings(base_url=base_url, keys=key)},
            limits=LimitSettings(max_concurrent=1024),
            cache=CacheSettings(enabled=cached),
        )
        environ = {f"LLM_{name}_DIR": str(place / name.lower()) for name in ("CONFIG", "CACHE", "STATE", "DATA")}
        async with Engine(settings, environ=environ) as engine:
            yield engine
