"""What an `LLM` does on the engine's loop: turns calls into requests, asks, checks, counts, records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING, Any

from workbench.core.errors import UsageError, WorkbenchError
from workbench.core.events import Failed, Finished, StreamEvent
from workbench.core.messages import Prompt, messages_from, prompts_from
from workbench.core.params import params_from
from workbench.core.schema import OutputSchema
from workbench.core.totals import UsageTotals
from workbench.core.types import CacheMode, Json, Message, Params, Priority, Request, Result
from workbench.engine.embedding import EmbeddingRequest
from workbench.session.fanout import Ended, collect
from workbench.session.structured import Structured, Structurer
from workbench.session.token_count import TokenCount, counted

if TYPE_CHECKING:
    from workbench.loop_thread import Host

_jobs = count(1)


class Asker:
    """One `LLM`'s choices, and the totals of what it has asked."""

    def __init__(self, model: str, max_concurrent: int, max_retries: int, defaults: Mapping[str, Json]) -> None:
        if max_concurrent < 1:
            raise UsageError(f"max_concurrent must be at least 1, not {max_concurrent!r}.")
        self.model = model
        self.max_concurrent = max_concurrent
        self.max_retries = max_retries
        self.defaults = dict(defaults)
        self._job = f"llm-{next(_jobs)}"
        self._structurer = Structurer()
        self._totals = UsageTotals()
        self._counted_jobs: set[str] = set()
        """Replaced on the loop's thread alone, as a whole, and read from any other: nothing for a fork to leave
        locked."""

    @property
    def totals(self) -> UsageTotals:
        return self._totals

    def requests(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None,
        n: int,
        cache: bool,
        params: Mapping[str, Json],
    ) -> tuple[list[Request], int]:
        if n < 1:
            raise UsageError(f"n must be at least 1, not {n!r}.")
        # One for all: what goes on the wire beside the words is then worked out once.
        chosen = self.params_of(params)
        said = [
            messages_from(prompt, system_prompt, where=f"prompt {place}: ")
            for place, prompt in enumerate(prompts_from(prompts))
        ]
        return [
            self._request(messages, cache, chosen, sample, Priority.BULK) for messages in said for sample in range(n)
        ], n

    def request(self, prompt: Prompt, system_prompt: str | None, cache: bool, params: Mapping[str, Json]) -> Request:
        return self._request(messages_from(prompt, system_prompt), cache, self.params_of(params))

    def _request(
        self,
        messages: tuple[Message, ...],
        cache: bool,
        params: Params,
        sample: int = 0,
        priority: Priority = Priority.INTERACTIVE,
    ) -> Request:
        return Request(
            model=self.model,
            messages=messages,
            params=params,
            cache=CacheMode.USE if cache else CacheMode.OFF,
            sample=sample,
            priority=priority,
            job=self._job,
            max_in_flight=self.max_concurrent,
            max_retries=self.max_retries,
        )

    def params_of(self, params: Mapping[str, Json]) -> Params:
        chosen = {**self.defaults, **params}
        if "schema" in chosen:
            raise UsageError(
                "A schema= is an argument of `generate`, `chat` and `complete`, and of nothing else.",
                hint="A stream's pieces are there before anybody can check them; pass response_format= to have the "
                "provider alone hold to it.",
            )
        return params_from(chosen)

    def collecting(
        self, requests: Sequence[Request], report: Callable[[int, int], None], schema: OutputSchema | None
    ) -> Callable[[Host], Awaitable[list[Any]]]:
        """Texts, or objects with a schema; errors in their places."""

        async def work(host: Host) -> list[Any]:
            done = count(1)

            def ended(_: Ended[Any]) -> None:
                report(next(done), len(requests))

            return await collect(
                # In one piece: nobody watches these, and it costs a third of the CPU of a stream.
                lambda request: self.answer(host, request, schema, stream=False),
                requests,
                in_flight=self.max_concurrent,
                on_ended=ended,
            )

        return work

    async def answer(self, host: Host, request: Request, schema: OutputSchema | None, *, stream: bool = True) -> Any:
        """The text, or the object that fits the schema."""
        if schema is None:
            return (await self.complete(host, request, stream=stream)).text
        return (await self.structured(host, request, schema, stream=stream)).value

    async def structured(
        self, host: Host, request: Request, schema: OutputSchema, *, stream: bool = True
    ) -> Structured[Any]:
        return await self._structurer.ask(lambda asked: self.complete(host, asked, stream=stream), request, schema)

    async def complete(self, host: Host, request: Request, *, stream: bool = True) -> Result:
        try:
            result = await host.engine.complete(request, stream=stream)
        except WorkbenchError as exc:
            self._record(host, request, exc.partial, exc)
            raise
        self._count(result)
        self._record(host, request, result)
        if host.recorder is not None:
            await host.recorder.room()
        return result

    async def stream(self, host: Host, request: Request) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(host.engine.stream(request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    self._count(event.result)
                    self._record(host, request, event.result)
                yield event
                if isinstance(event, Failed):
                    self._record(host, request, event.partial, event.error)
                    raise event.error

    def embedding(self, texts: Sequence[str], dimensions: int | None, cache: bool) -> EmbeddingRequest:
        return EmbeddingRequest(
            model=self.model,
            texts=(texts,) if isinstance(texts, str) else tuple(texts),
            dimensions=dimensions,
            cache=CacheMode.USE if cache else CacheMode.OFF,
            job=self._job,
            max_in_flight=self.max_concurrent,
            max_retries=self.max_retries,
        )

    async def embed(self, host: Host, request: EmbeddingRequest) -> list[list[float]]:
        embedded = await host.engine.embed(request)
        self._totals = self._totals.plus_hits(embedded.cached)
        for result in embedded.results:
            self._count(result)
            # Its texts are no prompts that anybody would look for; what they cost is.
            self._record(host, request.as_request(["(texts to embed)"]), result)
        return [list(vector) for vector in embedded.vectors]

    async def count_exactly(self, host: Host, messages: tuple[Message, ...]) -> TokenCount:
        target = host.engine.route(self.model)[0]
        return await asyncio.to_thread(counted, messages, target.route.wire_model)

    def count_job(self, job_id: str, results: Sequence[Result]) -> None:
        """What a batch came to: once, however often it is retrieved."""
        if job_id not in self._counted_jobs:
            self._counted_jobs.add(job_id)
            for result in results:
                self._count(result)

    def _count(self, result: Result) -> None:
        self._totals = self._totals.plus(result)

    def _record(self, host: Host, request: Request, result: Result | None, error: WorkbenchError | None = None) -> None:
        if host.recorder is not None and result is not None:
            host.recorder.add_alone(request, result, error)
