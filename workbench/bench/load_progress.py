"""How far a load test is, on standard error: a bar where somebody watches, a line now and then where nobody does."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from workbench.bench.load_drive import Level
from workbench.bench.load_plan import Duration
from workbench.core.stats import quantile_linear
from workbench.core.terminal import redraws
from workbench.engine.notices import Notice
from workbench.engine.records import Population
from workbench.progress import clock_time, progress_line
from workbench.session.figures import seconds

_DRAW_S = 0.25
_LINE_S = 10.0


class LoadProgress:
    """`update` may be called as often as requests end."""

    def __init__(self, duration: Duration, stream: TextIO | None = None) -> None:
        self._duration = duration
        self._stream = stream or sys.stderr
        self._watched = redraws(self._stream)
        self._level: Level | None = None
        self._begun = self._drawn = 0.0

    def update(self, level: Level) -> None:
        now = time.monotonic()
        if level is not self._level:
            self._level, self._begun, self._drawn = level, now, now
        if now - self._drawn >= (_DRAW_S if self._watched else _LINE_S):
            self._drawn = now
            self._show(level, now - self._begun)

    def end(self) -> None:
        """A level is over, or everything."""
        if self._watched:
            self._stream.write("\r\x1b[K")
        elif self._level is not None:
            self._show(self._level, time.monotonic() - self._begun)
        self._level = None
        self._stream.flush()

    def tell(self, notice: Notice) -> None:
        """Something that concerns the whole test, on a line of its own."""
        gone = "\r\x1b[K" if self._watched else ""
        self._stream.write(f"{gone}{notice}\n")
        self._stream.flush()

    def _show(self, level: Level, elapsed_s: float) -> None:
        label, total, done = (
            f"{level.model} · {level.load}",
            self._duration.requests_for(level.load),
            len(level.samples),
        )
        if total is None:
            passed, whole = clock_time(elapsed_s), clock_time(self._duration.seconds or 0.0)
            line = f"{label}  {passed} of {whole}  {done} ended  {_so_far(level)}"[: self._columns()]
        else:
            line = progress_line(label, done, total, elapsed_s, self._columns(), after=_so_far(level))
        self._stream.write(f"\r\x1b[K{line}" if self._watched else f"{line}\n")
        self._stream.flush()

    def _columns(self) -> int:
        return shutil.get_terminal_size().columns - 1 if self._watched else 160


def _so_far(level: Level) -> str:
    recent = sorted(ttft_s for one in level.samples[-200:] if (ttft_s := one.record.timing.ttft_s) is not None)
    failed = sum(sample.record.population is not Population.ANSWERED for sample in level.samples)
    ttft = f"TTFT {seconds(quantile_linear(recent, 0.5))}"
    return f"{ttft} · {failed} failed" if failed else ttft
