from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from batch_wire_kit import Desk, Place

from workbench.simulator.server import SimulatorThread


@pytest.fixture(scope="session")
def batch_simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread("fast", seed=5) as running:
        yield running


@pytest.fixture
def simulator(batch_simulator: SimulatorThread) -> SimulatorThread:
    """One for all tests, as if just started."""
    batch_simulator.reset()
    return batch_simulator


@pytest.fixture
async def desk(simulator: SimulatorThread, place: Place) -> AsyncIterator[Desk]:
    desk = Desk(place, simulator.base_urls)
    yield desk
    await desk.connections.aclose()
