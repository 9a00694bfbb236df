"""What the limiter itself costs: microseconds per request for admitting and settling, nothing in between; and the part
of a core that a thousand calls in flight take up beyond what they would without it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from workbench.bench.limits_paced import ROUTE, SPEC
from workbench.core.events import Queued
from workbench.core.types import Priority, Usage
from workbench.engine.admission import Lease, Outcome, Ticket, TokenCost
from workbench.engine.keyring import Keyring
from workbench.engine.limiter import Limiter, LimiterOptions

REQUESTS: Final = 2_000
ROUNDS: Final = 5
RIVALS: Final = 3
RIVAL_PAUSE_S: Final = 0.01
"""Between two requests of a rival: a hundred a second each, which is more than most accounts allow."""
IN_FLIGHT: Final = 1_000
CALL_S: Final = (2.0, 8.0)
WATCHED_S: Final = 4.0
TICKET: Final = Ticket(ROUTE, SPEC, TokenCost(100, 100), Priority.BULK, deadline_ns=2**62)
USAGE: Final = Usage(input=100, output=50)
HEADERS: Final = (
    ("x-ratelimit-limit-requests", "60000000"),
    ("x-ratelimit-remaining-requests", "59999999"),
    ("x-ratelimit-reset-requests", "1ms"),
    ("x-ratelimit-limit-tokens", "90000000000"),
    ("x-ratelimit-remaining-tokens", "89999999800"),
    ("x-ratelimit-reset-tokens", "1ms"),
)
_RIVAL: Final = "import sys; from workbench.bench.limits_cost import rival; rival(sys.argv[1])"


@dataclass(frozen=True, slots=True)
class CostRow:
    """One line of `--json`."""

    cost: str
    value: float
    unit: str
    """`µs` per request, or `% of a core`."""
    target: float

    def as_dict(self) -> dict[str, str | float]:
        return {"cost": self.cost, "value": round(self.value, 2), "unit": self.unit, "target": self.target}


async def cost_rows() -> list[CostRow]:
    with TemporaryDirectory() as alone, TemporaryDirectory() as together:
        rows = [
            CostRow("free lane", await _cost(None, paced=False), "µs", 30),
            CostRow("paced lane", await _cost(None, paced=True), "µs", 30),
            CostRow("paced lane, shared between processes", await _cost(Path(alone), paced=True), "µs", 150),
        ]
        with _rivals(Path(together)):
            value = await _cost(Path(together), paced=True)
            rows.append(CostRow(f"the same, beside {RIVALS} others at work", value, "µs", 150))
    value = 100 * await in_flight_share()
    rows.append(CostRow(f"{IN_FLIGHT:,} calls in flight, of a paced lane", value, "% of a core", 2))
    return rows


async def _cost(state_dir: Path | None, *, paced: bool) -> float:
    """Microseconds per request, the best of several rounds."""
    limiter = _limiter(state_dir)
    try:
        if paced:
            await _make_paced(limiter)
        best_s = float("inf")
        for _ in range(ROUNDS):
            started_s = time.perf_counter()
            for _ in range(REQUESTS):
                (await _lease(limiter)).settle(Outcome.SUCCESS, 0, usage=USAGE)
            best_s = min(best_s, time.perf_counter() - started_s)
        return best_s / REQUESTS * 1e6
    finally:
        await limiter.aclose()


async def in_flight_share() -> float:
    """The part of a core that the limiter takes for that many calls in flight, each a few seconds long, always followed
    by the next: processor time of this process, less what the same calls take without a limiter."""
    limiter = _limiter(None)
    try:
        await _make_paced(limiter)

        async def limited(duration_s: float) -> None:
            lease = await _lease(limiter)
            lease.observe(HEADERS, 0)
            await asyncio.sleep(duration_s)
            lease.settle(Outcome.SUCCESS, 0, usage=USAGE)

        bare_s = await _processor_s(asyncio.sleep)
        limited_s = await _processor_s(limited)
    finally:
        await limiter.aclose()
    return max(0.0, limited_s - bare_s) / WATCHED_S


async def _processor_s(call: Callable[[float], Awaitable[None]]) -> float:
    """Processor seconds of a stretch in the middle, when all calls are under way."""
    chance = Random(1)

    async def caller() -> None:
        await asyncio.sleep(chance.uniform(0, CALL_S[1]) / 8)
        while True:
            await call(chance.uniform(*CALL_S))

    tasks = [asyncio.create_task(caller()) for _ in range(IN_FLIGHT)]
    await asyncio.sleep(CALL_S[1] / 8 + 0.5)
    started_s = time.process_time()
    await asyncio.sleep(WATCHED_S)
    used_s = time.process_time() - started_s
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return used_s


def _limiter(state_dir: Path | None) -> Limiter:
    keys = Keyring.from_sources(SPEC, {"BENCH_KEYS": "key"}).keys
    options = LimiterOptions(initial_window=2 * IN_FLIGHT, max_window=2 * IN_FLIGHT, state_dir=state_dir)
    return Limiter(keys=lambda spec: keys, options=options)


async def _make_paced(limiter: Limiter) -> None:
    lease = await _lease(limiter)
    lease.observe(HEADERS, 0)
    lease.settle(Outcome.SUCCESS, 0, usage=USAGE)


async def _lease(limiter: Limiter) -> Lease:
    waiter = limiter.enqueue(TICKET)
    while isinstance(step := await waiter.next(), Queued):
        pass  # only beside others, whose turn it is now and then
    return step


@contextmanager
def _rivals(state_dir: Path) -> Iterator[None]:
    """Other processes at work on the same lane. They end when their input does."""
    processes = [
        subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-c", _RIVAL, str(state_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(RIVALS)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a process that was to share the lane ended before it did")
        yield
    finally:
        for process in processes:
            process.communicate()


def rival(state_dir: str) -> None:
    """What such a process does."""

    async def work() -> None:
        limiter = _limiter(Path(state_dir))
        await _make_paced(limiter)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        while not over.done():
            (await _lease(limiter)).settle(Outcome.SUCCESS, 0, usage=USAGE)
            await asyncio.sleep(RIVAL_PAUSE_S)
        await over
        await limiter.aclose()

    asyncio.run(work())
