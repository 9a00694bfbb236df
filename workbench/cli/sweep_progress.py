"""How far a run over a file is: a bar where somebody watches, a line now and then where nobody does, or JSON lines."""

from __future__ import annotations

import json
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from workbench.core.clock import NS_PER_S, Clock, SystemClock
from workbench.core.terminal import redraws
from workbench.progress import clock_time, progress_line
from workbench.session.sweep import SweepTally
from workbench.session.waiting import Waiting

if TYPE_CHECKING:
    from workbench.core.types import Json
    from workbench.engine.notices import Notice

_DRAW_S = 0.1
_LINE_S = 10.0
_LINE_SHARE = 0.1
_RECENT_S = 30.0
"""What the rate is taken over. The first minute's worth of a limit goes at once: the whole run's mean would promise an
end in seconds where it takes minutes."""


class ProgressStyle(StrEnum):
    AUTO = "auto"
    """A bar on a terminal, else lines."""
    BAR = "bar"
    LINES = "lines"
    JSONL = "jsonl"
    NONE = "none"


def nothing_waits() -> Waiting | None:
    return None


class SweepProgress:
    """Writes to standard error only. `update` may be called at any rate: what waits is asked for when it is shown."""

    def __init__(self, style: ProgressStyle, label: str, clock: Clock | None = None) -> None:
        self._style = style
        if style is ProgressStyle.AUTO:
            self._style = ProgressStyle.BAR if redraws(sys.stderr) else ProgressStyle.LINES
        self._label = label
        self._clock = clock or SystemClock()
        self._started = self._now_s
        self._drawn_at = self._started
        self._drawn_share = 0.0
        self._bar_shown = False
        self._held = False
        self._recent: deque[tuple[float, int]] = deque([(self._started, 0)])
        """When so many rows had ended in this run: from half a minute ago on, the first one a little older."""

    @property
    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_S

    def update(
        self, tally: SweepTally, waits: Callable[[], Waiting | None] = nothing_waits, *, last: bool = False
    ) -> None:
        if self._held:
            return
        now = self._now_s
        match self._style:
            case ProgressStyle.BAR | ProgressStyle.AUTO:
                if last or now - self._drawn_at >= _DRAW_S:
                    self._drawn_at = now
                    self._draw_bar(tally, waits(), now)
            case ProgressStyle.LINES | ProgressStyle.JSONL:
                share = tally.done / tally.total
                if last and share == self._drawn_share > 0:
                    return
                if last or now - self._drawn_at >= _LINE_S or share - self._drawn_share >= _LINE_SHARE:
                    self._drawn_at, self._drawn_share = now, share
                    self._write_line(tally, waits(), now)
            case ProgressStyle.NONE:
                pass

    def tell(self, notice: Notice) -> None:
        """Something that concerns the whole run, on a line of its own; the bar comes back with the next row."""
        self.clear()
        if self._style is ProgressStyle.JSONL:
            sys.stderr.write(f"{json.dumps({'notice': str(notice)})}\n")
        elif self._style is not ProgressStyle.NONE:
            sys.stderr.write(f"{notice}\n")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._bar_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._bar_shown = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Out of the way of a question, which would be drawn over while somebody types."""
        self.clear()
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def _pace(self, tally: SweepTally, now: float) -> tuple[int, float]:
        """Rows that were done half a minute ago, and how many seconds ago that was."""
        fresh, recent = tally.done - tally.kept, self._recent
        while len(recent) > 1 and recent[1][0] <= now - _RECENT_S:
            recent.popleft()
        then, had = recent[0]
        recent.append((now, fresh))
        return tally.done - (fresh - had), now - then

    def _next_s(self, waits: Waiting | None) -> float:
        """How long the end is away at the least."""
        return (waits and waits.left_s(self._clock.monotonic_ns())) or 0.0

    def _draw_bar(self, tally: SweepTally, waits: Waiting | None, now: float) -> None:
        before, span_s = self._pace(tally, now)
        own = progress_line(
            self._label,
            tally.done,
            tally.total,
            span_s,
            shutil.get_terminal_size().columns - 1,
            before=before,
            not_before_s=self._next_s(waits),
            after=_extras(tally),
            note="" if waits is None else waits.words(self._clock.monotonic_ns()),
        )
        sys.stderr.write(f"\r\x1b[K{own}")
        sys.stderr.flush()
        self._bar_shown = True

    def _write_line(self, tally: SweepTally, waits: Waiting | None, now: float) -> None:
        elapsed_s = now - self._started
        if self._style is ProgressStyle.JSONL:
            before, span_s = self._pace(tally, now)
            rate = (tally.done - before) / span_s if span_s > 0 else None
            line = json.dumps(
                {
                    "done": tally.done,
                    "total": tally.total,
                    "failed": tally.failed,
                    "kept": tally.kept,
                    "cached": tally.cached,
                    "output_tokens": tally.output_tokens,
                    "cost_usd": round(tally.cost_usd, 6),
                    "unpriced": tally.unpriced,
                    "elapsed_s": round(elapsed_s, 3),
                    "rows_per_s": None if rate is None else round(rate, 3),
                    "eta_s": round(max(self._next_s(waits), (tally.total - tally.done) / rate), 1) if rate else None,
                    "waiting": None if waits is None else _waiting_as_json(waits, self._clock),
                }
            )
        else:
            why = "" if waits is None else f" · {waits.words(self._clock.monotonic_ns())}"
            line = f"{tally.done}/{tally.total} after {clock_time(elapsed_s)} · {_extras(tally)}{why}"
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _extras(tally: SweepTally) -> str:
    cost = f"${tally.cost_usd:.4f}{'+' if tally.unpriced else ''}"
    return f"{cost} · {tally.failed} failed" if tally.failed else cost


def _waiting_as_json(waits: Waiting, clock: Clock) -> dict[str, Json]:
    """`next_at_s` is in epoch seconds, for whoever reads the line later; null depends on others finishing."""
    left_s = waits.left_s(clock.monotonic_ns())
    return {
        "requests": waits.requests,
        "reason": waits.reason.value,
        "next_in_s": None if left_s is None else round(left_s, 3),
        "next_at_s": None if left_s is None else round(clock.wall().timestamp() + left_s, 3),
    }
