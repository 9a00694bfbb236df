"""Numbers as words, the same everywhere: a pane's border, the status line, an export.

An unknown number is a dash, an estimate has a tilde. Widths stay steady while a figure grows, so borders do not jump.
"""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "—"

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-:=+*#"


def seconds(value: float | None) -> str:
    """`0.41s`, `12.3s`, `2m05s`."""
    if value is None:
        return UNKNOWN
    if value < 9.995:
        return f"{value:.2f}s"
    if value < 99.95:
        return f"{value:.1f}s"
    whole = round(value)
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def countdown(value: float) -> str:
    """Whole seconds, rounded up: `6 s`; a countdown that shows decimals only flickers."""
    left = max(0, -int(-value // 1))
    return f"{left} s" if left < 100 else f"{left // 60} m {left % 60:02d} s"


def rate(value: float | None) -> str:
    """`87 t/s`, `8.7 t/s`."""
    if value is None:
        return f"{UNKNOWN} t/s"
    return f"{value:.0f} t/s" if value >= 9.95 else f"{value:.1f} t/s"


def tokens(count: int, *, estimated: bool = False) -> str:
    return f"{'~' if estimated else ''}{quantity(count)} tok"


def quantity(count: int) -> str:
    """`318`, `9,412`, `12.4k`, `1.05M`."""
    if count < 10_000:
        return f"{count:,}"
    if count < 999_500:
        return f"{count / 1000:.1f}k" if count < 99_950 else f"{count / 1000:.0f}k"
    return f"{count / 1e6:.2f}M".replace(".00M", "M")


def units(count: float) -> str:
    """Of requests or tokens, which may be averages: whole numbers, but a pace of 2.5 is neither two nor three."""
    return f"{count:.1f}".removesuffix(".0") if count < 10 else quantity(round(count))


def cost(usd: float | None, *, estimated: bool = False) -> str:
    """`$0.0041`, `$1.20`; a dash when the price is unknown, never `$0` for want of one."""
    if usd is None:
        return UNKNOWN
    mark = "~" if estimated else ""
    if usd == 0:
        return "free"
    if usd < 0.0001:
        return f"{mark}<$0.0001"
    return f"{mark}${usd:.4f}" if usd < 0.1 else f"{mark}${usd:.3f}" if usd < 1 else f"{mark}${usd:,.2f}"


def money(usd: float) -> str:
    """A sum of money, where nothing is `$0` and not a price that is free."""
    return "$0" if usd == 0 else cost(usd)


def cost_range(low: float | None, high: float | None) -> str:
    """`$0.004–0.011`, or one figure when both ends read the same."""
    if low is None or high is None:
        return UNKNOWN
    if low == high:
        return cost(low)
    digits = 4 if high < 0.01 else 3 if high < 1 else 2
    first, last = f"{low:.{digits}f}", f"{high:.{digits}f}"
    return f"${last}" if first == last else f"${first}–{last}"


def price_per_million(usd_per_token: float | None) -> str:
    """`$1.25`: a price as providers quote it, per million tokens."""
    if usd_per_token is None:
        return UNKNOWN
    if usd_per_token == 0:
        return "free"
    value = usd_per_token * 1e6
    return f"${value:.2f}" if value < 100 else f"${value:.0f}"


def sparkline(values: Sequence[float], *, peak: float | None = None, ascii_only: bool = False) -> str:
    """One character per value, scaled to the largest (or to `peak`)."""
    bars = _ASCII_BARS if ascii_only else _BARS
    top = max(values, default=0.0) if peak is None else peak
    if top <= 0:
        return bars[0] * len(values)
    return "".join(bars[min(len(bars) - 1, int(max(0.0, value) / top * (len(bars) - 0.001)))] for value in values)
