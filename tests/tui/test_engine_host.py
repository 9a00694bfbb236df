"""The task that keeps an engine open for the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tui_stage import until

from workbench.core.errors import ConfigError
from workbench.core.settings import Settings
from workbench.session.comparison import Unexpected
from workbench.tui.app import WorkbenchApp
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


async def test_the_status_line_says_that_there_is_no_engine_and_why() -> None:
    @asynccontextmanager
    async def broken(demo: bool) -> AsyncIterator[OpenEngine]:
        raise ConfigError("prices.toml:1:8: not valid TOML.")
        yield

    app = WorkbenchApp(Settings(), models=("gpt-5.4",), opener=broken)
    async with app.run_test(size=(120, 35)) as pilot:
        await until(pilot, lambda: "no engine: prices.toml:1:8" in app.compare.status.plain)
