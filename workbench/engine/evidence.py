"""What a server's answers say that it has counted, beside our own books: what it charges ahead, and what was not ours.

Kept for one dimension of one lane. What it charges ahead makes the bucket's level right; what was not ours tells,
beside that of another key, whether the two spend one account.
"""

from __future__ import annotations

from workbench.engine.admitted_log import AdmittedLog
from workbench.engine.charging import Books, Reconciliation
from workbench.engine.server_window import Holdings, WindowClock


class Evidence:
    """Takes note of what remained after requests that were let in. `index` = which dimension of the log."""

    __slots__ = ("_clock", "_index", "_log", "holdings", "reconciliation")

    def __init__(self, log: AdmittedLog, index: int) -> None:
        self.reconciliation = Reconciliation()
        """For a server that refills evenly."""
        self.holdings = Holdings()
        """For one that refills in steps."""
        self._clock = WindowClock()
        self._log = log
        self._index = index

    def compare(
        self, books: Books, remaining: float, reset_s: float | None, *, limit: float, period_s: float, in_steps: bool
    ) -> None:
        """`books` are as they stood when the request was sent; `in_steps` is how the server refills."""
        holdings, used = self.holdings, limit - remaining
        if holdings.since_s is None:
            lately = books.admitted - (self._log.at(books.sent_s - period_s, self._index) or 0.0)
            holdings.begin(books.sent_s, used - lately)
        if not in_steps:
            self.reconciliation.compare(books, remaining, limit, limit / period_s)
            return
        self.reconciliation.restart()  # what is given back in steps looks like calls that were not charged
        if reset_s is None:
            return
        from_s = self._clock.counts_from(books.sent_s, reset_s, period_s)
        if from_s is not None and (before := self._log.at(from_s, self._index)) is not None:
            holdings.look(from_s, used, books.admitted - before, books.promised)

    def part_ways(self) -> None:
        """The books of this lane were joined with another's, or taken apart: compare nothing across that."""
        self.reconciliation.restart()
        self.holdings = Holdings()
