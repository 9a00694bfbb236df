"""A process that keeps a small TCP provider busy through the real limiter: run by `test_limiter_processes.py`.

usage: limiter_client.py STATE_DIR PORT SECONDS. Prints how many requests were answered and how many refused.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from limiter_virtual_time import keyring, lease_of, ticket

from workbench.core.errors import LimitKind, RateLimited
from workbench.core.types import Usage
from workbench.engine.admission import Outcome
from workbench.engine.limiter import Limiter, LimiterOptions

WORKERS = 24


async def request(limiter: Limiter, port: int) -> bool:
    lease = await lease_of(limiter.enqueue(ticket(deadline_s=1e9)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        status, limit, remaining, reset_s = (await reader.readline()).decode().split()
        headers = (
            ("x-ratelimit-limit-requests", limit),
            ("x-ratelimit-remaining-requests", remaining),
            ("x-ratelimit-reset-requests", reset_s),
        )
        if status != "ok":
            error = RateLimited("no", limit=LimitKind.REQUESTS, retry_after_s=1.0, headers=headers)
            lease.settle(Outcome.REFUSED, time.monotonic_ns(), error=error)
            return False
        lease.observe(headers, time.monotonic_ns())
        await reader.readline()
    finally:
        writer.close()
    lease.settle(Outcome.SUCCESS, time.monotonic_ns(), usage=Usage(input=100, output=50))
    return True


async def main(state_dir: Path, port: int, seconds: float) -> None:
    limiter = Limiter(keys=keyring("shared"), options=LimiterOptions(state_dir=state_dir))
    outcomes: list[bool] = []
    end_s = time.monotonic() + seconds

    async def work() -> None:
        while time.monotonic() < end_s:
            outcomes.append(await request(limiter, port))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(WORKERS):
            tasks.create_task(work())
    await limiter.aclose()
    sys.stdout.write(f"{sum(outcomes)} {len(outcomes) - sum(outcomes)}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
