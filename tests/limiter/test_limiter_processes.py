"""Four real processes on one account: as many requests as it allows, hardly a refusal, equal parts."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from workbench.simulator.quota import Dimension, Grant, Quota, QuotaSpec, ServerModel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks on bytes of a file there")

PER_S = 60
SECONDS = 4.0
CALL_S = 0.05


async def test_four_processes_use_one_account_together(tmp_path):
    # A second's worth at most: no saved minute to live on in a short test.
    quota = Quota(QuotaSpec(rpm=PER_S * 60, model=ServerModel.QUANTISED, quantum_s=1.0), now_s=time.monotonic())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        grant = quota.admit(time.monotonic(), 0, 0)
        state = quota.snapshot(time.monotonic())[Dimension.REQUESTS]
        status = "ok" if isinstance(grant, Grant) else "no"
        writer.write(f"{status} {state.limit} {state.remaining} {state.reset_s:.3f}\n".encode())
        await writer.drain()
        if isinstance(grant, Grant):
            await asyncio.sleep(CALL_S)
            quota.settle(grant, time.monotonic(), 0, 0)
            writer.write(b"done\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        script = str(Path(__file__).with_name("limiter_client.py"))
        clients = [
            await asyncio.create_subprocess_exec(
                sys.executable, script, str(tmp_path), str(port), str(SECONDS), stdout=asyncio.subprocess.PIPE
            )
            for _ in range(4)
        ]
        results = [(await client.communicate())[0] for client in clients]

    answered, refused = zip(*(map(int, result.split()) for result in results), strict=True)
    total = sum(answered)
    # The limit is met while the processes start one after the other, and found once; that is all.
    assert sum(refused) <= 0.05 * total
    assert total >= 0.8 * PER_S * SECONDS
    assert total**2 / (4 * sum(count**2 for count in answered)) >= 0.9
