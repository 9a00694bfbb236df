"""`LLM`'s calls for lists of prompts: concurrently, in one piece each, with a bar and a line at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from workbench.asking import Asker
from workbench.core.messages import Prompt
from workbench.core.schema import OutputSchema, wanted_schema
from workbench.core.totals import UsageTotals
from workbench.core.types import Json
from workbench.loop_thread import shared_loop_thread
from workbench.progress import ProgressBar, print_summary
from workbench.session.fanout import Errors, rows_of

T = TypeVar("T")


class ListCalls:
    """What `LLM` says about many prompts at once."""

    model: str
    _asker: Asker

    @property
    def totals(self) -> UsageTotals:
        return self._asker.totals

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
            outcomes = shared_loop_thread().run(self._asker.collecting(requests, report, wanted_schema(schema)))
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
        """`agenerate` with everything by its place, for whoever hands it on."""
        requests, width = self._asker.requests(prompts, system_prompt, n, cache, params)
        work = self._asker.collecting(requests, _both(None, on_progress), wanted_schema(schema))
        return rows_of(await shared_loop_thread().arun(work), width, errors)


def _both(
    first: Callable[[int, int], None] | None, second: Callable[[int, int], None] | None
) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        for callback in (first, second):
            if callback is not None:
                callback(done, total)

    return report
