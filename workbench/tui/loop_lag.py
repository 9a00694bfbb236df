"""How late the event loop is: the bound on the error of every time stamp that is taken on it.

A timer of 50 ms costs nothing and is late by whatever kept the loop from its sockets meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque

PERIOD_S = 0.05
SAMPLES = 200
"""Ten seconds' worth."""


class LoopLag:
    def __init__(self) -> None:
        self._samples_ms: deque[float] = deque(maxlen=SAMPLES)
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the loop that runs now, until `stop`."""
        self._next(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def p95_ms(self) -> float | None:
        """None while there are too few samples."""
        if len(self._samples_ms) < 20:
            return None
        ordered = sorted(self._samples_ms)
        return ordered[int(len(ordered) * 0.95)]

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = loop.call_later(PERIOD_S, self._measure, loop, loop.time() + PERIOD_S)

    def _measure(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        self._samples_ms.append(max(0.0, loop.time() - due_s) * 1e3)
        self._next(loop)
