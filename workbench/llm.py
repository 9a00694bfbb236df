"""The library face: `LLM`, a light view of the one engine that the process shares.

An `LLM` is a model, defaults and its own totals; keys, limits, pools and the cache belong to the process, so ten
objects for one account share that account's limits. Every call exists twice: plain for scripts, notebooks and threads,
and with an `a` in front for code that runs in a loop.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from workbench.asking import Asker
from workbench.core.events import Delta, StreamEvent
from workbench.core.messages import Prompt, messages_from
from workbench.core.schema import OutputSchema, schema_from
from workbench.core.totals import UsageTotals
from workbench.core.types import Channel, Json, Result
from workbench.loop_thread import shared_loop_thread
from workbench.progress import ProgressBar, print_summary
from workbench.session.fanout import Errors, rows_of
from workbench.session.token_count import TokenCount, estimated

if TYPE_CHECKING:
    pass

T = TypeVar("T")


class LLM:
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

    # ---- many prompts

    @overload
    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        silent: bool = False,
        n: int = 1,
        cache: bool = True,
        *,
        schema: None = None,
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[str]]: ...

    @overload
    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        silent: bool = False,
        n: int = 1,
        cache: bool = True,
        *,
        schema: type[T],
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[T]]: ...

    @overload
    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        silent: bool = False,
        n: int = 1,
        cache: bool = True,
        *,
        schema: Mapping[str, Json] | OutputSchema,
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[Any]]: ...

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        silent: bool = False,
        n: int = 1,
        cache: bool = True,
        *,
        schema: Any = None,
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[Any]]:
        """Answers to one prompt or many, concurrently: a list per prompt, in order, with `n` texts each.

        Each is asked for in one piece, which costs less than a stream; `chat` and `stream` stream.

        Args:
            prompts: a string, a conversation, or a list of either.
            silent: print neither progress nor the summary line.
            n: independent samples per prompt, cached each on its own.
            cache: False asks the provider again and stores nothing.
            schema: what each answer must be: a dataclass, a TypedDict, a pydantic model, or a JSON schema. Objects of
                that kind are returned instead of texts. The provider's own constrained decoding is used where there is
                one; every answer is checked here, and one that does not fit is sent back once.
            errors: "raise" raises `SomeFailed` after everything has ended, with all answers in it;
                "return" puts the error where the answer would be, whatever the type says.
            on_progress: called with (done, total) on the engine's thread.
            **params: temperature, max_tokens, reasoning_effort, …; unknown names go to the wire as they are.

        Raises:
            SomeFailed: one or more prompts failed; `.results` has the others. An answer that fits its schema not even
                after the repair is an `InvalidOutput`.
            UsageError: a prompt is empty or None, a parameter is of the wrong kind, or the schema is none; nothing
                has been sent.
        """
        requests, width = self._asker.requests(prompts, system_prompt, n, cache, params)
        before, started = self.totals, time.monotonic()
        with ProgressBar(len(requests), self.model, shown=not silent) as bar:
            report = _both(bar.update, on_progress)
            outcomes = shared_loop_thread().run(self._asker.collecting(requests, report, _schema(schema)))
        if not silent:
            print_summary(self.totals.minus(before), time.monotonic() - started)
        return rows_of(outcomes, width, errors)

    @overload
    async def agenerate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        n: int = 1,
        cache: bool = True,
        *,
        schema: None = None,
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[str]]: ...

    @overload
    async def agenerate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        n: int = 1,
        cache: bool = True,
        *,
        schema: type[T],
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[T]]: ...

    @overload
    async def agenerate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        n: int = 1,
        cache: bool = True,
        *,
        schema: Mapping[str, Json] | OutputSchema,
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[Any]]: ...

    async def agenerate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        n: int = 1,
        cache: bool = True,
        *,
        schema: Any = None,
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[Any]]:
        """`generate`, awaited. Prints nothing."""
        return await self.answers(prompts, system_prompt, n, cache, errors, params, on_progress, schema)

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
        request, wanted = self._asker.request(messages, system_prompt, cache, params), _schema(schema)
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
        request, wanted = self._asker.request(messages, system_prompt, cache, params), _schema(schema)
        return await shared_loop_thread().arun(lambda host: self._asker.answer(host, request, wanted))

    def complete(
        self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
    ) -> Result:
        """Like `chat`, with everything known about the answer: reasoning, usage, cost, timing, finish reason."""
        request = self._asker.request(messages, system_prompt, cache, params)
        return shared_loop_thread().run(lambda host: self._asker.complete(host, request))

    async def acomplete(
        self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
    ) -> Result:
        request = self._asker.request(messages, system_prompt, cache, params)
        return await shared_loop_thread().arun(lambda host: self._asker.complete(host, request))

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

    async def answers(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None,
        n: int,
        cache: bool,
        errors: Errors,
        params: Mapping[str, Json],
        on_progress: Callable[[int, int], None] | None = None,
        schema: Any = None,
    ) -> list[list[Any]]:
        requests, width = self._asker.requests(prompts, system_prompt, n, cache, params)
        work = self._asker.collecting(requests, _both(None, on_progress), _schema(schema))
        return rows_of(await shared_loop_thread().arun(work), width, errors)

    # ---- totals

    @property
    def totals(self) -> UsageTotals:
        return self._asker.totals

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


def _schema(wanted: Any) -> OutputSchema | None:
    return None if wanted is None else schema_from(wanted)


def _both(
    first: Callable[[int, int], None] | None, second: Callable[[int, int], None] | None
) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        for callback in (first, second):
            if callback is not None:
                callback(done, total)

    return report
