"""What the limiter itself costs: microseconds per request for admitting and settling, nothing in between."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from workbench.bench.limits_paced import ROUTE, SPEC
from workbench.core.events import Queued
from workbench.core.types import Priority, Usage
from workbench.engine.admission import Outcome, Ticket, TokenCost
from workbench.engine.keyring import Keyring
from workbench.engine.limiter import Limiter, LimiterOptions

REQUESTS: Final = 2_000
ROUNDS: Final = 5
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


async def admission_costs() -> dict[str, float]:
    """Microseconds per request, the best of several rounds: of a lane without known limits, of one that is paced by two
    of them, and of a paced one that is shared with other processes."""
    with TemporaryDirectory() as state:
        return {
            "free lane": await _cost(None, paced=False),
            "paced lane": await _cost(None, paced=True),
            "paced lane, shared between processes": await _cost(Path(state), paced=True),
        }


async def _cost(state_dir: Path | None, *, paced: bool) -> float:
    keys = Keyring.from_sources(SPEC, {"BENCH_KEYS": "key"}).keys
    limiter = Limiter(keys=lambda spec: keys, options=LimiterOptions(state_dir=state_dir))
    try:
        if paced:
            lease = await limiter.enqueue(TICKET).next()
            assert not isinstance(lease, Queued)
            lease.observe(HEADERS, 0)
            lease.settle(Outcome.SUCCESS, 0, usage=USAGE)
        best_s = float("inf")
        for _ in range(ROUNDS):
            started_s = time.perf_counter()
            for _ in range(REQUESTS):
                lease = await limiter.enqueue(TICKET).next()
                assert not isinstance(lease, Queued), "one at a time never waits"
                lease.settle(Outcome.SUCCESS, 0, usage=USAGE)
            best_s = min(best_s, time.perf_counter() - started_s)
        return best_s / REQUESTS * 1e6
    finally:
        await limiter.aclose()
