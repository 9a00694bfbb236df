"""Drawing again while nothing happens: a line that counts down has to move by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

EVERY_S = 0.25
"""Often enough for whole seconds to change evenly."""


@asynccontextmanager
async def ticking(draw: Callable[[], None], every_s: float = EVERY_S) -> AsyncIterator[None]:
    """Call `draw` again and again inside the block, the first time when its body first waits."""
    task = asyncio.create_task(_tick(draw, every_s))
    try:
        yield
    finally:
        task.cancel()
        # A line that could not be drawn is no reason to lose the answers; whoever writes next meets the same trouble.
        await asyncio.gather(task, return_exceptions=True)


async def _tick(draw: Callable[[], None], every_s: float) -> None:
    while True:
        draw()
        await asyncio.sleep(every_s)
