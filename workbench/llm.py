"""The library face: `LLM`, a light view of the one engine that the process shares.

An `LLM` is a model, defaults and its own totals; keys, limits, pools and the cache belong to the process, so ten
objects for one account share that account's limits. Every call exists twice: plain for scripts, notebooks and threads,
and with an `a` in front for code that runs in a loop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self, TypeVar, overload

from workbench.asking import Asker
from workbench.core.events import Delta, StreamEvent
from workbench.core.messages import Prompt, messages_from
from workbench.core.schema import OutputSchema, wanted_schema
from workbench.core.types import Channel, Json, Result
from workbench.llm_batch import BatchCalls
from workbench.llm_lists import ListCalls
from workbench.loop_thread import Host, shared_loop_thread
from workbench.session.structured import Structured
from workbench.session.token_count import TokenCount, estimated

T = TypeVar("T")


class LLM(ListCalls, BatchCalls):
    """A model to ask.

    Args:
        model: `gpt-5.4-mini`, `anthropic/claude-sonnet-4-6`, `local/qwen3-8b`, an alias, or a chain `a | b`.
        max_concurrent: requests of this object in flight at once, at most; the account's own limits stay below it.
        max_retries: of errors that pass (5xx, broken connections); a rate limit is waited for and is not a retry.
        **defaults: parameters for every call, as `generate` takes them.

    Used as a context manager it does nothing at the end but make the scope visible: the engine is the process's.
    """

    def __init__(self, model: str, max_concurrent: int = 32, max_retries: int = 2, **defaults: Json) -> None:
        self.model = model
        self.max_concurrent = max_concurrent
        self.max_retries = max_retries
        self._asker = Asker(model, max_concurrent, max_retries, defaults)

    # ---- one answer

    @overload
    def chat(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: None = None,
        **params: Json,
    ) -> str: ...

    @overload
    def chat(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: type[T],
        **params: Json,
    ) -> T: ...

    @overload
    def chat(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: Mapping[str, Json] | OutputSchema,
        **params: Json,
    ) -> Any: ...

    def chat(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: Any = None,
        **params: Json,
    ) -> Any:
        """The answer to a conversation: a text, or with a `schema` (see `generate`) an object that fits it.

        Raises what went wrong; `error.partial` has what had arrived.
        """
        request, wanted = self._asker.request(messages, system_prompt, cache, params), wanted_schema(schema)
        return shared_loop_thread().run(lambda host: self._asker.answer(host, request, wanted))

    @overload
    async def achat(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: None = None,
        **params: Json,
    ) -> str: ...

    @overload
    async def achat(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: type[T],
        **params: Json,
    ) -> T: ...

    @overload
    async def achat(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: Mapping[str, Json] | OutputSchema,
        **params: Json,
    ) -> Any: ...

    async def achat(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: Any = None,
        **params: Json,
    ) -> Any:
        """`chat`, awaited."""
        request, wanted = self._asker.request(messages, system_prompt, cache, params), wanted_schema(schema)
        return await shared_loop_thread().arun(lambda host: self._asker.answer(host, request, wanted))

    @overload
    def complete(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: None = None,
        **params: Json,
    ) -> Result: ...

    @overload
    def complete(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: type[T],
        **params: Json,
    ) -> Structured[T]: ...

    @overload
    def complete(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: Mapping[str, Json] | OutputSchema,
        **params: Json,
    ) -> Structured[Any]: ...

    def complete(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: Any = None,
        **params: Json,
    ) -> Any:
        """Like `chat`, with everything known about the answer: reasoning, usage, cost, timing, finish reason.

        With a `schema` that is the `.result` of what is returned, beside the object as its `.value`.
        """
        return shared_loop_thread().run(self._completing(messages, system_prompt, cache, schema, params))

    @overload
    async def acomplete(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: None = None,
        **params: Json,
    ) -> Result: ...

    @overload
    async def acomplete(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: type[T],
        **params: Json,
    ) -> Structured[T]: ...

    @overload
    async def acomplete(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: Mapping[str, Json] | OutputSchema,
        **params: Json,
    ) -> Structured[Any]: ...

    async def acomplete(
        self,
        messages: Prompt,
        system_prompt: str | None = None,
        cache: bool = True,
        *,
        schema: Any = None,
        **params: Json,
    ) -> Any:
        """`complete`, awaited."""
        return await shared_loop_thread().arun(self._completing(messages, system_prompt, cache, schema, params))

    def _completing(
        self, messages: Prompt, system_prompt: str | None, cache: bool, schema: Any, params: Mapping[str, Json]
    ) -> Callable[[Host], Awaitable[Result | Structured[Any]]]:
        request, wanted = self._asker.request(messages, system_prompt, cache, params), wanted_schema(schema)
        if wanted is None:
            return lambda host: self._asker.complete(host, request)
        return lambda host: self._asker.structured(host, request, wanted)

    def stream(
        self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
    ) -> Iterator[str]:
        """Pieces of the answer's text as they arrive; leaving the loop early stops the request."""
        request = self._asker.request(messages, system_prompt, cache, params)
        for event in shared_loop_thread().iterate(lambda host: self._asker.stream(host, request)):
            if isinstance(event, Delta) and event.channel is Channel.TEXT:
                yield event.text

    async def astream(
        self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
    ) -> AsyncGenerator[str, None]:
        async with aclosing(self.astream_events(messages, system_prompt, cache, **params)) as events:
            async for event in events:
                if isinstance(event, Delta) and event.channel is Channel.TEXT:
                    yield event.text

    async def astream_events(
        self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
    ) -> AsyncGenerator[StreamEvent, None]:
        """Everything that happens to the request: waiting with its reason, reasoning, usage, the result."""
        request = self._asker.request(messages, system_prompt, cache, params)
        async with aclosing(shared_loop_thread().aiterate(lambda host: self._asker.stream(host, request))) as events:
            async for event in events:
                yield event

    # ---- embeddings

    def embed(self, texts: Sequence[str], *, dimensions: int | None = None, cache: bool = True) -> list[list[float]]:
        """A vector for each text, in their order.

        Texts go out in requests of the provider's size (up to 100), at most `max_concurrent` of them at once, and each
        text's vector is cached on its own. In `totals` each of those requests counts as one, and so does each text
        that came from the cache.

        Args:
            dimensions: shorter vectors, from models that can give them.
            cache: False asks the provider again and stores nothing.

        Raises:
            UsageError: a text is empty or None, or the provider has no embeddings; nothing has been sent.
            WorkbenchError: what the first failed request came to, after all have ended. The others' vectors are cached.
        """
        request = self._asker.embedding(texts, dimensions, cache)
        return shared_loop_thread().run(lambda host: self._asker.embed(host, request))

    async def aembed(
        self, texts: Sequence[str], *, dimensions: int | None = None, cache: bool = True
    ) -> list[list[float]]:
        """`embed`, awaited."""
        request = self._asker.embedding(texts, dimensions, cache)
        return await shared_loop_thread().arun(lambda host: self._asker.embed(host, request))

    # ---- token counts

    def count_tokens(self, messages: Prompt, system_prompt: str | None = None, *, exact: bool = False) -> TokenCount:
        """How many tokens of input a prompt is to this model.

        Args:
            exact: with the model's own tokenizer instead of characters over four. It is loaded then, which takes half
                a second; where it is not public or cannot be loaded, the result is the estimate and says why.
        """
        said = messages_from(messages, system_prompt)
        if not exact:
            return estimated(said)
        return shared_loop_thread().run(lambda host: self._asker.count_exactly(host, said))

    async def acount_tokens(
        self, messages: Prompt, system_prompt: str | None = None, *, exact: bool = False
    ) -> TokenCount:
        """`count_tokens`, awaited; the tokenizer is loaded in a thread."""
        said = messages_from(messages, system_prompt)
        if not exact:
            return estimated(said)
        return await shared_loop_thread().arun(lambda host: self._asker.count_exactly(host, said))

    # ---- totals

    @property
    def total_input_tokens(self) -> int:
        return self.totals.input_tokens

    @property
    def total_output_tokens(self) -> int:
        return self.totals.output_tokens

    @property
    def total_cached_tokens(self) -> int:
        return self.totals.cached_tokens

    @property
    def total_cost(self) -> float:
        """US dollars, over the answers whose price is known; `totals.unpriced` counts the others."""
        return self.totals.cost_usd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __repr__(self) -> str:
        return f"LLM({self.model!r}, max_concurrent={self.max_concurrent}, max_retries={self.max_retries})"
