"""Requests that keep being refused while smaller ones pass: probably larger than the limit that nobody told us.

Left alone, such a request would sit at the head of the queue for ever and take every retry's turn. A refused request
comes back as a new ticket, so it is recognised by its job and its size. Only what is let in after a refusal says that
size was the reason: calls that end while a limit falls were let in before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workbench.core.errors import LimitKind
from workbench.engine.admission import Ticket, TokenCost

TRACKED: Final = 64
TRUSTED: Final = 2
"""Refusals of one request that are taken for what they seem to be."""
SIZELESS: Final = (LimitKind.CONCURRENCY, LimitKind.REQUESTS)
"""What a small request takes as much of as a large one."""
Mark = tuple[str, TokenCost]


@dataclass(slots=True)
class _Suspicion:
    since_s: float
    refusals: int = 0
    smaller_passed: bool = False


class Suspects:
    def __init__(self) -> None:
        self.seen: dict[Mark, _Suspicion] = {}
        """Requests that were refused lately: nearly always none."""

    def refused(self, ticket: Ticket, now_s: float, kind: LimitKind) -> bool:
        """Count a refusal; True when it says more about the size of this request than about the limit that it names."""
        if kind in SIZELESS:
            return False
        mark = (ticket.job, ticket.cost)
        suspicion = self.seen.get(mark)
        if suspicion is None:
            if len(self.seen) >= TRACKED:
                del self.seen[next(iter(self.seen))]
            suspicion = self.seen[mark] = _Suspicion(now_s)
        suspicion.refusals += 1
        return suspicion.smaller_passed and suspicion.refusals > TRUSTED

    def accepted(self, ticket: Ticket, sent_s: float) -> None:
        if not self.seen:
            return
        self.seen.pop((ticket.job, ticket.cost), None)
        size = _size(ticket.cost)
        for (_, cost), suspicion in self.seen.items():
            if size < _size(cost) and sent_s >= suspicion.since_s:
                suspicion.smaller_passed = True

    def refusals(self, ticket: Ticket) -> int:
        """How often this very request was refused while smaller ones passed."""
        if not self.seen:
            return 0
        suspicion = self.seen.get((ticket.job, ticket.cost))
        if suspicion is None or not suspicion.smaller_passed:
            return 0
        return min(suspicion.refusals, ticket.attempt - 1)


def _size(cost: TokenCost) -> int:
    return cost.input + cost.max_output
