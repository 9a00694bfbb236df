"""When each event of an answer leaves: by absolute deadlines, so that lateness never adds up.

A late wake-up delays one event and nothing after it. The loop's timers are good to about a millisecond; that is the
accuracy of the whole simulator.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MIN_WAIT_S = 0.0005
"""Anything nearer than this is sent at once: epoll rounds timeouts up to whole milliseconds."""


class Pacer:
    """One answer's stopwatch. Offsets are simulated seconds since it was made; `scale` turns them into real ones."""

    __slots__ = ("_beat_s", "_loop", "_scale", "_start", "_stopped", "_waiter", "hurried")

    def __init__(self, loop: asyncio.AbstractEventLoop, scale: float, beat_s: float = 0.0) -> None:
        """Args:
        beat_s: what is due waits for the next beat of the loop's clock, which is the same for all answers.
        """
        self._loop = loop
        self._scale = scale
        self._beat_s = beat_s
        self._start = loop.time()
        self._stopped = False
        self._waiter: asyncio.Future[None] | None = None
        self.hurried = 0
        """Events sent since the loop was last given a turn."""

    @property
    def stopped(self) -> bool:
        return self._stopped

    async def until(self, offset_s: float) -> bool:
        """Wait for that moment of the answer; False when it was stopped instead."""
        if self._stopped:
            return False
        deadline = self._start + offset_s * self._scale
        if self._beat_s:
            deadline = math.ceil(deadline / self._beat_s) * self._beat_s
        if deadline - self._loop.time() <= MIN_WAIT_S:
            self.hurried += 1
            if self.hurried >= 8:
                # Behind schedule or not paced at all: let the other streams and the sockets have a turn.
                self.hurried = 0
                await asyncio.sleep(0)
            return not self._stopped
        self.hurried = 0
        self._waiter = self._loop.create_future()
        handle = self._loop.call_at(deadline, self._wake)
        try:
            await self._waiter
        finally:
            handle.cancel()
            self._waiter = None
        return not self._stopped

    def restart(self) -> None:
        """Count from now: the request has waited for its turn until this moment."""
        self._start = self._loop.time()

    def stop(self) -> None:
        self._stopped = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass(frozen=True, slots=True)
class Pace:
    """How one model takes its time."""

    ttft_s: float
    """Median time to first token."""
    ttft_sigma: float
    """Spread of its logarithm; 0 is exact."""
    gap_s: float
    """Median time per token after the first."""
    gap_sigma: float

    def first_token_s(self, rng: random.Random) -> float:
        return self.ttft_s * math.exp(self.ttft_sigma * rng.gauss(0.0, 1.0)) if self.ttft_sigma else self.ttft_s

    def moments(self, first_s: float, sizes: Iterable[int], rng: random.Random) -> Iterator[float]:
        """When each event leaves, given how many tokens each of them carries; the first one at `first_s`."""
        at = first_s
        gap_s, sigma, gauss, exp = self.gap_s, self.gap_sigma, rng.gauss, math.exp
        for size in sizes:
            yield at
            at += gap_s * size * (exp(sigma * gauss(0.0, 1.0)) if sigma else 1.0)


@dataclass(frozen=True, slots=True)
class Bursts(Pace):
    """Silence for `gap_s`, then very many tokens at once; the next burst is larger, up to a point."""

    first: int
    """Tokens of the first burst."""
    growth: float
    most: int

    def moments(self, first_s: float, sizes: Iterable[int], rng: random.Random) -> Iterator[float]:
        at, burst = first_s, float(self.first)
        left = burst
        for size in sizes:
            if left <= 0:
                at += self.gap_s
                burst = min(self.most, burst * self.growth)
                left = burst
            left -= size
            yield at
