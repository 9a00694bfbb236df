"""How many calls of one lane may be in flight: for the caps that no provider documents.

Slow start until the first refusal; from then on a remembered ceiling that is approached by a tenth per round and probed
once a minute. Growth needs evidence: a round in which the window itself was what held requests back.
"""

from __future__ import annotations

from typing import Final

PROBE_EVERY_S: Final = 60.0
PROBE_AGAIN_S: Final = 2.0
"""After a probe that nobody refused."""
LARGEST_PROBE: Final = 32
SATURATED: Final = 0.8
"""A round counts as evidence for growth if the window was filled to this part of it."""


class Window:
    __slots__ = (
        "_blocked",
        "_peak",
        "_probe_at_s",
        "_probe_step",
        "_probe_wait_s",
        "_round",
        "_size",
        "allowed",
        "before_guessing",
        "ceiling",
        "epoch",
        "largest",
        "pinned",
        "slow_start",
        "unanswered",
    )

    def __init__(self, size: float, largest: int) -> None:
        self._size = float(size)
        self.allowed = int(size)
        """Calls that may be in flight: the window in whole calls."""
        self.largest = largest
        self.ceiling: int | None = None
        """The most that is known to work; None while unknown."""
        self.slow_start = True
        self.pinned = False
        self.epoch = 0
        """Counts cuts. Successes of calls that were sent before the last cut are no evidence for growth after it."""
        self.unanswered = 0
        """Refusals for concurrency with nothing accepted in between."""
        self.before_guessing = float(size)
        """Size before refusals that named no limit were taken for concurrency: restored if the guess was wrong."""
        self._blocked = False
        self._round = 0
        self._peak = 0
        self._probe_at_s = 0.0
        self._probe_step = 1
        self._probe_wait_s = PROBE_EVERY_S

    @property
    def size(self) -> float:
        return self._size

    def resize(self, size: float) -> None:
        """Never evicts: calls above a smaller window simply are not replaced."""
        if not self.pinned:
            self._set(size)

    def pin(self, size: int | None) -> None:
        """A person's own number; None lets the window adapt again from there."""
        self.pinned = size is not None
        if size is not None:
            self._set(size)

    def note_blocked(self) -> None:
        self._blocked = True

    def note_sent(self, in_flight: int) -> None:
        if in_flight > self._peak:
            self._peak = in_flight

    def succeeded(self, now_s: float, in_flight: int, epoch: int) -> None:
        """A call ended well; `in_flight` are left, `epoch` is the one in which it was sent."""
        if epoch != self.epoch or self.pinned:
            return
        if self.slow_start:
            if self._blocked:
                self._set(self._size + 1)
            if in_flight < 0.5 * self._size:
                self._blocked = False
            return
        self._round += 1
        if self._round < max(4, self.allowed):
            return
        saturated = self._blocked and self._peak >= SATURATED * self._size
        self._new_round(in_flight)
        if saturated:
            self._grow(now_s)

    def refused(self, now_s: float, in_flight_at_send: int, *, stale: bool) -> None:
        """Too many in flight. `stale` = sent before the last cut: it can only confirm a lower ceiling."""
        works = max(1, in_flight_at_send - 1)
        self.slow_start = False
        if stale:
            self.ceiling = works if self.ceiling is None else min(self.ceiling, works)
        elif self.unanswered == 0:
            self.ceiling = works
        else:
            self.ceiling = None  # refused again with nothing accepted in between: the cap itself fell; drain below it
            self.resize(min(self._size, 0.75 * works))
        if not stale:
            self.unanswered += 1
        if self.ceiling is not None:
            self.resize(min(self._size, self.ceiling))
        self._probe_at_s, self._probe_step, self._probe_wait_s = now_s, 1, PROBE_EVERY_S
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
        self.resize(max(self._size, self.before_guessing))

    def _grow(self, now_s: float) -> None:
        step = max(1.0, 0.1 * self._size)
        if self.ceiling is None:
            self._set(self._size + step)
        elif self._size < self.ceiling:
            self._set(min(self._size + step, self.ceiling))
        elif now_s - self._probe_at_s >= self._probe_wait_s:
            self._set(self._size + self._probe_step)
            self.ceiling, self._probe_at_s = self.allowed, now_s
            self._probe_step = min(self._probe_step * 2, LARGEST_PROBE)
            self._probe_wait_s = PROBE_AGAIN_S

    def _new_round(self, in_flight: int) -> None:
        self._round, self._peak, self._blocked = 0, in_flight, False

    def _set(self, size: float) -> None:
        self._size = min(max(1.0, size), float(self.largest))
        self.allowed = int(self._size)
