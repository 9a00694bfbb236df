"""Requests that keep being refused while smaller ones pass: probably larger than the limit that nobody told us.

Left alone, such a request would sit at the head of the queue for ever and take every retry's turn. A refused request
comes back as a new ticket, so it is recognised by its job and its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workbench.engine.admission import Ticket, TokenCost

TRACKED: Final = 64
TRUSTED: Final = 2
"""Refusals of one request that are taken for what they seem to be."""
Mark = tuple[str, TokenCost]


@dataclass(slots=True)
class _Suspicion:
    refusals: int = 0
    smaller_passed: bool = False


class Suspects:
    def __init__(self) -> None:
        self._seen: dict[Mark, _Suspicion] = {}

    def refused(self, ticket: Ticket) -> bool:
        """Count a refusal; True when it says more about the size of this request than about a rate."""
        mark = (ticket.job, ticket.cost)
        suspicion = self._seen.get(mark)
        if suspicion is None:
            if len(self._seen) >= TRACKED:
                del self._seen[next(iter(self._seen))]
            suspicion = self._seen[mark] = _Suspicion()
        suspicion.refusals += 1
        return suspicion.smaller_passed and suspicion.refusals > TRUSTED

    def accepted(self, ticket: Ticket) -> None:
        if not self._seen:
            return
        self._seen.pop((ticket.job, ticket.cost), None)
        size = _size(ticket.cost)
        for (_, cost), suspicion in self._seen.items():
            if size < _size(cost):
                suspicion.smaller_passed = True

    def refusals(self, ticket: Ticket) -> int:
        """How often this very request was refused while smaller ones passed."""
        if not self._seen:
            return 0
        suspicion = self._seen.get((ticket.job, ticket.cost))
        if suspicion is None or not suspicion.smaller_passed:
            return 0
        return min(suspicion.refusals, ticket.attempt - 1)


def _size(cost: TokenCost) -> int:
    return cost.input + cost.max_output
