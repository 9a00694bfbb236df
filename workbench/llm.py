"""The library face: `LLM`, a light view of the one engine that the process shares.

An `LLM` is a model, defaults and its own totals; keys, limits, pools and the cache belong to the process, so ten
objects for one account share that account's limits. Every call exists twice: plain for scripts, notebooks and threads,
and with an `a` in front for code that runs in a loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, cast

from workbench.core.errors import SomeFailed, UsageError, WorkbenchError
from workbench.core.events import Delta, Failed, Finished, StreamEvent
from workbench.core.messages import Prompt, messages_from
from workbench.core.params import params_from
from workbench.core.totals import UsageTotals
from workbench.core.types import CacheMode, Channel, Json, Message, Params, Priority, Request, Result
from workbench.loop_thread import shared_loop_thread
from workbench.progress import ProgressBar
from workbench.session.fanout import Ended, collect

if TYPE_CHECKING:
    from workbench.loop_thread import Host

Errors: TypeAlias = Literal["raise", "return"]
_jobs = count(1)


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
        if max_concurrent < 1:
            raise UsageError(f"max_concurrent must be at least 1, not {max_concurrent!r}.")
        self.model = model
        self.max_concurrent = max_concurrent
        self.max_retries = max_retries
        self._defaults = dict(defaults)
        self._job = f"llm-{next(_jobs)}"
        self._totals = UsageTotals()
        # Results arrive on the loop's thread while totals are read from any other.
        self._totals_lock = threading.Lock()

    # ---- many prompts

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        silent: bool = False,
        n: int = 1,
        cache: bool = True,
        *,
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[str]]:
        """Answers to one prompt or many, concurrently: a list per prompt, in order, with `n` texts each.

        Args:
            prompts: a string, a conversation, or a list of either.
            silent: print neither progress nor the summary line.
            n: independent samples per prompt, cached each on its own.
            cache: False asks the provider again and stores nothing.
            errors: "raise" raises `SomeFailed` after everything has ended, with all answers in it;
                "return" puts the error where the text would be.
            on_progress: called with (done, total) on the engine's thread.
            **params: temperature, max_tokens, reasoning_effort, …; unknown names go to the wire as they are.

        Raises:
            SomeFailed: one or more prompts failed; `.results` has the others.
            UsageError: a prompt is empty or None, or a parameter is of the wrong kind; nothing has been sent.
        """
        requests, width = self._requests(prompts, system_prompt, n, cache, params)
        before, started = self.totals, time.monotonic()
        with ProgressBar(len(requests), self.model, shown=not silent) as bar:
            report = _both(bar.update, on_progress)
            outcomes = shared_loop_thread().run(self._collecting(requests, report))
        if not silent:
            print_summary(self.totals.minus(before), time.monotonic() - started)
        return rows_from(outcomes, width, errors)

    async def agenerate(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        n: int = 1,
        cache: bool = True,
        *,
        errors: Errors = "raise",
        on_progress: Callable[[int, int], None] | None = None,
        **params: Json,
    ) -> list[list[str]]:
        """`generate`, awaited. Prints nothing."""
        return await self.answers(prompts, system_prompt, n, cache, errors, params, on_progress)

    # ---- one answer

    def chat(self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json) -> str:
        """The answer to a conversation. Raises what went wrong; `error.partial` has what had arrived."""
        return self.complete(messages, system_prompt, cache, **params).text

    async def achat(
        self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
    ) -> str:
        return (await self.acomplete(messages, system_prompt, cache, **params)).text

    def complete(
        self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
    ) -> Result:
        """Like `chat`, with everything known about the answer: reasoning, usage, cost, timing, finish reason."""
        request = self._request(messages, system_prompt, cache, params)
        return shared_loop_thread().run(lambda host: self._complete(host, request))

    async def acomplete(
        self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
    ) -> Result:
        request = self._request(messages, system_prompt, cache, params)
        return await shared_loop_thread().arun(lambda host: self._complete(host, request))

    def stream(
        self, messages: Prompt, system_prompt: str | None = None, cache: bool = True, **params: Json
    ) -> Iterator[str]:
        """Pieces of the answer's text as they arrive; leaving the loop early stops the request."""
        request = self._request(messages, system_prompt, cache, params)
        for event in shared_loop_thread().iterate(lambda host: self._stream(host, request)):
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
        request = self._request(messages, system_prompt, cache, params)
        async with aclosing(shared_loop_thread().aiterate(lambda host: self._stream(host, request))) as events:
            async for event in events:
                yield event

    # ---- totals

    @property
    def totals(self) -> UsageTotals:
        with self._totals_lock:
            return self._totals

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

    # ---- inside

    def _requests(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None,
        n: int,
        cache: bool,
        params: Mapping[str, Json],
    ) -> tuple[list[Request], int]:
        if n < 1:
            raise UsageError(f"n must be at least 1, not {n!r}.")
        made = [
            self._request(prompt, system_prompt, cache, params, where=f"prompt {place}: ")
            for place, prompt in enumerate(_as_prompts(prompts))
        ]
        return [replace(request, sample=sample, priority=Priority.BULK) for request in made for sample in range(n)], n

    def _request(
        self,
        prompt: Prompt,
        system_prompt: str | None,
        cache: bool,
        params: Mapping[str, Json],
        *,
        where: str = "",
    ) -> Request:
        return Request(
            model=self.model,
            messages=messages_from(prompt, system_prompt, where=where),
            params=self._params(params),
            cache=CacheMode.USE if cache else CacheMode.OFF,
            job=self._job,
            max_in_flight=self.max_concurrent,
            max_retries=self.max_retries,
        )

    def _params(self, params: Mapping[str, Json]) -> Params:
        return params_from({**self._defaults, **params})

    async def answers(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None,
        n: int,
        cache: bool,
        errors: Errors,
        params: Mapping[str, Json],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[list[str]]:
        requests, width = self._requests(prompts, system_prompt, n, cache, params)
        outcomes = await shared_loop_thread().arun(self._collecting(requests, _both(None, on_progress)))
        return rows_from(outcomes, width, errors)

    def _collecting(
        self, requests: Sequence[Request], report: Callable[[int, int], None]
    ) -> Callable[[Host], Awaitable[list[Result | WorkbenchError]]]:
        async def work(host: Host) -> list[Result | WorkbenchError]:
            done = count(1)

            def ended(_: Ended) -> None:
                report(next(done), len(requests))

            return await collect(
                lambda request: self._complete(host, request),
                requests,
                in_flight=self.max_concurrent,
                on_ended=ended,
            )

        return work

    async def _complete(self, host: Host, request: Request) -> Result:
        try:
            result = await host.engine.complete(request)
        except WorkbenchError as exc:
            self._record(host, request, exc.partial, exc)
            raise
        self._count(result)
        self._record(host, request, result)
        return result

    async def _stream(self, host: Host, request: Request) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(host.engine.stream(request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    self._count(event.result)
                    self._record(host, request, event.result)
                yield event
                if isinstance(event, Failed):
                    self._record(host, request, event.partial, event.error)
                    raise event.error

    def _count(self, result: Result) -> None:
        with self._totals_lock:
            self._totals = self._totals.plus(result)

    def _record(self, host: Host, request: Request, result: Result | None, error: WorkbenchError | None = None) -> None:
        if host.recorder is not None and result is not None:
            host.recorder.add_alone(request, result, error)


def rows_from(outcomes: Sequence[Result | WorkbenchError], width: int, errors: Errors) -> list[list[str]]:
    """One list a prompt. With errors="return" an error stands where its text would be, whatever the type says."""
    texts: list[object] = [outcome.text if isinstance(outcome, Result) else outcome for outcome in outcomes]
    rows = [texts[start : start + width] for start in range(0, len(texts), width)]
    if errors == "raise" and (failures := failures_in(texts)):
        raise SomeFailed(failures, rows)
    return cast("list[list[str]]", rows)


def failures_in(texts: Iterable[object]) -> list[WorkbenchError]:
    return [text for text in texts if isinstance(text, WorkbenchError)]


def _as_prompts(prompts: Prompt | Sequence[Prompt]) -> Sequence[Prompt]:
    """One prompt or many: a string is one, and so is a list that begins with a message."""
    if isinstance(prompts, str):
        return [prompts]
    if len(prompts) and isinstance(prompts[0], Message | Mapping):
        return [cast("Prompt", prompts)]
    return cast("Sequence[Prompt]", prompts)


def _both(
    first: Callable[[int, int], None] | None, second: Callable[[int, int], None] | None
) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        for callback in (first, second):
            if callback is not None:
                callback(done, total)

    return report


def print_summary(used: UsageTotals, elapsed_s: float) -> None:
    """The line that `generate` ends with, such as `  1204 in (512 cached) | 318 out | $0.0042 | 187 tok/s`."""
    cached = f" ({used.cached_tokens} cached)" if used.cached_tokens else ""
    parts = [f"{used.input_tokens} in{cached}", f"{used.output_tokens} out"]
    if used.cost_usd:
        parts.append(f"${used.cost_usd:.4f}{'+' if used.unpriced else ''}")
    if used.output_tokens and elapsed_s > 0:
        parts.append(f"{used.output_tokens / elapsed_s:.0f} tok/s")
    if used.cache_hits:
        parts.append(f"{used.cache_hits} from cache")
    print(f"  {' | '.join(parts)}")
