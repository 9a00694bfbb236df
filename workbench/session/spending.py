"""What a comparison asks before it sends: is there money left?

Who has to wait is told why, and told again as it changes. Money is set aside at the expected price; the real one
takes its place when it is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.core.clock import Clock
from workbench.core.events import Queued, WaitReason
from workbench.core.types import Request
from workbench.session import figures
from workbench.session.lane import Lane, Turn

if TYPE_CHECKING:
    from workbench.engine.budget import Budget, BudgetStats, Reservation


class Spending:
    """A budget, and the turns that wait for it."""

    def __init__(self, budget: Budget, expected_usd: Callable[[Request], float | None], clock: Clock) -> None:
        """Args:
        expected_usd: the price of one request at most; None when it is unknown, which then reserves nothing.
        """
        self._budget = budget
        self._expected_usd = expected_usd
        self._clock = clock
        self._waiting: dict[int, tuple[Lane, Turn]] = {}

    def statistics(self) -> BudgetStats:
        return self._budget.statistics()

    def raise_to(self, limit_usd: float | None) -> None:
        """A new cap, in either direction; None takes it away."""
        self._budget.raise_to(limit_usd)
        self._tell()

    @property
    def left_usd(self) -> float | None:
        """What may still be spent, what is under way counted; None without a cap."""
        statistics = self._budget.statistics()
        if statistics.limit_usd is None:
            return None
        return max(0.0, statistics.limit_usd - statistics.spent_usd - statistics.reserved_usd)

    def set_aside(self, expected_usd: float) -> Reservation | None:
        """Room for something that does not wait, such as a batch: at once, or None."""
        return self._budget.try_reserve(expected_usd)

    async def room(self, lane: Lane, turn: Turn) -> Reservation:
        """Room for one turn's request. While there is none, the turn is queued and says so."""
        expected_usd = self._expected_usd(turn.request) or 0.0
        if (room := self._budget.try_reserve(expected_usd)) is not None:
            return room
        self._waiting[id(turn)] = lane, turn
        self._tell()
        try:
            return await self._budget.reserve(expected_usd)
        finally:
            del self._waiting[id(turn)]
            self._tell()

    def settle(self, room: Reservation, turn: Turn) -> None:
        """The turn is over: count what it cost. One that was stopped before it said anything cost nothing."""
        result = turn.result
        if result is not None and result.cached:
            room.settle(0.0)
        elif turn.pieces or (result is not None and result.cost_usd is not None):
            room.settle(result.cost_usd if result is not None else None)
        else:
            room.release()
        self._tell()

    def _tell(self) -> None:
        now_ns, detail = self._clock.monotonic_ns(), words(self._budget.statistics())
        for ahead, (lane, turn) in enumerate(self._waiting.values()):
            lane.apply(turn, Queued(now_ns, WaitReason.BUDGET, ahead=ahead, detail=detail))


def words(statistics: BudgetStats) -> str:
    """`$0.0021 of $0.0020 spent`, and what is under way where that is why somebody waits."""
    limit_usd = statistics.limit_usd
    spent = figures.money(statistics.spent_usd)
    said = f"{spent} spent" if limit_usd is None else f"{spent} of {figures.money(limit_usd)} spent"
    under_way = statistics.reserved_usd > 0 and not statistics.is_spent
    return f"{said}, up to {figures.money(statistics.reserved_usd)} under way" if under_way else said
