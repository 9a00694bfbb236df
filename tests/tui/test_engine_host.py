"""The task that keeps an engine open for the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from workbench.session.comparison import Unexpected
from workbench.tui.host import EngineHost, OpenEngine


@pytest.mark.parametrize("fault", [TypeError("no such argument"), OSError("disk"), KeyError("name")])
async def test_whoever_waits_hears_of_any_fault_that_keeps_the_engine_shut(fault: Exception) -> None:
    @asynccontextmanager
    async def broken(demo: bool) -> AsyncIterator[OpenEngine]:
        raise fault
        yield

    host = EngineHost(broken, demo=True)
    told: list[object] = []
    host.on_open = told.append
    running = asyncio.create_task(host.run())

    with pytest.raises(Unexpected, match=type(fault).__name__):
        await host.engine()

    assert [type(what) for what in told] == [Unexpected]
    host.close()
    await running
