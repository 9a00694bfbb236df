"""A chart of what happened lately: title and legend, plot, two axes. Drawn by lines, and only when it changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from workbench.session import figures
from workbench.tui.glyphs import Glyphs
from workbench.tui.plot import EMPTY, Curve, Run, Stroke, nice_top, plot

_SAMPLES = {Stroke.AREA: "⣿", Stroke.LINE: "⠒", Stroke.DOTS: "⠂", Stroke.DASHES: "╌", Stroke.BARS: "⣿"}
"""What stands before a curve's name in the legend."""

_FAR_ABOVE = 4
"""A limit this many times as high as everything else would press the curves flat: then only the legend has it."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart's content. Equal charts are not drawn twice."""

    title: str
    curves: tuple[Curve, ...]
    latest: tuple[str, ...]
    """For the legend: each curve's present value, as words."""
    steps: int
    """How many values the width stands for."""
    seconds: float
    """And how long that is."""
    unit: Callable[[float], str]
    """A value for the axis."""
    whole: bool = False
    """Its values are counts."""


_Line = tuple[tuple[str, str], ...]
"""Pieces of text, each with the name of its style."""


class TimeSeries(Widget):
    """
    | Component class | What |
    | :- | :- |
    | `time-series--title`, `--number` | the first line |
    | `time-series--axis` | axes and their figures |
    | `time-series--main`, `--second`, `--limit`, `--bad` | curves, by their role |
    """

    HELP = """
    # Charts

    Each point is one second of the last minute; with `s` the charts go to five minutes and to the whole run, where a
    point is wider. **In flight** is the most at once within the point, under the limit that held at its end. **Tokens**
    is output per second over wall time, an estimate by characters. **TTFT** looks at the answers that began in the ten
    seconds before, or in the point if that is wider; p95 needs twenty of them. **Refusals** are counted, not a rate.
    A limit far above everything else is only named, so that it does not press the curve flat.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "time-series--title",
        "time-series--number",
        "time-series--axis",
        "time-series--main",
        "time-series--second",
        "time-series--limit",
        "time-series--bad",
    }

    DEFAULT_CSS = """
    TimeSeries {
        height: 1fr; width: 1fr;
        & > .time-series--title { color: $foreground; text-style: bold; }
        & > .time-series--number { color: $text-accent; text-style: bold; }
        & > .time-series--axis { color: $text-muted; }
        & > .time-series--main { color: $primary; }
        & > .time-series--second { color: $warning; }
        & > .time-series--limit { color: $text-accent; }
        & > .time-series--bad { color: $error; }
    }
    """

    def __init__(self, number: int, glyphs: Glyphs, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.number = number
        self._glyphs = glyphs
        self._chart: Chart | None = None
        self._strips: list[Strip] = []
        self._drawn: object = None
        self._styles: dict[str, Style] = {}
        self._known: dict[object, Strip] = {}
        """The lines that are shown, by their width and pieces."""

    def show(self, chart: Chart) -> None:
        """Only rows that look different are drawn again: under a steady curve, and beside it, that is few."""
        if chart == self._chart:
            return
        before = self._strips if self._drawn == (self._chart, self.size) else []
        self._chart = chart
        self._drawn = (chart, self.size)
        self._strips = self._draw()
        if len(before) != len(self._strips):
            self.refresh()
            return
        changed = [y for y, (old, new) in enumerate(zip(before, self._strips, strict=True)) if old is not new]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    @property
    def plain(self) -> str:
        """What is on the screen, as text."""
        return "\n".join(self.render_line(y).text.rstrip() for y in range(self.size.height))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn = None
        self._styles.clear()
        self._known.clear()

    def render_line(self, y: int) -> Strip:
        drawn = (self._chart, self.size)
        if drawn != self._drawn:
            self._drawn = drawn
            self._strips = self._draw()
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def _style(self, role: str) -> Style:
        known = self._styles.get(role)
        if known is None:
            known = self._styles[role] = self.get_component_rich_style(f"time-series--{role}")
        return known

    def _draw(self) -> list[Strip]:
        chart, (width, height) = self._chart, self.size
        if chart is None or width < 12 or height < 2:
            return []
        shown = self._within_reach(chart.curves)
        largest = max((value for curve in shown for value in curve.values if value is not None), default=0.0)
        top = nice_top(largest, whole=chart.whole)
        ticks = _ticks(top, height - 2, chart.unit)
        margin = max(len(said) for said in ticks.values()) if ticks else 0
        rows = plot(
            shown,
            steps=max(1, chart.steps),
            top=top,
            width=width - margin - 1,
            height=height - 2,
            ascii_only=self._glyphs.ascii_only,
        )
        if not any(value is not None for curve in chart.curves for value in curve.values):
            rows = _said("no data", width - margin - 1, height - 2)
        lines: list[_Line] = [self._title(chart, width)]
        for index, row in enumerate(rows):
            lines.append(self._row(ticks.get(index, ""), margin, row, shown))
        lines.append(self._time_axis(chart.seconds, margin, width))
        # A line that was there before is the same strip again, with all that Textual has remembered of it.
        known, self._known = self._known, {}
        rest: Style | None = None
        for line in lines:
            key = width, *line
            strip = known.get(key)
            if strip is None:
                rest = rest if rest is not None else self.rich_style
                strip = Strip([Segment(text, self._style(role)) for text, role in line]).adjust_cell_length(width, rest)
            self._known[key] = strip
        return [self._known[width, *line] for line in lines]

    @staticmethod
    def _within_reach(curves: Sequence[Curve]) -> tuple[Curve, ...]:
        """Without limits that lie far above."""
        others = [v for curve in curves if curve.role != "limit" for v in curve.values if v is not None]
        reach = _FAR_ABOVE * max(1.0, max(others, default=0.0))
        return tuple(
            curve
            for curve in curves
            if curve.role != "limit" or max((v for v in curve.values if v is not None), default=0.0) <= reach
        )

    def _title(self, chart: Chart, width: int) -> _Line:
        said_first = f"{self.number} "
        line = [(said_first, "number"), (chart.title, "title")]
        used = len(said_first) + len(chart.title)
        for curve, latest in zip(chart.curves, chart.latest, strict=True):
            sample = curve.stroke.value if self._glyphs.ascii_only else _SAMPLES[curve.stroke]
            said = f" {curve.name} {latest}" if curve.name else f" {latest}"
            used += 3 + len(said)
            if used > width:
                break
            line += [("  ", "axis"), (sample, curve.role), (said, "axis")]
        return tuple(line)

    def _row(self, tick: str, margin: int, row: Sequence[Run], curves: Sequence[Curve]) -> _Line:
        edge = ("+" if tick else "|") if self._glyphs.ascii_only else ("┤" if tick else "│")
        runs = ((text, "axis" if owner == EMPTY else curves[owner].role) for text, owner in row)
        return (f"{tick:>{margin}}{edge}", "axis"), *runs

    def _time_axis(self, seconds: float, margin: int, width: int) -> _Line:
        room = width - margin - 1
        left, middle, right = f"-{_ago(seconds)}", f"-{_ago(seconds / 2)}", "now"
        said = f"{left:<{room // 2 - len(middle) // 2}}{middle}"
        line = f"{said:<{room - len(right)}}{right}" if room > len(left + middle + right) + 4 else f"{right:>{room}}"
        return ((" " * (margin + 1) + line, "axis"),)


def _ticks(top: float, rows: int, unit: Callable[[float], str]) -> dict[int, str]:
    """Row to figure: both ends, and the middle where there is room for it."""
    if rows < 1:
        return {}
    ticks = {0: unit(top), rows - 1: unit(0.0)}
    if rows >= 5:
        ticks[(rows - 1) // 2] = unit(top / 2)
    return ticks


def _ago(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds < 100 else figures.seconds(seconds)


def _said(text: str, width: int, height: int) -> list[list[Run]]:
    return [[(f"{text if row == height // 2 else '':^{width}}", EMPTY)] for row in range(height)]
