"""What the limiter itself costs.

Microseconds per request for admitting and settling, one after the other and nothing in between. And the part of a core
that it takes for a thousand calls in flight: admitting, reading the headers of the answer and settling, 200 times a
second, less what the same calls take that only sleep. A call's share of that is more than those microseconds, because a
loop that has slept finds its caches cold; it depends as much on how much of the limit is left, because where that is
plenty not every answer is read.
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
WATCHED_S: Final = 3.0
TURNS: Final = 2
"""How often the calls with a limiter and those without take turns: a machine's speed changes over minutes."""
PLENTY, LITTLE = 0.99, 0.3
"""Part of the limit that every answer says is left."""
TICKET: Final = Ticket(ROUTE, SPEC, TokenCost(100, 100), Priority.BULK, deadline_ns=2**62)
USAGE: Final = Usage(input=100, output=50)
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
    plenty, little = await in_flight_shares()
    rows.append(CostRow(f"{IN_FLIGHT:,} calls in flight, plenty left of the limit", 100 * plenty, "% of a core", 2))
    rows.append(CostRow("the same, little left of it", 100 * little, "% of a core", 2))
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


async def in_flight_shares() -> tuple[float, float]:
    """The part of a core that the limiter takes for that many calls in flight, each a few seconds long and followed by
    the next: processor time of this process, less what the same calls take without a limiter. With plenty and with
    little left of the limit."""
    limiters = [_limiter(None), _limiter(None)]
    calls: list[Callable[[float], Awaitable[None]]] = [asyncio.sleep]
    try:
        for limiter, left in zip(limiters, (PLENTY, LITTLE), strict=True):
            await _make_paced(limiter)
            calls.append(_limited(limiter, headers(left)))
        used_s = [0.0, 0.0, 0.0]
        for _ in range(TURNS):
            for n, call in enumerate(calls):
                used_s[n] += await _processor_s(call)
    finally:
        for limiter in limiters:
            await limiter.aclose()
    bare, plenty, little = (seconds / (TURNS * WATCHED_S) for seconds in used_s)
    return max(0.0, plenty - bare), max(0.0, little - bare)


def _limited(limiter: Limiter, answer: tuple[tuple[str, str], ...]) -> Callable[[float], Awaitable[None]]:
    async def call(duration_s: float) -> None:
        lease = await _lease(limiter)
        lease.observe(answer, 0)
        await asyncio.sleep(duration_s)
        lease.settle(Outcome.SUCCESS, 0, usage=USAGE)

    return call


async def _processor_s(call: Callable[[float], Awaitable[None]]) -> float:
    """Processor seconds of a stretch during which calls begin and end at an even pace."""
    chance = Random(1)

    async def caller() -> None:
        await call(chance.random() * chance.uniform(*CALL_S))  # as if all had been under way for long
        while True:
            await call(chance.uniform(*CALL_S))

    tasks = [asyncio.create_task(caller()) for _ in range(IN_FLIGHT)]
    await asyncio.sleep(CALL_S[0] / 4)  # they all began at once
    started_s = time.process_time()
    await asyncio.sleep(WATCHED_S)
    used_s = time.process_time() - started_s
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return used_s


def headers(left: float) -> tuple[tuple[str, str], ...]:
    """What an answer says of an account so large that nobody waits for it."""
    requests, tokens = 60_000_000, 90_000_000_000
    return (
        ("x-ratelimit-limit-requests", str(requests)),
        ("x-ratelimit-remaining-requests", str(int(left * requests))),
        ("x-ratelimit-reset-requests", f"{60 * (1 - left):.3f}s"),
        ("x-ratelimit-limit-tokens", str(tokens)),
        ("x-ratelimit-remaining-tokens", str(int(left * tokens))),
        ("x-ratelimit-reset-tokens", f"{60 * (1 - left):.3f}s"),
    )


def _limiter(state_dir: Path | None) -> Limiter:
    keys = Keyring.from_sources(SPEC, {"BENCH_KEYS": "key"}).keys
    options = LimiterOptions(initial_window=2 * IN_FLIGHT, max_window=2 * IN_FLIGHT, state_dir=state_dir)
    return Limiter(keys=lambda spec: keys, options=options)


async def _make_paced(limiter: Limiter) -> None:
    lease = await _lease(limiter)
    lease.observe(headers(PLENTY), 0)
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
