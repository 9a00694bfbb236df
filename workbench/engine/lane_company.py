"""The other processes that send over a lane: what they have in flight, and whose turn it is.

A lane's file says what each of them is doing. They cannot tell us when they have made room, so whoever waits looks
again; and whoever has had least of the account goes first, or the busiest process would take it all.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final

LAG_S: Final = 2.0
"""Of the account's allowance: by how much one may be ahead of whoever waits and has had least. What it had beyond that,
while nobody else wanted anything, is forgiven."""
LOOK_S: Final = 0.3
"""Between two looks while others are at work, where no call has to end first."""
LONE_LOOK_S: Final = 1.0
"""While no other process sends or waits: one may still begin to, or set the lane by hand."""
SHORTEST_LOOK_S: Final = 0.01
LONGEST_LOOK_S: Final = 0.1
"""Where a call has to end first: a hundredth of what one takes, between these."""


class Company:
    """As one process sees the others. Alone, it stays as it begins."""

    __slots__ = ("_rng", "calls", "least_served", "owed", "rivals", "served", "waited_s")

    def __init__(self, rng: Random) -> None:
        self.calls = 0
        """What they have in flight."""
        self.rivals = 0
        """Processes that use the lane at present besides this one."""
        self.least_served = math.inf
        """What the rival that has been served least, of those that wait, has had; infinity when none waits."""
        self.owed = (0.0, 0.0)
        """Output that their calls in flight have been promised, and the most that they may have."""
        self.served = 0.0
        """What this process has had: seconds of the account's whole allowance."""
        self.waited_s = -math.inf
        """When something last held this one back."""
        self._rng = rng

    def meet(
        self,
        calls: int,
        rivals: int,
        least_served: float,
        owed: tuple[float, float] = (0.0, 0.0),
        *,
        returning: bool = False,
    ) -> None:
        """What they are doing now. `returning` = this one had nothing to send before."""
        if math.isfinite(least_served):
            # Nobody saves up turns by having had nothing to send, or pays for long for having been alone at first.
            served = max(self.served, least_served) if returning else self.served
            self.served = min(served, least_served + LAG_S)
        self.calls, self.rivals, self.least_served, self.owed = calls, rivals, least_served, owed

    def look_again_s(self, call_s: float | None) -> float:
        """Seconds after which another process may have made room, or ended a pause. `call_s` is how long a call takes
        where one has to end; None where something else is waited for."""
        longest_s = LOOK_S if self.rivals else LONE_LOOK_S
        if self.rivals and call_s is not None:
            longest_s = min(max(call_s / 100, SHORTEST_LOOK_S), LONGEST_LOOK_S)
        return longest_s * self._rng.uniform(0.5, 1.0)
