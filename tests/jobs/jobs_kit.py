"""What the tests of batch jobs share: providers at the simulator, a desk that wastes no time, and its rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from workbench.core.settings import Settings
from workbench.core.types import Message, Params
from workbench.engine.engine import Engine
from workbench.jobs.desk import JobDesk
from workbench.jobs.job import Job, JobRow
from workbench.jobs.pace import Pace
from workbench.jobs.rows import Row
from workbench.simulator.batch_book import Batch, BatchPace
from workbench.simulator.models import Provider
from workbench.simulator.server import SimulatorThread

MODELS = {
    "openai": "gpt-4.1-nano",
    "anthropic": "anthropic/claude-haiku-4-5",
    "gemini": "gemini/gemini-2.5-flash-lite",
    "together": "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
}
HASTE = Pace(first_s=0.02, slow_s=0.1, slowest_s=0.2, sweep_s=0.05, settle_s=0.2, lease_s=30.0, tries=1)
SLOW = BatchPace(validate_s=60.0, rows_per_s=0.1, finalize_s=60.0, brief=True)
"""Nothing ends before a test lets time pass."""
A_WHILE_S = 300.0
"""More than a dozen rows take then; less than two clocks may differ."""
AT_ONCE = BatchPace(validate_s=0.0, rows_per_s=float("inf"), finalize_s=0.0, cancel_s=0.0, brief=True)

WAIT_S = 150.0
"""For what happens within a second unless the machine stands still."""


def rows_of(count: int, *, start: int = 0) -> Iterator[Row]:
    for number in range(start, start + count):
        yield Row(number + 1, f"r{number}", (Message.user(f"Name river number {number}."),), Params(max_tokens=40))


def environment(base_urls: Mapping[str, str], root: Path, **keys: str) -> dict[str, str]:
    """Variables of a person with a key for every provider, or with those given: `OPENAI="sim-key-2"`."""
    chosen = {provider.upper(): "sim-key-1" for provider in MODELS} | keys
    variables = {f"{name}_API_KEY": key for name, key in chosen.items() if key}
    variables |= {f"{provider.upper()}_BASE_URL": base_urls[provider] for provider in MODELS}
    return variables | {f"LLM_{name.upper()}_DIR": str(root / name) for name in ("config", "cache", "state", "data")}


@dataclass
class World:
    """A simulator, and one person's directories."""

    simulator: SimulatorThread
    root: Path

    @property
    def database(self) -> Path:
        return self.root / "data" / "workbench.sqlite3"

    @asynccontextmanager
    async def engine(self, settings: Settings | None = None, **keys: str) -> AsyncIterator[Engine]:
        environ = environment(self.simulator.base_urls, self.root, **keys)
        async with Engine(settings or Settings(), environ=environ) as engine:
            yield engine

    @asynccontextmanager
    async def desk(self, *, track: bool = True, pace: Pace = HASTE, **keys: str) -> AsyncIterator[JobDesk]:
        async with self.engine(**keys) as engine, JobDesk(engine, self.database, track=track, pace=pace) as desk:
            yield desk

    def pace(self, pace: BatchPace) -> None:
        """Of batches created from now on."""
        self.simulator.simulation.batches.pace = pace

    def skip(self, seconds: float) -> None:
        """Let time pass for batches."""
        self.simulator.simulation.batches.skip(seconds)

    def batches(self, provider: str, key: str = "sim-key-1") -> list[Batch]:
        """What that account has been charged for, newest first."""
        return self.simulator.simulation.batches.batches(Provider(provider), key)

    def paid_rows(self, provider: str, key: str = "sim-key-1") -> list[str]:
        """The ids of all rows in all batches of an account, sorted: one that is there twice was paid twice."""
        batches = self.batches(provider, key)
        return sorted(batch.read_row(line).custom_id for batch in batches for line in batch.lines)


async def rows_in(desk: JobDesk, job: Job) -> list[JobRow]:
    return [row async for row in desk.all_rows(job.id)]
