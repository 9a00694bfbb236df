"""Waiting for a circuit: the async shell around the breaker's decisions.

Only those who may wait do: bulk work sleeps until the circuit moves or its rest is over, while a person, or a chain
that has another target, is told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from workbench.core.clock import NS_PER_S, Clock
from workbench.engine.breaker import (
    BreakerBoard,
    BreakerPolicy,
    Circuit,
    CircuitKey,
    CircuitStats,
    Passage,
    Refusal,
    breaker_open,
)


class Gate:
    """All circuits of one engine, and whoever waits for them."""

    __slots__ = ("_board", "_clock", "_moved")

    def __init__(self, clock: Clock, policy: BreakerPolicy | None = None) -> None:
        self._clock = clock
        self._board = BreakerBoard(policy, self._wake)
        self._moved: dict[CircuitKey, asyncio.Event] = {}

    def circuit(self, provider: str, base_url: str) -> Circuit:
        return self._board.circuit(provider, base_url)

    async def enter(self, circuit: Circuit, *, on_wait: Callable[[Refusal], None] | None) -> Passage:
        """Leave to send. Without `on_wait` raises BreakerOpen; with it waits, and tells it each time why."""
        while True:
            now_ns = self._clock.monotonic_ns()
            leave = circuit.enter(now_ns)
            if isinstance(leave, Passage):
                return leave
            if on_wait is None:
                raise breaker_open(circuit.key, leave, now_ns)
            on_wait(leave)
            await self._next_move(circuit.key, None if leave.until_ns is None else leave.until_ns - now_ns)

    def reset(self) -> int:
        """Close every circuit and wake whoever waits; how many were open."""
        return self._board.reset(self._clock.monotonic_ns())

    def statistics(self) -> tuple[CircuitStats, ...]:
        return self._board.statistics()

    async def _next_move(self, key: CircuitKey, at_most_ns: int | None) -> None:
        moved = self._moved.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout(None if at_most_ns is None else at_most_ns / NS_PER_S):
                await moved.wait()
        except TimeoutError:
            return

    def _wake(self, key: CircuitKey) -> None:
        moved = self._moved.pop(key, None)
        if moved is not None:
            moved.set()
