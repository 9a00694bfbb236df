"""One lane in words and figures: why, limits, times, counts, keys, changes, what the provider said last. Pure text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workbench.core.clock import NS_PER_S
from workbench.core.stats import Percentiles
from workbench.engine.lane_values import Change
from workbench.engine.limiter_stats import DimensionStats, KeyCondition, KeyStats, LaneStats
from workbench.engine.records import LaneTraffic
from workbench.session import figures
from workbench.session.limit_words import window_cause
from workbench.session.monitor import MonitoredLane
from workbench.session.monitor_log import change_amounts, change_name

Section = tuple[str, list[str]]
"""A title and its lines."""

CHANGES = 12
_BAR_CELLS = 10
_NAME = 16


def lane_sections(
    row: MonitoredLane, keys: Iterable[KeyStats], history: Sequence[Change], *, ascii_only: bool = False
) -> list[Section]:
    """What is known of a lane, most wanted first; nothing is left out, what is unknown is a dash."""
    lane, now_ns = row.lane, row.view.now_ns
    mine = [change for change in reversed(history) if change.lane == lane.name][:CHANGES]
    sections: list[Section] = [
        ("Why", [f"{row.diagnosis.cause.value}: {row.diagnosis.sentence}"]),
        ("Limits", list(_limits(lane, ascii_only))),
        ("Times of the last minute", list(_times(row.traffic))),
        ("This run", list(_counts(lane, row.traffic))),
        ("Keys", [_key(key, now_ns) for key in keys if lane.name in key.lanes] or ["none needed"]),
        ("What changed", [_change(change, now_ns) for change in mine] or ["nothing yet"]),
    ]
    if lane.headers:
        at = f"Last headers about limits, {_ago(lane.headers_at_ns, now_ns)}"
        sections.append((at, [f"{name}: {value}" for name, value in lane.headers]))
    if lane.error:
        sections.append((f"Last error, {_ago(lane.error_at_ns, now_ns)}", [lane.error]))
    return sections


def _limits(lane: LaneStats, ascii_only: bool) -> Iterable[str]:
    ceiling = "" if lane.ceiling is None else f", {lane.ceiling} known to work"
    yield f"{'in flight':<{_NAME}}{lane.in_flight} of {lane.window}, {window_cause(lane)}{ceiling}"
    for dimension in lane.dimensions:
        yield _dimension(dimension, ascii_only)
    if not lane.dimensions:
        yield f"{'per minute':<{_NAME}}{figures.UNKNOWN} nothing stated, nothing refused"


def _dimension(dimension: DimensionStats, ascii_only: bool) -> str:
    """`requests  ███▌······  34 of 100 a minute, stated`."""
    filled = round(min(1.0, dimension.share) * _BAR_CELLS)
    full, empty = ("#", ".") if ascii_only else ("█", "·")
    origin = "by hand" if dimension.pinned else "learned from refusals" if dimension.learned else "stated"
    used, pace = figures.units(dimension.used), figures.units(dimension.pace)
    limit = "" if dimension.limit is None else f" (limit {figures.quantity(round(dimension.limit))})"
    bar = full * filled + empty * (_BAR_CELLS - filled)
    return f"{dimension.kind.value:<{_NAME}}{bar}  {used} of {pace} a minute{limit}, {origin}"


def _times(traffic: LaneTraffic | None) -> Iterable[str]:
    yield f"{'':<{_NAME}}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}{'n':>7}"
    if traffic is None:
        return
    for name, spread in (
        ("queue", traffic.queue_s),
        ("connect", traffic.connect_s),
        ("TTFT", traffic.ttft_s),
        ("first answer", traffic.ttfa_s),
        ("TTFT perceived", traffic.perceived_s),
        ("per token", traffic.tpot_s),
        ("longest gap", traffic.gap_s),
        ("whole answer", traffic.e2e_s),
    ):
        yield f"{name:<{_NAME}}{_spread(spread)}"


def _spread(spread: Percentiles) -> str:
    cells = (spread.p50, spread.p95, spread.p99, spread.max)
    return "".join(f"{_seconds(value):>8}" for value in cells) + f"{spread.n:>7,}"


def _seconds(value: float | None) -> str:
    """Milliseconds where hundredths of a second would say nothing."""
    return f"{value * 1e3:.0f}ms" if value is not None and value < 0.0995 else figures.seconds(value)


def _counts(lane: LaneStats, traffic: LaneTraffic | None) -> Iterable[str]:
    yield (
        f"sent {lane.sent:,} · accepted {lane.accepted:,} · refused {lane.refused:,}"
        f" · overloaded {lane.overloaded:,} · cuts {lane.cuts:,}"
    )
    if traffic is None:
        return
    yield (
        f"answered {traffic.answered:,} · failed {traffic.failed:,} · cut off {traffic.incomplete:,}"
        f" · cancelled {traffic.cancelled:,} · from the cache {traffic.cached:,} · retries {traffic.retries:,}"
    )
    least = "≥ " if traffic.unpriced else ""
    mark = "~" if traffic.unreported else ""
    yield (
        f"tokens in {figures.quantity(traffic.input_tokens)} (cached {figures.quantity(traffic.cached_input_tokens)})"
        f" · out {mark}{figures.quantity(traffic.output_tokens)} · {least}{figures.money(traffic.cost_usd)}"
    )
    if traffic.unreported:
        yield f"{traffic.unreported:,} answers came without a count of tokens: those figures stay estimates"


def _key(key: KeyStats, now_ns: int) -> str:
    state: str = key.condition.value
    if key.condition is KeyCondition.COOLING and key.cooling_until_ns is not None:
        state = f"cooling {figures.countdown((key.cooling_until_ns - now_ns) / NS_PER_S)}"
    account = f" · account {key.account}" if key.account else ""
    why = f" · {key.why}" if key.why else ""
    return (
        f"{key.alias}  {state}  in flight {key.in_flight} · sent {key.sent:,} · refused {key.refused:,}"
        f" · from {key.source}{account}{why}"
    )


def _change(change: Change, now_ns: int) -> str:
    amounts = "" if change.old is None and change.new is None else f" {change_amounts(change)}"
    return f"{_ago(round(change.at_s * NS_PER_S), now_ns)}  {change_name(change)}{amounts}  {change.why}"


def _ago(at_ns: int | None, now_ns: int) -> str:
    return figures.UNKNOWN if at_ns is None else f"{figures.seconds(max(0.0, (now_ns - at_ns) / NS_PER_S))} ago"
