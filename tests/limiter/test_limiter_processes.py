"""Four real processes on one account: what the provider counts of them together."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from workbench.simulator.quota import Dimension, Grant, Quota, QuotaSpec, ServerModel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks on bytes of a file there")

NAMES = ("a", "b", "c", "d")
PATIENCE_S = 120.0


class Provider:
    """Counts calls by client. Its clients begin together, and end when it hangs up."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.answered: Counter[str] = Counter()
        self.refused = 0
        self.running: Counter[str] = Counter()
        self.peak = 0
        self.counted = set(NAMES)
        """Clients whose calls count for the peak."""
        self.call_s: float | None = 0.05
        """How long a call takes; None for as long as the client stays."""
        self._here: dict[str, asyncio.StreamWriter] = {}
        self._changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            said = await reader.readline()
            kind, _, name = said.decode().strip().partition(" ")
            if kind == "call":
                await self._answer(name, reader, writer)
            elif kind == "here":
                await self._let_in(name, reader, writer)
        except ConnectionError:
            pass  # killed on its way
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def hang_up(self) -> None:
        for writer in self._here.values():
            writer.write_eof()

    async def _let_in(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._here[name] = writer
        if len(self._here) == len(NAMES):
            for waiting in self._here.values():
                waiting.write(b"go\n")
        await reader.read()  # until it leaves
        del self._here[name]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(condition)

    def calls(self) -> int:
        return sum(self.running[name] for name in self.counted)

    async def _answer(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        grant = self.quota.admit(time.monotonic(), 0, 0)
        state = self.quota.snapshot(time.monotonic())[Dimension.REQUESTS]
        allowed = isinstance(grant, Grant)
        writer.write(f"{'ok' if allowed else 'no'} {state.limit} {state.remaining} {state.reset_s:.3f}\n".encode())
        if not isinstance(grant, Grant):
            self.refused += 1
            return
        await self._count(name, 1)
        if self.call_s is None:
            await reader.read()  # held until the client is gone
        else:
            await asyncio.sleep(self.call_s)
        self.quota.settle(grant, time.monotonic(), 0, 0)
        self.answered[name] += 1
        await self._count(name, -1)
        writer.write(b"done\n")

    async def _count(self, name: str, calls: int) -> None:
        async with self._changed:
            self.running[name] += calls
            self.peak = max(self.peak, self.calls())
            self._changed.notify_all()


@contextlib.asynccontextmanager
async def clients_of(
    provider: Provider, state_dir: Path, *arguments: str
) -> AsyncIterator[dict[str, asyncio.subprocess.Process]]:
    script = str(Path(__file__).with_name("limiter_client.py"))
    processes: dict[str, asyncio.subprocess.Process] = {}
    async with await asyncio.start_server(provider.serve, "127.0.0.1", 0) as server:
        port = str(server.sockets[0].getsockname()[1])
        try:
            for name in NAMES:
                processes[name] = await asyncio.create_subprocess_exec(
                    sys.executable, script, str(state_dir), port, name, *arguments
                )
            yield processes
        finally:
            provider.hang_up()
            for process in processes.values():
                try:
                    await asyncio.wait_for(process.wait(), PATIENCE_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()
    # Nobody is left to answer. A connection that outlived its loop would be the next test's trouble.
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


async def test_four_processes_share_one_accounts_rate_alike_and_are_hardly_refused(tmp_path):
    # Three seconds' worth at most: no saved minute to live on in a short test.
    quota = Quota(QuotaSpec(rpm=6000, model=ServerModel.QUANTISED, quantum_s=3.0), now_s=time.monotonic())
    provider = Provider(quota)

    async with clients_of(provider, tmp_path):
        await provider.until(lambda: all(provider.answered[name] >= 30 for name in NAMES))
        begun = provider.answered.copy()
        await provider.until(lambda: (provider.answered - begun).total() >= 400)

    answered = [provider.answered[name] - begun[name] for name in NAMES]
    assert provider.refused <= 0.05 * provider.answered.total(), "the limit is found once, and that is all"
    assert sum(answered) ** 2 / (4 * sum(count**2 for count in answered)) >= 0.9


async def test_a_cap_over_four_processes_is_never_passed_and_outlives_the_killing_of_one(tmp_path):
    cap = 6
    provider = Provider(Quota(QuotaSpec(rpm=10_000_000), now_s=time.monotonic()))

    async with clients_of(provider, tmp_path, str(cap)) as processes:
        await provider.until(lambda: all(provider.answered[name] for name in NAMES))
        provider.call_s = None
        await provider.until(lambda: provider.calls() == cap)
        victim = next(name for name in NAMES if provider.running[name])
        peak = provider.peak
        # Its sockets and its slots are freed by the system in any order: from here on only the others count.
        provider.counted.discard(victim)
        processes[victim].kill()

        await provider.until(lambda: provider.calls() == cap)

    assert peak <= cap
    assert provider.peak <= cap
    assert processes[victim].returncode == -9
