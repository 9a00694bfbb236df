"""What the library shows: a progress bar on standard error for work that takes a while, a summary line at its end."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import Self, TextIO

from workbench.core.terminal import redraws
from workbench.core.totals import UsageTotals

_QUIET_S = 2.0
"""Work that ends sooner shows nothing."""

_EVERY_S = 0.1
_FILL, _EMPTY = "━", "╌"
_NARROW = 4
"""Cells of the smallest bar."""


class ProgressBar:
    """`update(done, total)` may be called from any thread and at any rate; it draws at most ten times a second."""

    def __init__(self, total: int, label: str, *, shown: bool = True, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._total = total
        self._label = label
        self._shown = shown and total > 1 and redraws(self._stream)
        self._started = time.monotonic()
        self._next_draw = self._started + _QUIET_S
        self._drawn = False
        self._lock = threading.Lock()

    def update(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._shown or (now < self._next_draw and not (self._drawn and done == total)):
            return
        with self._lock:
            self._next_draw = now + _EVERY_S
            self._drawn = True
            columns = shutil.get_terminal_size().columns
            self._stream.write("\r\x1b[K" + progress_line(self._label, done, total, now - self._started, columns - 1))
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._drawn:
                self._stream.write("\r\x1b[K")
                self._stream.flush()
            self._shown = False


def progress_line(
    label: str,
    done: int,
    total: int,
    elapsed_s: float,
    columns: int,
    *,
    before: int = 0,
    not_before_s: float = 0.0,
    after: str = "",
    note: str = "",
) -> str:
    """`gpt-5.4  ━━━━╌╌╌╌  120/400  31/s  eta 0:09  after  note`, cut to the terminal's width.

    Args:
        before: how many of `done` were so at the start, which the rate is without.
        not_before_s: how long the next one waits at the least, whatever the rate has been.
        note: what everything but the count makes room for, where there is little.
    """
    rate = (done - before) / elapsed_s if elapsed_s > 0 else 0.0
    eta = f"eta {clock_time(max(not_before_s, (total - done) / rate))}" if rate else "eta —"
    parts = [label, f"{done}/{total}", f"{rate:.3g}/s", eta, after, note]
    for less_needed in (2, 4, 3, 0) if note else ():
        if _width(parts) + _NARROW + 2 > columns:
            parts[less_needed] = ""
    width = max(_NARROW, min(40, columns - _width(parts) - 2))
    filled = round(width * done / total) if total else width
    parts.insert(1, f"{_FILL * filled}{_EMPTY * (width - filled)}")
    return "  ".join(filter(None, parts))[:columns]


def _width(parts: list[str]) -> int:
    return len("  ".join(filter(None, parts)))


def clock_time(seconds: float) -> str:
    """`0:09`, `12:40`, `3:07:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def print_summary(used: UsageTotals, elapsed_s: float) -> None:
    """The line that `generate` ends with, such as `  1204 in (512 cached) | 318 out | $0.0042 | 187 tok/s`."""
    cached = f" ({used.cached_tokens} cached)" if used.cached_tokens else ""
    parts = [f"{used.input_tokens} in{cached}", f"{used.output_tokens} out"]
    if used.cost_usd:
        parts.append(f"${used.cost_usd:.4f}{'+' if used.unpriced else ''}")
    if used.output_tokens and elapsed_s > 0:
        parts.append(f"{used.output_tokens / elapsed_s:.0f} tok/s")
    if used.cache_hits:
        parts.append(f"{used.cache_hits} from cache")
    print(f"  {' | '.join(parts)}")
