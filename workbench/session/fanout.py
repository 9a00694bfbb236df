"""Many requests, a bounded number of them under way, results as they end: what a list of prompts or a file becomes.

Requests are taken from their source only when there is room, so a hundred thousand rows cost the memory of the few
that are running. One that fails is a value like the others and stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from workbench.core.errors import SomeFailed, WorkbenchError
from workbench.core.types import Request, Result

Complete = Callable[[Request], Awaitable[Result]]
T = TypeVar("T")

Errors: TypeAlias = Literal["raise", "return"]
"""What becomes of a request that failed among others."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """One request is over: `index` is its place in the source."""

    index: int
    request: Request
    result: T | WorkbenchError


async def fan_out(
    complete: Callable[[Request], Awaitable[T]], requests: Iterable[Request], *, in_flight: int
) -> AsyncGenerator[Ended[T], None]:
    """Yield each request's end as it comes, out of order. Closing the generator cancels what is still running.

    Whoever reads slowly is not run ahead of: no more ends wait to be read than requests may be under way. An exception
    that is not a WorkbenchError is a fault of this program: it ends everything and is raised.
    """
    source: Iterator[tuple[int, Request]] = enumerate(requests)
    width = max(1, in_flight)
    ended: asyncio.Queue[Ended[T] | None] = asyncio.Queue(width)
    is_read = True

    async def work() -> None:
        for index, request in source:
            try:
                outcome: T | WorkbenchError = await complete(request)
            except WorkbenchError as exc:
                outcome = exc
            await ended.put(Ended(index, request, outcome))

    async def drive() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(width):
                    group.create_task(work())
        finally:
            if is_read:
                await ended.put(None)

    driver = asyncio.create_task(drive())
    try:
        while (item := await ended.get()) is not None:
            yield item
        await driver
    finally:
        is_read = False
        driver.cancel()
        await asyncio.wait([driver])


async def collect(
    complete: Callable[[Request], Awaitable[T]],
    requests: Iterable[Request],
    *,
    in_flight: int,
    on_ended: Callable[[Ended[T]], None] | None = None,
) -> list[T | WorkbenchError]:
    """All of them, in the order of the source."""
    outcomes: dict[int, T | WorkbenchError] = {}
    async with aclosing(fan_out(complete, requests, in_flight=in_flight)) as ends:
        async for ended in ends:
            outcomes[ended.index] = ended.result
            if on_ended is not None:
                on_ended(ended)
    return [outcomes[index] for index in range(len(outcomes))]


def rows_of(outcomes: Sequence[Any], width: int, errors: Errors) -> list[list[Any]]:
    """One list a prompt, `width` outcomes in each. With errors="return" an error stands where an answer would be.

    Raises SomeFailed otherwise, with the rows in it.
    """
    rows = [list(outcomes[start : start + width]) for start in range(0, len(outcomes), width)]
    if errors == "raise" and (failures := failures_in(outcomes)):
        raise SomeFailed(failures, rows)
    return rows


def failures_in(outcomes: Iterable[object]) -> list[WorkbenchError]:
    return [outcome for outcome in outcomes if isinstance(outcome, WorkbenchError)]
