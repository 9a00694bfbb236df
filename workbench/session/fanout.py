"""Many requests, a bounded number of them under way, results as they end: what a list of prompts or a file becomes.

Requests are taken from their source only when there is room, so a hundred thousand rows cost the memory of the few
that are running. One that fails is a value like the others and stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from workbench.core.errors import WorkbenchError
from workbench.core.types import Request, Result

Complete = Callable[[Request], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Ended:
    """One request is over: `index` is its place in the source."""

    index: int
    request: Request
    result: Result | WorkbenchError


async def fan_out(complete: Complete, requests: Iterable[Request], *, in_flight: int) -> AsyncGenerator[Ended, None]:
    """Yield each request's end as it comes, out of order. Closing the generator cancels what is still running.

    An exception that is not a WorkbenchError is a fault of this program: it ends everything and is raised.
    """
    source: Iterator[tuple[int, Request]] = enumerate(requests)
    ended: asyncio.Queue[Ended | None] = asyncio.Queue()

    async def work() -> None:
        for index, request in source:
            try:
                outcome: Result | WorkbenchError = await complete(request)
            except WorkbenchError as exc:
                outcome = exc
            ended.put_nowait(Ended(index, request, outcome))

    async def drive() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, in_flight)):
                    group.create_task(work())
        finally:
            ended.put_nowait(None)

    driver = asyncio.create_task(drive())
    try:
        while (item := await ended.get()) is not None:
            yield item
        await driver
    finally:
        driver.cancel()
        await asyncio.wait([driver])


async def collect(
    complete: Complete,
    requests: Iterable[Request],
    *,
    in_flight: int,
    on_ended: Callable[[Ended], None] | None = None,
) -> list[Result | WorkbenchError]:
    """All of them, in the order of the source."""
    outcomes: dict[int, Result | WorkbenchError] = {}
    async with aclosing(fan_out(complete, requests, in_flight=in_flight)) as ends:
        async for ended in ends:
            outcomes[ended.index] = ended.result
            if on_ended is not None:
                on_ended(ended)
    return [outcomes[index] for index in range(len(outcomes))]
