"""How a server refills a limit, evenly or in steps, and over what period: read off its reset times.

One answer may mislead: a request is in flight while others are counted, and a window that is nearly used up looks like
a bucket. So answers have votes, and a change of mind takes several. What follows for the pace is the bucket's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from workbench.engine.limit_headers import DAY_S, MINUTE_S, Reading

MOST_VOTES: Final = 8
"""What was seen long ago is outvoted by as many answers."""
SURE: Final = 3
"""Votes for steps that settle it, and answers in a row that make a limit one per day."""
TELLING: Final = 0.02
"""Part of the limit that must have been used: the reset time of less is lost in rounding."""
OFF_BY: Final = 0.25
"""Part of the reset time that an even refill would have by which the stated one may differ."""
NEARLY_SPENT: Final = 0.75
"""Part of the period from which on an even refill and a window that slides have the same reset time."""
EVEN_FOR_S: Final = 2.5 * MINUTE_S
"""A fixed window at an even pace looks like a bucket for a few seconds of every minute, never for two minutes."""


class ServerType(IntEnum):
    """How the server refills, read off its reset times."""

    UNKNOWN = 0
    BUCKET = 1
    """Refills evenly: the whole remainder may be spent in one burst."""
    WINDOW = 2
    """Refills in steps, or holds only seconds' worth: send at an even pace."""


@dataclass(frozen=True, slots=True)
class Verdict:
    server: ServerType
    period_s: float


class ServerJudge:
    """Counts the votes about one limit."""

    __slots__ = ("day_votes", "even_since_s", "votes")

    def __init__(self) -> None:
        self.votes = 0
        """For steps where positive, for an even refill where negative; MOST_VOTES either way at the most."""
        self.day_votes = 0
        self.even_since_s: float | None = None
        """Since when every answer has looked like an even refill."""

    def hear(self, now_s: float, reading: Reading, server: ServerType, period_s: float) -> Verdict | None:
        """Vote by what the reset time should be if the server refilled evenly. `server` and `period_s` are what it has
        been taken for; None leaves it at that."""
        limit, remaining, reset_s = reading.limit, reading.remaining, reading.reset_s
        if limit is None or remaining is None or reset_s is None:
            return None
        used = limit - remaining
        if period_s == MINUTE_S and reset_s > 2 * MINUTE_S:
            # No minute's limit needs this long: it is one per day under a name that does not say so (OpenAI's free
            # tier, Groq). One such value may be a slip; three in a row are not.
            self.day_votes += 1
            return Verdict(ServerType.BUCKET, DAY_S) if self.day_votes >= SURE else None
        self.day_votes = 0
        if used <= TELLING * limit or period_s == DAY_S:
            return None  # a day's limit is refilled at midnight or evenly: what is left may be spent at once either way
        expected_s = used * period_s / limit
        rounding_s = 2.0 if period_s >= MINUTE_S else 0.5
        if abs(reset_s - expected_s) > max(rounding_s, OFF_BY * expected_s):
            self.even_since_s = None
            self.votes = min(MOST_VOTES, self.votes + 1)
            in_steps = self.votes >= SURE and server != ServerType.WINDOW
            return Verdict(ServerType.WINDOW, period_s) if in_steps else None
        self.votes = max(-MOST_VOTES, self.votes - 1)
        if expected_s > NEARLY_SPENT * period_s:
            return None
        if self.even_since_s is None:
            self.even_since_s = now_s
        evenly = server == ServerType.UNKNOWN or now_s - self.even_since_s > EVEN_FOR_S
        return Verdict(ServerType.BUCKET, period_s) if evenly else None
