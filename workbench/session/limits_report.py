"""Keys and lanes in words, for whoever wants to know why something waits: pure text out of the limiter's snapshot."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.core.clock import NS_PER_S
from workbench.engine.lane_values import Change
from workbench.engine.limiter_stats import DimensionStats, KeyCondition, KeyStats, LaneStats, LimiterStats, QueueStats
from workbench.session import figures

Section = tuple[str, list[str]]
"""A title and its lines."""

_BAR_CELLS = 10


def report(stats: LimiterStats | None, *, changes: int = 8, ascii_only: bool = False) -> list[Section]:
    """Keys, lanes, queues and the last changes; a sentence instead of what there is none of."""
    if stats is None:
        return [("Keys", ["The engine is still being opened."])]
    keys = [_key(key, stats.at_ns) for key in stats.keys]
    lanes = [line for lane in stats.lanes for line in _lane(lane, stats.at_ns, ascii_only)]
    sections: list[Section] = [
        ("Keys", keys or ["None in use yet: a key appears with its first request."]),
        ("Lanes", lanes or ["None yet."]),
    ]
    if waiting := [_queue(queue, stats.at_ns) for queue in stats.queues if sum(queue.waiting.values()) or queue.parked]:
        sections.append(("Waiting", waiting))
    if stats.history:
        sections.append(("Latest changes", _changes(reversed(stats.history[-changes:]), stats.at_ns / NS_PER_S)))
    return sections


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


def _lane(lane: LaneStats, now_ns: int, ascii_only: bool) -> Iterable[str]:
    ceiling = "" if lane.ceiling is None else f" (ceiling {lane.ceiling})"
    pinned = " pinned" if lane.window_pinned else ""
    state: str = lane.state.value
    if lane.paused_until_ns is not None and lane.paused_until_ns > now_ns:
        state += f" {figures.countdown((lane.paused_until_ns - now_ns) / NS_PER_S)}"
    why = f" · {lane.why}" if lane.why else ""
    yield (
        f"{lane.name}  {state}  in flight {lane.in_flight}/{lane.window}{ceiling}{pinned}"
        f" · refused {lane.refused:,} of {lane.sent:,} · cuts {lane.cuts}{why}"
    )
    for dimension in lane.dimensions:
        yield f"    {_dimension(dimension, ascii_only)}"


def _dimension(dimension: DimensionStats, ascii_only: bool) -> str:
    """`requests  ███▌······  34 of 100 a minute`; learned paces say so."""
    share = min(1.0, dimension.used / dimension.pace) if dimension.pace > 0 else 1.0
    filled = round(share * _BAR_CELLS)
    full, empty = ("#", ".") if ascii_only else ("█", "·")
    origin = "learned" if dimension.learned else "pinned" if dimension.pinned else "stated"
    used, pace = figures.quantity(round(dimension.used)), figures.quantity(round(dimension.pace))
    return (
        f"{dimension.kind.value:<14}{full * filled}{empty * (_BAR_CELLS - filled)}  {used} of {pace} a minute, {origin}"
    )


def _queue(queue: QueueStats, now_ns: int) -> str:
    count = sum(queue.waiting.values()) + queue.parked
    reason = f": {queue.reason.value}" if queue.reason is not None else ""
    until = ""
    if queue.until_ns is not None and queue.until_ns > now_ns:
        until = f", next in {figures.countdown((queue.until_ns - now_ns) / NS_PER_S)}"
    return f"{queue.provider} · {queue.family}  {count} waiting{reason}{until}"


def _changes(changes: Iterable[Change], now_s: float) -> list[str]:
    return [
        f"{figures.seconds(max(0.0, now_s - change.at_s))} ago  {change.lane}  {change.what}"
        f" {_amount(change.old)} → {_amount(change.new)}  {change.why}"
        for change in changes
    ]


def _amount(value: float | None) -> str:
    return figures.UNKNOWN if value is None else f"{value:,.4g}"
