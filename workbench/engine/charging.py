"""What an account pays for a request when it goes out, and what only when its answer is there.

Most providers reserve all the output that a request allows and correct that at its end; some charge the prompt alone
and the output once it exists, into debt if need be. Nobody documents it reliably, but it shows: whenever more calls are
in flight than at the answer before, what remains is lower by what they have been charged ahead.
"""

from __future__ import annotations

from typing import Final

import msgspec

FEWEST_LOOKS: Final = 8
"""Comparisons before what they show is believed."""
MEMORY: Final = 0.98
"""How much of what was seen before counts at each further look."""
NOISE: Final = 0.1
"""A change of the ratio below this is taken for the jitter of the network."""


class Books(msgspec.Struct, frozen=True):
    """One dimension of one lane as it stood just after a request was sent."""

    sent_s: float
    admitted: float
    """All units so far: reserved for calls in flight, used by those that have ended."""
    promised: float
    """Output reserved for calls in flight."""
    asked: float
    """The most output that they may have."""


class Reconciliation:
    """Compares what remains after each answer with what our own requests explain."""

    __slots__ = ("_before", "_cross", "_looks", "_square", "ahead", "compared", "unexplained")

    def __init__(self) -> None:
        self.ahead = 1.0
        """Part of the output that a request allows which it is charged for when it is sent."""
        self.unexplained = 0.0
        """Sum of what remained beyond (positive) or below what our own requests explain."""
        self.compared = 0.0
        """Units that we admitted over the same stretches."""
        self._before: tuple[Books, float] | None = None
        self._cross = 0.0
        self._square = 0.0
        self._looks = 0

    def restart(self) -> None:
        """The books that follow are not those before."""
        self._before = None

    def forget(self) -> None:
        """This server refills in steps: its refills look like calls that were not charged, and are none."""
        self.ahead = 1.0
        self._cross = self._square = 0.0
        self._looks = 0

    def compare(self, books: Books, remaining: float, limit: float, per_s: float) -> None:
        """`remaining` is what the answer to that request said, of a limit that is refilled evenly. Answers that come
        out of order, and a limit that may have been whole in between, tell nothing."""
        if self._before is None:
            self._before = books, remaining
            return
        then, then_remaining = self._before
        if books.sent_s <= then.sent_s:
            return
        self._before = books, remaining
        refilled = (books.sent_s - then.sent_s) * per_s
        if max(remaining, then_remaining + refilled) >= limit - 1:
            return
        spent = books.admitted - then.admitted
        paid_at_end = spent - (books.promised - then.promised)
        more_asked = books.asked - then.asked
        surplus = remaining - then_remaining - refilled + paid_at_end
        if more_asked:
            self._learn(-surplus, more_asked)
        self.compared += spent
        self.unexplained += surplus + self.ahead * more_asked

    def _learn(self, missing: float, more_asked: float) -> None:
        """The slope of what is missing over what was allowed in addition: least squares, the past fading."""
        self._looks += 1
        self._cross = MEMORY * self._cross + missing * more_asked
        self._square = MEMORY * self._square + more_asked * more_asked
        ratio = min(max(self._cross / self._square, 0.0), 1.0)
        if self._looks >= FEWEST_LOOKS and abs(ratio - self.ahead) > NOISE:
            self.ahead = 0.0 if ratio < NOISE else 1.0 if ratio > 1 - NOISE else ratio
