"""When to ask again: seldom enough for a job of a day, often enough for one of a minute, and never all at once."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Pace:
    """The waits of a desk, in seconds. The defaults are for people; tests have less time."""

    first_s: float = 5.0
    """Between a submission and the first question, and the shortest wait ever."""
    slow_s: float = 60.0
    """Longest wait while a job is younger than `old_s`."""
    slowest_s: float = 300.0
    old_s: float = 3_600.0
    sweep_s: float = 2.0
    """How often the store is looked at for what other processes did."""
    lease_s: float = 30.0
    """How long a process that says nothing any more keeps others from its jobs, where it cannot be seen to be dead."""
    settle_s: float = 10.0
    """How soon after a creation whose answer was lost a list that lacks it is believed."""
    tries: int = 3
    """Of a submission while the person waits; after that it is the tracker's."""
    misses: int = 3
    """How often in a row a provider must say that it does not know a batch, or say nonsense, to be believed."""

    def next_s(self, previous_s: float, age_s: float, rng: Random, *, hint_s: float | None = None) -> float:
        """The next wait: decorrelated jitter (up to three times the last one), capped by the job's age.

        A provider's own hint is a lower bound.
        """
        cap_s = self.slow_s if age_s < self.old_s else self.slowest_s
        wait_s = min(cap_s, rng.uniform(self.first_s, max(self.first_s, previous_s * 3)))
        return max(wait_s, hint_s or 0.0)
