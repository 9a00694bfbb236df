"""The monitor's four charts, from a series: what is drawn how, and what its legend says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workbench.engine.timeline import Series, Span
from workbench.session import figures
from workbench.tui.plot import Curve, Stroke
from workbench.tui.widgets.time_series import Chart

TITLES = ("In flight", "Tokens/s", "TTFT", "Refusals")
"""In the order of `charts`."""

_YOUNG = 10
"""A run is drawn over at least so many points, so that the first second does not fill the width."""


def charts(series: Series, span: Span) -> tuple[Chart, Chart, Chart, Chart]:
    """In flight, tokens per second, TTFT, refusals."""
    seconds = span.seconds
    steps = max(_YOUNG, len(series)) if seconds is None else -(-seconds // series.step_s)
    length_s = float(steps * series.step_s) if seconds is None else float(seconds)

    def chart(title: str, *curves: tuple[Curve, str], unit: Callable[[float], str] | None = None) -> Chart:
        drawn, latest = zip(*curves, strict=True)
        return Chart(title, drawn, latest, steps, length_s, unit or _count, whole=unit is None)

    return (
        chart(
            TITLES[0],
            (Curve("", series.in_flight, Stroke.AREA, "main"), _number(series.in_flight)),
            (Curve("limit", series.limit, Stroke.DASHES, "limit"), _number(series.limit)),
        ),
        chart(TITLES[1], (Curve("", series.tokens_per_s, Stroke.AREA, "main"), f"~{_number(series.tokens_per_s)}")),
        chart(
            TITLES[2],
            (Curve("p50", series.ttft_p50_s, Stroke.LINE, "main"), figures.seconds(_last(series.ttft_p50_s))),
            (Curve("p95", series.ttft_p95_s, Stroke.DOTS, "second"), figures.seconds(_last(series.ttft_p95_s))),
            unit=_seconds,
        ),
        chart(TITLES[3], (Curve("", series.refusals, Stroke.BARS, "bad"), f"{sum(series.refusals):,} in {span.value}")),
    )


def _last(values: Sequence[float | None]) -> float | None:
    return values[-1] if values else None


def _number(values: Sequence[float | None]) -> str:
    value = _last(values)
    return figures.UNKNOWN if value is None else _count(value)


def _count(value: float) -> str:
    return figures.quantity(round(value))


def _seconds(value: float) -> str:
    return "0s" if value == 0 else figures.seconds(value)
