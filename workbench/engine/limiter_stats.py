"""What the limiter knows at one moment, as frozen values: for the monitor, for `llm-workbench keys`, and for tests.

Taking a snapshot changes nothing, not even the level of a bucket: it may be done as often as a screen is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from workbench.core.clock import NS_PER_S
from workbench.core.errors import LimitKind
from workbench.core.events import WaitReason
from workbench.core.types import Priority
from workbench.engine.bucket import Bucket
from workbench.engine.dispatcher import Dispatcher
from workbench.engine.lane import Lane
from workbench.engine.lane_group import Group
from workbench.engine.lane_values import Change, KeyState
from workbench.engine.records import patience_s


class LaneState(StrEnum):
    """One word for a table cell."""

    OPEN = "open"
    FULL = "full"
    """As many calls in flight as the window allows."""
    PACED = "paced"
    """Requests wait for a bucket to refill."""
    COOLING = "cooling"
    HELD = "held"
    """A person stopped it."""
    DEAD = "no key"


class KeyCondition(StrEnum):
    READY = "ready"
    COOLING = "cooling"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class DimensionStats:
    kind: LimitKind
    limit: float | None
    """Per minute, as the provider or a person states it; None where it had to be learned."""
    pace: float
    """Per minute, as we send at most at present."""
    used: float
    """In the last minute, what calls in flight hold in reserve included."""
    level: float
    """What could be spent at once, 0 when in debt."""
    depth: float
    learned: bool
    """The pace comes from refusals."""
    pinned: bool

    @property
    def share(self) -> float:
        """Used of the pace: above 1 where what had been saved up was spent as well."""
        return self.used / self.pace if self.pace > 0 else 1.0


@dataclass(frozen=True, slots=True)
class LaneStats:
    name: str
    provider: str
    base_url: str
    family: str
    keys: tuple[str, ...]
    state: LaneState
    in_flight: int
    window: int
    ceiling: int | None
    """The most calls at once that is known to work; None while unknown."""
    window_pinned: bool
    dimensions: tuple[DimensionStats, ...]
    sent: int
    accepted: int
    refused: int
    overloaded: int
    cuts: int
    paused_until_ns: int | None
    why: str
    """Why it is paused; empty while it is not."""
    headers: tuple[tuple[str, str], ...] = ()
    """What the provider last said about limits, word for word."""
    headers_at_ns: int | None = None
    error: str = ""
    """The last error of a call over this lane; empty while there was none."""
    error_title: str = ""
    """The same in two or three words: `server error, 503`."""
    error_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class KeyStats:
    alias: str
    provider: str
    source: str
    account: str
    condition: KeyCondition
    in_flight: int
    sent: int
    refused: int
    cooling_until_ns: int | None
    why: str
    lanes: tuple[str, ...]
    fingerprint: str = ""
    """Tells keys apart where aliases cannot: in another process."""


@dataclass(frozen=True, slots=True)
class QueueStats:
    provider: str
    family: str
    waiting: Mapping[Priority, int]
    parked: int
    reason: WaitReason | None
    """Why the next one cannot go; None when nothing waits."""
    until_ns: int | None


@dataclass(frozen=True, slots=True)
class LimiterStats:
    at_ns: int
    lanes: tuple[LaneStats, ...]
    keys: tuple[KeyStats, ...]
    queues: tuple[QueueStats, ...]
    history: tuple[Change, ...]
    """The last changes, oldest first."""

    @property
    def in_flight(self) -> int:
        return sum(lane.in_flight for lane in self.lanes)

    @property
    def waiting(self) -> int:
        return sum(sum(queue.waiting.values()) + queue.parked for queue in self.queues)


class Snapshots:
    """Takes snapshots, and reads again only what has changed: a thousand lanes cost little more than the busy ones.

    Of a lane over which nothing went, what time alone changes (its level, what the last minute used) is a second old at
    the most, and some seconds among hundreds of others.
    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, _Kept] = {}
        self._idle_queues: dict[Group, QueueStats] = {}

    def take(self, dispatcher: Dispatcher, history: tuple[Change, ...], now_ns: int) -> LimiterStats:
        now_s = now_ns / NS_PER_S
        lanes = list(dispatcher.board)
        by_key: dict[KeyState, list[Lane]] = {}
        for _, lane in lanes:
            for state in lane.keys:
                by_key.setdefault(state, []).append(lane)
        return LimiterStats(
            at_ns=now_ns,
            lanes=tuple(
                self._lane(name, lane, now_s, drift_s)
                for (name, lane), drift_s in zip(lanes, patience_s(len(lanes)), strict=True)
            ),
            keys=tuple(
                _key(provider, state, by_key.get(state, []), now_s)
                for provider, state in dispatcher.board.key_states()
                if state.key is not None
            ),
            queues=tuple(self._queue(group) for group in tuple(dispatcher.groups.values())),
            history=history,
        )

    def _lane(self, name: tuple[str, str, str, str], lane: Lane, now_s: float, drift_s: float) -> LaneStats:
        # Whatever is done to a lane moves its clock, but for merging it with others, its keys and what headers said.
        mark = (lane.now_s, lane.name, len(lane.flights), len(lane.keys), lane.usable, lane.counters.headers_s)
        kept = self._lanes.get(lane)
        if kept is not None and kept.mark == mark and kept.taken_s <= now_s < kept.until_s:
            return kept.stats
        stats = _lane(name, lane, now_s)
        # Something may still happen at the very moment of this look.
        until_s = now_s if lane.now_s >= now_s else _settled_until_s(lane, stats, now_s, drift_s)
        self._lanes[lane] = _Kept(mark, stats, now_s, until_s)
        return stats

    def _queue(self, group: Group) -> QueueStats:
        if group.parked or group.blocked is not None:
            return _queue(group)
        idle = self._idle_queues.get(group)
        if idle is None:
            idle = self._idle_queues[group] = _queue(group)
        return idle


@dataclass(frozen=True, slots=True)
class _Kept:
    mark: tuple[object, ...]
    """Of the lane, when it was read."""
    stats: LaneStats
    taken_s: float
    until_s: float
    """When time alone may have changed it."""


def _settled_until_s(lane: Lane, stats: LaneStats, now_s: float, drift_s: float) -> float:
    if stats.paused_until_ns is not None:
        return min(now_s + drift_s, lane.pause_until_s)
    at_rest = all(one.used == 0 and one.level >= one.depth for one in stats.dimensions)
    return math.inf if at_rest and stats.state is not LaneState.PACED else now_s + drift_s


def _lane(name: tuple[str, str, str, str], lane: Lane, now_s: float) -> LaneStats:
    paused = lane.pause_until_s > now_s
    return LaneStats(
        name=lane.name,
        provider=name[0],
        base_url=name[1],
        family=name[3],
        keys=tuple(state.label for state in lane.keys),
        state=_state(lane, now_s),
        in_flight=lane.in_flight,
        window=lane.window.allowed,
        ceiling=lane.window.ceiling,
        window_pinned=lane.window.pinned,
        dimensions=tuple(_dimension(bucket, now_s) for bucket in lane.paced),
        sent=lane.counters.sent,
        accepted=lane.counters.accepted,
        refused=lane.counters.refused,
        overloaded=lane.counters.overloaded,
        cuts=lane.counters.cuts,
        paused_until_ns=_ns(lane.pause_until_s) if paused else None,
        why=lane.pause_why if paused else "",
        headers=lane.counters.headers,
        headers_at_ns=_ns(lane.counters.headers_s) if lane.counters.headers else None,
        error=lane.counters.error,
        error_title=lane.counters.error_title,
        error_at_ns=_ns(lane.counters.error_s) if lane.counters.error else None,
    )


def _state(lane: Lane, now_s: float) -> LaneState:
    if not lane.usable:
        return LaneState.DEAD
    if lane.held:
        return LaneState.HELD
    if lane.pause_until_s > now_s:
        return LaneState.COOLING
    if lane.in_flight >= lane.window.allowed:
        return LaneState.FULL
    return LaneState.PACED if any(now_s - bucket.blocked_s < 1.0 for bucket in lane.paced) else LaneState.OPEN


def _dimension(bucket: Bucket, now_s: float) -> DimensionStats:
    assert bucket.rate is not None
    minute = 60.0 / bucket.period_s
    return DimensionStats(
        kind=bucket.kind,
        limit=bucket.limit * minute if bucket.limit is not None else None,
        pace=bucket.rate * 60.0,
        used=bucket.used(now_s),
        level=max(0.0, bucket.level_at(now_s)),
        depth=bucket.depth,
        learned=bucket.ceiling is not None,
        pinned=bucket.pinned,
    )


def _key(provider: str, state: KeyState, lanes: list[Lane], now_s: float) -> KeyStats:
    assert state.key is not None
    # A key that may go over one of its lanes is not cooling, whatever the others do.
    until_s = min((lane.pause_until_s for lane in lanes), default=now_s)
    cooling = until_s > now_s
    why = state.retired or next((lane.pause_why for lane in lanes if lane.pause_until_s == until_s and cooling), "")
    condition = KeyCondition.RETIRED if state.retired else KeyCondition.COOLING if cooling else KeyCondition.READY
    return KeyStats(
        alias=state.key.alias,
        provider=provider,
        source=state.key.source,
        account=state.key.account,
        condition=condition,
        in_flight=state.in_flight,
        sent=state.sent,
        refused=state.refused,
        cooling_until_ns=_ns(until_s) if cooling and not state.retired else None,
        why=why,
        lanes=tuple(lane.name for lane in lanes),
        fingerprint=state.key.fingerprint,
    )


def _queue(group: Group) -> QueueStats:
    blocked = group.blocked
    return QueueStats(
        provider=group.name[0],
        family=group.name[2],
        waiting={priority: group.queue.waiting(priority) for priority in Priority},
        parked=len(group.parked),
        reason=blocked.reason if blocked is not None else None,
        until_ns=_ns(blocked.until_s) if blocked is not None and blocked.until_s is not None else None,
    )


def _ns(at_s: float) -> int:
    return round(at_s * NS_PER_S)
