"""Small charts as SVG text: lines, dots and steps over numbers, with axes, round ticks and a legend.

Written here because a report is four such charts: a plotting library would be the heaviest thing that this package
installs, and its output five times as large. Colours follow the page's, so that one file reads in the light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 28, 46
_LEGEND_ROW = 15
_LETTER = 6.2
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#997700")
"""Paul Tol's bright scheme: told apart with every kind of colour vision."""

SMALLEST = 1e-12
"""That a logarithmic axis shows: nothing that is measured here is smaller and above zero."""


class Shape(StrEnum):
    LINE = "line"
    DOTS = "dots"
    STEPS = "steps"


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    points: tuple[tuple[float, float], ...]
    shape: Shape = Shape.LINE
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    label: str
    logarithmic: bool = False
    ticks: tuple[float, ...] = ()
    """Where to put marks; round numbers are found where none are given."""


def chart(title: str, x: Axis, y: Axis, curves: Sequence[Curve]) -> str:
    """An `<svg>` element. What is not finite, and what a logarithm cannot show, is left out."""
    shown = [found for curve in curves if (found := _drawable(curve, x, y)).points]
    points = [point for curve in shown for point in curve.points]
    across = _Scale.over([px for px, _ in points], x, LEFT, WIDTH - RIGHT, from_zero=False)
    up = _Scale.over([py for _, py in points], y, HEIGHT - BOTTOM, TOP, from_zero=True)
    named, legend = escape(title, quote=True), _legend(shown)
    height = HEIGHT + _LEGEND_ROW * (1 + max((row for row, _ in legend), default=-1))
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{named}" xmlns="http://www.w3.org/2000/svg">',
        '<g font-family="system-ui, sans-serif" font-size="11" fill="currentColor">',
        f'<text x="{LEFT}" y="16" font-size="13" font-weight="600">{escape(title)}</text>',
        *_axes(x, y, across, up),
    ]
    if not points:
        parts.append(f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT / 2:.0f}" text-anchor="middle">no data</text>')
    for number, curve in enumerate(shown):
        parts.extend(_curve(curve, COLOURS[number % len(COLOURS)], across, up))
    parts.extend(element for _, element in legend)
    parts.append("</g></svg>")
    return "\n".join(parts)


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten that lie within; at most about `most`."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    logarithmic: bool

    @classmethod
    def over(cls, values: Sequence[float], axis: Axis, start: float, end: float, *, from_zero: bool) -> _Scale:
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if axis.logarithmic:
            low, high = (low, high) if values else (1.0, 10.0)
            high = high if high > low else low * 2
            powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ticks = axis.ticks or tuple(10.0**power for power in powers)
            low, high = min(low, *ticks), max(high, *ticks)
            return cls(low, high, start, end, tuple(tick for tick in ticks if low <= tick <= high), True)
        low = min(0.0, low) if from_zero else low
        if high - low <= 1e-9 * abs(low) or high <= low:
            high = low + max(1.0, abs(low))
        marks = list(axis.ticks or round_ticks(low, high))
        if from_zero and not axis.ticks and len(marks) > 1 and high > marks[-1]:
            marks.append(2 * marks[-1] - marks[-2])
        return cls(low, max(high, *marks), start, end, tuple(marks), False)

    def __call__(self, value: float) -> float:
        if self.logarithmic:
            share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def _drawable(curve: Curve, x: Axis, y: Axis) -> Curve:
    kept = tuple(
        (px, py)
        for px, py in curve.points
        if math.isfinite(px)
        and math.isfinite(py)
        and not (x.logarithmic and px < SMALLEST)
        and not (y.logarithmic and py < SMALLEST)
    )
    return Curve(curve.name, kept, curve.shape, curve.dashed)


def _axes(x: Axis, y: Axis, across: _Scale, up: _Scale) -> Iterator[str]:
    foot, middle = HEIGHT - BOTTOM, (TOP + HEIGHT - BOTTOM) / 2
    for tick in up.ticks:
        at = up(tick)
        yield f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="currentColor" stroke-opacity=".15"/>'
        yield f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_number(tick)}</text>'
    for tick in across.ticks:
        at = across(tick)
        yield f'<path d="M{at:.1f} {foot}v4" stroke="currentColor"/>'
        yield f'<text x="{at:.1f}" y="{foot + 16}" text-anchor="middle">{_number(tick)}</text>'
    yield f'<path d="M{LEFT} {TOP}V{foot}H{WIDTH - RIGHT}" fill="none" stroke="currentColor"/>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x.label)}</text>'
    yield (
        f'<text x="14" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 14 {middle:.0f})">'
        f"{escape(y.label)}</text>"
    )


def _curve(curve: Curve, colour: str, across: _Scale, up: _Scale) -> Iterator[str]:
    placed = [(across(px), up(py)) for px, py in curve.points]
    if not placed:
        return
    if curve.shape is not Shape.DOTS:
        path = f"M{placed[0][0]:.1f} {placed[0][1]:.1f}"
        for px, py in placed[1:]:
            path += f"H{px:.1f}V{py:.1f}" if curve.shape is Shape.STEPS else f"L{px:.1f} {py:.1f}"
        dashes = ' stroke-dasharray="5 3"' if curve.dashed else ""
        yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'
    if curve.shape is not Shape.STEPS:
        radius, alpha = (3, 1) if curve.shape is Shape.LINE else (2, 0.6)
        for px, py in placed:
            yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{radius}" fill="{colour}" fill-opacity="{alpha}"/>'


def _legend(curves: Sequence[Curve]) -> list[tuple[int, str]]:
    """(row, element): names below the chart, in as many rows as they need."""
    placed: list[tuple[int, str]] = []
    at, row = float(LEFT), 0
    for number, curve in enumerate(curves):
        width = _LETTER * len(curve.name) + 28
        if at + width > WIDTH and at > LEFT:
            at, row = float(LEFT), row + 1
        foot = HEIGHT + 10 + _LEGEND_ROW * row
        colour = COLOURS[number % len(COLOURS)]
        placed.append((row, f'<rect x="{at:.0f}" y="{foot - 8}" width="9" height="9" fill="{colour}"/>'))
        placed.append((row, f'<text x="{at + 13:.0f}" y="{foot}">{escape(curve.name)}</text>'))
        at += width
    return placed


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
