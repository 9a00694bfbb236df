from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

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
    # Without certificates to load a client is made in a tenth of the time; all of this is cleartext.
    async with httpx.AsyncClient(timeout=60, verify=False) as client:
        yield client


@pytest.fixture
async def sdk(simulator: SimulatorThread) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=simulator.base_urls["openai"],
        api_key=simulator.api_key,
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(verify=False),
    ) as client:
        yield client
