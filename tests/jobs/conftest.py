from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from jobs_kit import World

from workbench.jobs.desk import JobDesk
from workbench.simulator.server import SimulatorThread


@pytest.fixture(scope="session")
def job_simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread("fast", seed=7) as running:
        yield running


@pytest.fixture
def world(job_simulator: SimulatorThread, tmp_path: Path) -> World:
    """One simulator for all tests, as if just started; directories of its own for each."""
    job_simulator.reset()
    return World(job_simulator, tmp_path)


@pytest.fixture
async def desk(world: World) -> AsyncIterator[JobDesk]:
    async with world.desk() as desk:
        yield desk
