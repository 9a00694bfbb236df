from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from provider_kit import Wire, wired

from workbench.simulator.server import SimulatorThread


@pytest.fixture(scope="session")
def simulator_of_session() -> Iterator[SimulatorThread]:
    with SimulatorThread("fast", seed=7) as running:
        yield running


@pytest.fixture
def simulator(simulator_of_session: SimulatorThread) -> SimulatorThread:
    """One simulator for all wire tests, with a clean journal for each."""
    simulator_of_session.call(lambda simulation: simulation.journal.reset())
    return simulator_of_session


@pytest.fixture
async def wire(simulator: SimulatorThread) -> AsyncIterator[Wire]:
    async with wired(simulator.base_urls) as wire:
        yield wire
