from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from workbench.simulator.server import SimulatorThread


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread("fast", seed=11) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: SimulatorThread) -> SimulatorThread:
    """One for all tests, as if just started."""
    running_simulator.reset()
    return running_simulator


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield client
