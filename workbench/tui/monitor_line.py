"""The one-line monitor's words, from snapshots that nobody has to be asked for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from textual.content import Content

from workbench.session import figures
from workbench.tui.glyphs import Glyphs

if TYPE_CHECKING:
    from workbench.core.stats import Percentiles
    from workbench.engine.records import Traffic
    from workbench.tui.host import Snapshot

SPARK_SAMPLES = 16
LAG_WORTH_SAYING_MS = 5.0
"""Above this the program's own loop shows in the figures (p95)."""


class MonitorLine:
    """Keeps the last few rates for its sparkline; everything else comes with the snapshots."""

    def __init__(self, glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self._rates: deque[float] = deque(maxlen=SPARK_SAMPLES)

    def figures(self, snapshot: Snapshot | None, *, width: int, trouble: str = "") -> tuple[Content, Content]:
        """Left and right part of the line; says less when there is less room.

        Args:
            trouble: why there is no engine, where none could be started.
        """
        if snapshot is None:
            said = ("no engine: " + trouble, "$text-error") if trouble else ("starting the engine", "dim")
            return Content.assemble(said), Content()
        traffic = snapshot.traffic
        busy = traffic.in_flight + traffic.queued + traffic.backing_off > 0
        if busy or any(self._rates):
            self._rates.append(traffic.tokens_per_s)
        parts = [
            _fact("in flight", str(traffic.in_flight), "$text-primary" if traffic.in_flight else ""),
            _fact("queued", str(traffic.queued + traffic.backing_off), "$text-warning" if traffic.queued else ""),
            self._rate(traffic),
            _ttft(traffic.ttft_s),
            _fact("429", str(traffic.refusals), "$text-warning" if traffic.refusals_window else ""),
        ]
        gap = Content.styled(f" {self._glyphs.dot} ", "dim")
        right = self._health(snapshot.stamp_error_s) if width >= 50 else Content()
        while len(parts) > 1 and gap.join(parts).cell_length + right.cell_length + 4 > width:
            parts.pop()
        return gap.join(parts), right

    def _rate(self, traffic: Traffic) -> Content:
        rate = Content.assemble((f"~{traffic.tokens_per_s:.0f}", "$foreground"), " t/s")
        if not any(self._rates):
            return rate
        spark = figures.sparkline(tuple(self._rates), ascii_only=self._glyphs.ascii_only)
        return Content.assemble(rate, " ", (spark, "$text-primary"))

    def _health(self, lag_s: Percentiles) -> Content:
        """Whether this machine keeps up; its gauge is the theme's."""
        worst_s = lag_s.p95 if lag_s.p95 is not None else lag_s.max
        if worst_s is None:
            return Content()
        return Content.assemble("lag ", late(worst_s))


def late(seconds: float, *, tenths: bool = False) -> Content:
    """So many milliseconds, in the colour of how bad that is; `tenths` of few."""
    lag_ms = seconds * 1e3
    step = next((n for n, limit in enumerate((2.0, LAG_WORTH_SAYING_MS, 10.0, 25.0), 1) if lag_ms < limit), 5)
    return Content.styled(f"{lag_ms:.{1 if tenths and lag_ms < 9.95 else 0}f} ms", f"$gauge-{step}")


def _fact(name: str, value: str, style: str) -> Content:
    return Content.assemble(f"{name} ", (value, style or "$foreground"))


def _ttft(percentiles: Percentiles) -> Content:
    if percentiles.n == 0:
        return Content.assemble("TTFT ", figures.UNKNOWN)
    said = Content.assemble("TTFT p50 ", (figures.seconds(percentiles.p50), "$foreground"))
    # Below twenty answers a p95 is noise; the largest one says what there is to say.
    if percentiles.p95 is not None:
        return Content.assemble(said, " p95 ", (figures.seconds(percentiles.p95), "$foreground"))
    return Content.assemble(said, " max ", (figures.seconds(percentiles.max), "$foreground"))
