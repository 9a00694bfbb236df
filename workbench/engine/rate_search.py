"""The search for a rate that nobody states: where refusals put it, and how it creeps back up until the next one.

Between two refusals the server's bucket was empty at both ends, so what it admitted in between is its rate. From there
the pace follows a cubic curve: quickly back to where the last refusal came, slowly past it, then in bigger strides.
"""

from __future__ import annotations

from typing import Final

from workbench.engine.admitted_log import AdmittedLog
from workbench.engine.lane_state import Stateful
from workbench.engine.limit_headers import MINUTE_S

BETA: Final = 0.9
"""Part of the rate at which the refusal came that is used after it."""
FIRST_CUT: Final = 0.7
"""What was admitted before the first refusal includes the server's saved minute."""
SHORTEST_HISTORY_S: Final = 3.0
"""Less than this says nothing of a rate that nobody paced."""
SHORTEST_EPISODE_S: Final = 1.0
"""Less than this between two refusals says nothing of a rate that was paced: then it is cut by BLIND_CUT."""
BLIND_CUT: Final = 0.7
DEEPEST_CUT: Final = 0.5
"""Part of the rate that one refusal leaves at the least."""
FLOOR_HINTED: Final = 0.4
"""Part of the rate that is believed in which all refusals of one minute leave, where they say how long to wait."""
FLOOR: Final = 0.55
"""The same where they do not: a window that is used up is then run into several times."""
LEAST_SURE: Final = 2.0
"""Times the least that the first refusal leaves possible is believed in: half of that is the floor below."""
LEAST_TRUST: Final = 0.3
"""Part of a rate that is believed in even if hardly any of it was used."""
GROWTH: Final = 0.1
GROWTH_S: Final = 60.0
"""After this long without a refusal the rate is back where the last one happened."""
SAME_RATE: Final = 0.4
"""Part by which a rate may seem to have changed from one refusal to the next, and be the same."""
SURE: Final = 60
"""Requests between two refusals that find the same rate: with one a minute, 8 % were refused at 5 a minute."""
STRIDES_FROM: Final = 1.2
"""In units of `GROWTH_S`, after the rate is back where it was: sooner, and windows that slide are overrun; later, and a
limit that was restored takes more than 150 s to be found."""
GROWS_EVERY_S: Final = 0.25
LATELY_S: Final = 15.0
FASTEST: Final = 1.25
"""Times what was admitted in the last LATELY_S, or where the last refusal came: the rate grows no further than that
beyond what has been tried."""
SLOWEST: Final = 0.3
"""Part of where the last refusal came."""


class RateSearch(Stateful):
    """Of one dimension of one lane. `index` = which dimension of the log."""

    FLOATS = ("cut_s", "floor_from_s", "floor_rate", "grown_s", "growth_s", "held_s", "last")
    __slots__ = (*FLOATS, "_index", "_log", "cut_short")

    def __init__(self, log: AdmittedLog, index: int) -> None:
        self.cut_s: float | None = None
        """When the last refusal came that says something about the rate."""
        self.grown_s = 0.0
        self.growth_s = GROWTH_S
        """For how long the rate grows until it is back where the last refusal came."""
        self.last: float | None = None
        """The rate that was found last."""
        self.held_s = 0.0
        """For how long, since then, nothing was held back: silence is no evidence for a higher rate."""
        self.floor_from_s = float("-inf")
        self.floor_rate = 0.0
        """What is believed in for a minute from then on, however often it is refused."""
        self.cut_short = False
        """The last cut went only as far as a single minute may take it."""
        self._log = log
        self._index = index

    def found(self, now_s: float, rate: float | None, *, hinted: bool) -> float | None:
        """The server's rate, as a refusal shows it; None while there is too little history. `rate` is what we sent at,
        None if that was as fast as could be; `hinted` = the refusal said how long to wait, so that we come back when
        there is something again."""
        units, elapsed_s = self._admitted(now_s, float("-inf") if self.cut_s is None else self.cut_s)
        admitted = units / elapsed_s if elapsed_s > 0 else 0.0
        if rate is None:
            if elapsed_s < SHORTEST_HISTORY_S or admitted <= 0:
                return None
            # That much of it may have been saved up: then the rate is not more than this.
            self.trust(now_s, LEAST_SURE * units / (MINUTE_S + elapsed_s))
            return FIRST_CUT * admitted
        known = elapsed_s >= SHORTEST_EPISODE_S
        found = min(rate, max(admitted, DEEPEST_CUT * rate)) if known else BLIND_CUT * rate
        if now_s - self.floor_from_s > MINUTE_S:
            lately, lately_s = self._admitted(now_s, now_s - MINUTE_S)
            # A rate of which not even half was used says little about what the server gives.
            idle = lately_s > 0 and lately < 0.5 * rate * lately_s
            self.trust(now_s, max(lately / lately_s, LEAST_TRUST * rate) if idle else rate)
        # A server whose window is used up refuses nearly everything for the rest of it: that says nothing about its
        # rate, and without a hint we run into it several times.
        floor = (FLOOR_HINTED if hinted else FLOOR) * self.floor_rate
        self.cut_short = found < floor
        return max(found, floor)

    def compare(self, found: float, per_request: float) -> None:
        """This rate was found. Where it stays the same and requests are few, the next refusal had better not come
        soon."""
        if self.last is not None and abs(found - self.last) <= SAME_RATE * self.last:
            self.growth_s = min(2 * self.growth_s, max(GROWTH_S, SURE * per_request / found))
        else:
            self.growth_s = GROWTH_S
        self.last = found

    def trust(self, now_s: float, rate: float) -> None:
        self.floor_from_s, self.floor_rate = now_s, rate

    def begin(self, now_s: float) -> None:
        """Search from a rate that has just been found."""
        self.cut_s = self.grown_s = now_s
        self.held_s = 0.0

    def forget(self) -> None:
        """What has been admitted so far says nothing about the rate to come."""
        self.cut_s = None

    def grown(self, now_s: float, rate: float, ceiling: float, *, held_back: bool) -> float:
        """The rate by now; `ceiling` is where the last refusal came, and `held_back` says that `rate` is in use."""
        if not held_back:
            self.held_s += now_s - self.grown_s
        self.grown_s = now_s
        assert self.cut_s is not None
        x = (now_s - self.cut_s - self.held_s - self.growth_s) / self.growth_s
        # Well past where the last refusal came there is more than there was: look for it in bigger strides.
        strides = x**3 if x < STRIDES_FROM else x**3 * (x / STRIDES_FROM) ** 4
        target = ceiling * (1 + GROWTH * strides)
        if target > rate:
            units, elapsed_s = self._admitted(now_s, now_s - LATELY_S)
            admitted = units / elapsed_s if elapsed_s > 0 else 0.0
            target = min(target, max(rate, FASTEST * max(admitted, ceiling)))
        return max(target, SLOWEST * ceiling)

    def _admitted(self, now_s: float, since_s: float) -> tuple[float, float]:
        return self._log.since(now_s, since_s, self._index)
