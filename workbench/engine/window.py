"""How many calls of one lane may be in flight: for the caps that no provider documents.

Slow start until the first refusal; from then on a remembered ceiling that is approached by a tenth per round and probed
once a minute: less often while that keeps failing, where calls are so few that a refused one counts. Growth needs
evidence: a round in which the window itself was what held requests back.
"""

from __future__ import annotations

from typing import Final

from workbench.engine.lane_state import Pinnable

PROBE_EVERY_S: Final = 60.0
PROBE_AGAIN_S: Final = 2.0
"""After a probe that nobody refused: longer if refusals take longer than half of it."""
FORGETS: Final = 0.9
"""Part of the slowest refusal's time that still counts at each further one."""
LONGEST_PROBE_WAIT_S: Final = 600.0
FIRST_PATIENCE: Final = 25
"""Answers to wait for before the next probe, doubled with each one in a row that fails."""
PATIENCE: Final = 1600
"""The most of them, times the ceiling: a cap of 16 or more is still probed every minute if calls take 8 s, one of 8
every 200 s. With a probe every minute, 1.6 % were refused at a cap of 8, and 10 % at a cap of 1."""
LONGEST_SPACING_S: Final = 0.2
"""Between calls beyond what is known to work: all at once, a dozen were refused where one tells as much."""
DOUBLES_EVERY_S: Final = 0.2
"""In slow start, at most: a refusal takes as long to come, while answers of 20 ms would make a dozen calls 200."""
LARGEST_PROBE: Final = 32
WIDEST_PROBE: Final = 0.25
"""Part of the window: all that goes beyond the cap is refused at once."""
SHORTEST_ROUND: Final = 4
"""Answers."""
SATURATED: Final = 0.8
"""A round counts as evidence for growth if the window was filled to this part of it."""


class Window(Pinnable):
    FLOATS = ("size", "before_guessing", "probe_at_s", "probe_wait_s", "verdict_s")
    COUNTS = (
        "ceiling",
        "epoch",
        "unanswered",
        "round",
        "peak",
        "probe_step",
        "answers",
        "probed_from",
        "in_vain",
        "most_let_in",
    )
    FLAGS = ("slow_start", "blocked")
    __slots__ = (
        "allowed",
        "answers",
        "before_guessing",
        "blocked",
        "ceiling",
        "epoch",
        "in_vain",
        "largest",
        "most_let_in",
        "peak",
        "probe_at_s",
        "probe_step",
        "probe_wait_s",
        "probed_from",
        "round",
        "size",
        "slow_start",
        "step_from",
        "step_s",
        "unanswered",
        "verdict_s",
    )

    def __init__(self, size: float, largest: int) -> None:
        super().__init__()
        self.size = float(size)
        self.allowed = int(size)
        """Calls that may be in flight: the window in whole calls."""
        self.largest = largest
        self.ceiling: int | None = None
        """The most that is known to work; None while unknown."""
        self.slow_start = True
        self.step_s = float("-inf")
        """When slow start began to double the window for the last time, and from where."""
        self.step_from = self.size
        self.epoch = 0
        """Counts cuts. Successes of calls that were sent before the last cut are no evidence for growth after it."""
        self.unanswered = 0
        """Refusals for concurrency with nothing accepted in between."""
        self.before_guessing = float(size)
        """Size before refusals that named no limit were taken for concurrency: restored if the guess was wrong."""
        self.blocked = False
        self.round = 0
        self.peak = 0
        self.probe_at_s = 0.0
        self.probe_step = 1
        self.probe_wait_s = PROBE_EVERY_S
        self.answers = 0
        """Since the last probe, or refusal."""
        self.probed_from: int | None = None
        """The ceiling before the last probe, until that fails."""
        self.in_vain = 0
        """Probes in a row that found the ceiling where it was."""
        self.most_let_in = 0
        """Most calls in flight since the last refusal."""
        self.verdict_s = 0.0
        """How long a refusal may take to come: the slowest of those lately."""

    def resize(self, size: float) -> None:
        """Never evicts: calls above a smaller window simply are not replaced."""
        if not self.pinned:
            self._set(size)

    def pin(self, size: int | None) -> None:
        """A person's own number; None lets the window adapt again: from there, or from where other processes are."""
        if size is not None:
            self.set_aside()
            self._set(size)
        elif (known := self.let_go()) is not None and self.news:
            self.restore(known)
            self._set(self.size)

    def note_blocked(self) -> None:
        self.blocked = True

    def note_sent(self, in_flight: int) -> None:
        if in_flight > self.peak:
            self.peak = in_flight

    def spacing_s(self, in_flight: int) -> float:
        """How long to wait after a call that is one of so many before the next is sent: where there have never been as
        many since the last refusal, until this one would have been refused."""
        if in_flight <= self.most_let_in:
            return 0.0
        self.most_let_in = in_flight
        return min(self.verdict_s, LONGEST_SPACING_S)

    def succeeded(self, now_s: float, in_flight: int, epoch: int) -> None:
        """A call ended well; `in_flight` are left, `epoch` is the one in which it was sent."""
        if epoch != self.epoch or self.pinned:
            return
        if self.slow_start:
            if self.blocked:
                if now_s - self.step_s >= DOUBLES_EVERY_S:
                    self.step_s, self.step_from = now_s, self.size
                self._set(min(self.size + 1, max(2 * self.step_from, self.size)))
            if in_flight < 0.5 * self.size:
                self.blocked = False
            return
        self.round += 1
        self.answers += 1
        # A refusal comes at once. That none has come since the last probe is seen long before all calls have ended.
        enough = SHORTEST_ROUND if self.probed_from is not None else max(SHORTEST_ROUND, self.allowed)
        if self.round < enough:
            return
        saturated = self.blocked and self.peak >= SATURATED * self.allowed
        self._new_round(in_flight)
        if saturated:
            self._grow(now_s)

    def timed(self, seconds: float, tokens: int | None, epoch: int) -> None:
        """How long a call took, and for how many tokens of output. Only `LatencyWindow` cares."""

    def refused(self, now_s: float, in_flight_at_send: int, *, after_s: float = 0.0, stale: bool) -> None:
        """Too many in flight, said `after_s` after it was sent. `stale` = that was before the last cut: it can only
        confirm a lower ceiling."""
        self.verdict_s = max(after_s, FORGETS * self.verdict_s)
        works = max(1, in_flight_at_send - 1)
        self.slow_start = False
        self.most_let_in = min(works, self.most_let_in) if stale else works
        if not stale:
            self.in_vain = self.in_vain + 1 if works == self.probed_from else 0
            self.probed_from = None
        if stale:
            self.ceiling = works if self.ceiling is None else min(self.ceiling, works)
        elif self.unanswered == 0:
            self.ceiling = works
        else:
            self.ceiling = None  # refused again with nothing accepted in between: the cap itself fell; drain below it
            self.resize(min(self.size, 0.75 * works))
        if not stale:
            self.unanswered += 1
        if self.ceiling is not None:
            self.resize(min(self.size, self.ceiling))
        self._rest(now_s)
        self.epoch += 1
        self._new_round(0)

    def rate_cut(self) -> None:
        """A rate was refused: the window stays, its slow start is over."""
        self.slow_start = False
        self.epoch += 1
        self._new_round(0)

    def forget_guesses(self) -> None:
        """What looked like a cap on calls in flight was something else."""
        self.unanswered = 0
        self.ceiling = None
        self.resize(max(self.size, self.before_guessing))

    def refresh(self) -> None:
        """The state was replaced from outside."""
        self._set(self.size)

    def start_warm(self, now_s: float, part: float) -> None:
        """Begin again with part of a window that was found some time ago; the ceiling is remembered whole."""
        self.unanswered = 0
        self.in_vain, self.probed_from = 0, None
        self.most_let_in = self.allowed if self.ceiling is None else self.ceiling
        self._rest(now_s)
        self._new_round(0)
        if not self.pinned:
            self._set(part * self.size)

    def _grow(self, now_s: float) -> None:
        step = max(1.0, 0.1 * self.size)
        if self.ceiling is None:
            self._set(self.size + step)
        elif self.size < self.ceiling:
            self._set(min(self.size + step, self.ceiling))
        elif self._may_probe(now_s - self.probe_at_s, self.ceiling):
            self._probe(now_s)

    def _probe(self, now_s: float) -> None:
        if self.probed_from is not None:
            self.in_vain = 0  # the last one was let in
        self.probed_from = self.ceiling
        self._set(self.size + min(self.probe_step, max(1.0, WIDEST_PROBE * self.size)))
        self.ceiling, self.probe_at_s, self.answers = self.allowed, now_s, 0
        self.probe_step = min(self.probe_step * 2, LARGEST_PROBE)
        self.probe_wait_s = min(max(PROBE_AGAIN_S, 2 * self.verdict_s), PROBE_EVERY_S)

    def _may_probe(self, rested_s: float, ceiling: int) -> bool:
        if rested_s < self.probe_wait_s:
            return False
        if self.probed_from is not None or not self.in_vain:
            return True
        wanted = min(FIRST_PATIENCE * 2**self.in_vain, PATIENCE / ceiling)
        return self.answers >= wanted or rested_s >= LONGEST_PROBE_WAIT_S

    def _rest(self, now_s: float) -> None:
        """No probe for a while."""
        self.probe_at_s, self.probe_step, self.probe_wait_s, self.answers = now_s, 1, PROBE_EVERY_S, 0

    def _new_round(self, in_flight: int) -> None:
        self.round, self.peak, self.blocked = 0, in_flight, False

    def _set(self, size: float) -> None:
        self.size = min(max(1.0, size), float(self.largest))
        self.allowed = int(self.size)
