"""A process that keeps a small TCP provider busy through the real limiter: run by `test_limiter_processes.py`.

usage: limiter_client.py STATE_DIR PORT NAME [CAP]. It says its name and begins when it is told to; then it asks until
the provider hangs up. CAP is a cap on calls at once over all processes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from limiter_virtual_time import keyring, lease_of, ticket

from workbench.core.errors import LimitKind, RateLimited
from workbench.core.types import Usage
from workbench.engine.admission import Lease, Outcome
from workbench.engine.limiter import Limiter, LimiterOptions

WORKERS = 24


async def call(lease: Lease, port: int, name: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"call {name}\n".encode())
        status, limit, remaining, reset_s = (await reader.readline()).decode().split()
        headers = (
            ("x-ratelimit-limit-requests", limit),
            ("x-ratelimit-remaining-requests", remaining),
            ("x-ratelimit-reset-requests", reset_s),
        )
        if status == "ok":
            lease.observe(headers, time.monotonic_ns())
            await reader.readline()
            # The provider has counted this call as ended: only then may another one take its place.
            lease.settle(Outcome.SUCCESS, time.monotonic_ns(), usage=Usage(input=100, output=50))
        else:
            error = RateLimited("no", limit=LimitKind.REQUESTS, retry_after_s=1.0, headers=headers)
            lease.settle(Outcome.REFUSED, time.monotonic_ns(), error=error)
    finally:
        writer.close()


async def main(state_dir: Path, port: int, name: str, cap: int | None) -> None:
    limiter = Limiter(keys=keyring("shared"), options=LimiterOptions(state_dir=state_dir, global_concurrency=cap))

    async def work() -> None:
        while True:
            await call(await lease_of(limiter.enqueue(ticket(deadline_s=1e9))), port, name)

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"here {name}\n".encode())
    await reader.readline()
    workers = [asyncio.create_task(work()) for _ in range(WORKERS)]
    await reader.read()  # until the provider hangs up
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await limiter.aclose()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]) if sys.argv[4:] else None))
