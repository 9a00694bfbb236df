"""What the monitor shows, without a screen: the limiter's lanes joined with what they carried, each with its diagnosis.

Pure: one snapshot of the engine in, one `Overview` out. Nothing unknown becomes a zero on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Protocol

from workbench.core.clock import NS_PER_S
from workbench.core.events import WaitReason
from workbench.core.stats import NOTHING, Percentiles
from workbench.engine.breaker import CircuitState, CircuitStats
from workbench.engine.limiter_stats import DimensionStats, KeyStats, LaneState, LaneStats, LimiterStats, QueueStats
from workbench.engine.notices import Notice
from workbench.engine.records import LaneTraffic, ModelName, Traffic
from workbench.session.diagnosis import Diagnosis, LaneView, diagnosis, lane_diagnosis
from workbench.session.monitor_hindsight import hindsight
from workbench.session.monitor_outlook import BatchOutlook, Outlook, outlook
from workbench.session.waiting import WaitStatistics


class Statistics(WaitStatistics, Protocol):
    """What the monitor reads of an engine's statistics."""

    @property
    def notices(self) -> tuple[Notice, ...]: ...

    @property
    def stamp_error_s(self) -> Percentiles: ...


@dataclass(frozen=True, slots=True)
class MonitoredLane:
    """A row of the table."""

    view: LaneView
    diagnosis: Diagnosis
    models: tuple[ModelName, ...]
    """That are asked over it."""
    urgency: int
    """Coarse on purpose: a table that is sorted by figures jumps under the eyes of whoever reads it."""
    settled: bool
    """Nothing in it counts down: it says the same for as long as its lane and its traffic do."""

    @property
    def name(self) -> str:
        return self.view.lane.name

    @property
    def lane(self) -> LaneStats:
        return self.view.lane

    @property
    def traffic(self) -> LaneTraffic | None:
        return self.view.traffic

    @property
    def state(self) -> LaneState:
        """The lane's own word; where it looks free, and requests wait for a limit all the same, `paced`."""
        state, queue = self.lane.state, self.view.queue
        if state is LaneState.OPEN and self.view.waiting and queue is not None and queue.reason in _PACING:
            return LaneState.PACED
        return state

    def dimension(self, *, tokens: bool) -> DimensionStats | None:
        """The limit on requests, or the tightest of those on tokens; None where there is none."""
        fitting = [one for one in self.lane.dimensions if ("token" in one.kind.value) is tokens]
        return max(fitting, key=attrgetter("share"), default=None)

    @property
    def reset_s(self) -> float | None:
        """Until something can go again: the end of a pause, the next one in the queue, a bucket that is whole again."""
        now_ns = self.view.now_ns
        queue = self.view.queue
        for until_ns in (
            self.lane.paused_until_ns,
            queue.until_ns if queue is not None and self.view.waiting else None,
        ):
            if until_ns is not None and until_ns > now_ns:
                return (until_ns - now_ns) / NS_PER_S
        missing = [
            (one.depth - one.level) * 60.0 / one.pace
            for one in self.lane.dimensions
            if one.pace > 0 and one.level < one.depth
        ]
        return max(missing, default=None)


_RECENT = 50
"""Lanes that are looked at when everything is over."""

_PACING = frozenset({WaitReason.REQUESTS, WaitReason.TOKENS})


NO_BATCHES = BatchOutlook()


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at one moment."""

    traffic: Traffic
    lanes: tuple[MonitoredLane, ...]
    """Troubled ones and recently busy ones first; otherwise in the order in which they came to be."""
    keys: tuple[KeyStats, ...]
    diagnosis: Diagnosis
    stamp_error_s: Percentiles
    outlook: Outlook
    lately: Diagnosis | None = None
    """What held things up in the last minute, while nothing is asked."""
    capped: int = 0
    """Requests that wait for a person to raise the spend cap; the engine has not seen them yet."""
    batches: BatchOutlook = NO_BATCHES

    @property
    def is_busy(self) -> bool:
        return self.traffic.unfinished + self.capped > 0

    @property
    def waiting(self) -> int:
        return self.traffic.queued + self.traffic.backing_off


def overview(
    statistics: Statistics, before: Overview | None = None, *, capped: int = 0, batches: BatchOutlook = NO_BATCHES
) -> Overview:
    """Join one snapshot's parts. O(lanes), and cheap for those of which nothing is new.

    Args:
        before: the last overview, of which rows are taken over that would come out the same.
        capped: requests that wait for money, and that the engine knows nothing of.
        batches: jobs at their providers, of which it knows nothing either.
    """
    limits, traffic = statistics.limits, statistics.traffic
    serving: dict[ModelName, list[LaneView]] = {model.name: [] for model in traffic.models if model.left}
    lanes = () if limits is None else _lanes(limits, statistics, serving, before)
    busy = traffic.in_flight + traffic.queued + traffic.backing_off > 0
    at_rest = not busy and not traffic.unfinished
    # Those that were busy lately come first.
    recent = [row.view for row in lanes[:_RECENT]] if at_rest else []
    return Overview(
        traffic=traffic,
        lanes=lanes,
        keys=() if limits is None else limits.keys,
        diagnosis=diagnosis(
            ((lane.lane, lane.diagnosis) for lane in lanes),
            late_s=statistics.stamp_error_s,
            capped=capped,
            busy=busy,
            unfinished=traffic.unfinished,
        ),
        stamp_error_s=statistics.stamp_error_s,
        outlook=outlook(traffic, serving, capped=capped),
        lately=hindsight(traffic, recent, statistics.stamp_error_s) if at_rest else None,
        capped=capped,
        batches=batches,
    )


def _lanes(
    limits: LimiterStats,
    statistics: Statistics,
    serving: dict[ModelName, list[LaneView]],
    before: Overview | None,
) -> tuple[MonitoredLane, ...]:
    """Fills in `serving`, for the models in it, with the lanes over which each is asked."""
    traffic = statistics.traffic
    known = {} if before is None else {row.name: row for row in before.lanes}
    circuits = {(circuit.provider, circuit.base_url): circuit for circuit in statistics.circuits}
    all_closed = all(map(_is_closed, statistics.circuits))
    lined_up = {(queue.provider, queue.family) for queue in limits.queues if queue.reason is not None or queue.parked}
    join = _Join(limits, traffic, circuits)
    rows: list[MonitoredLane] = []
    for lane in limits.lanes:
        row = known.get(lane.name)
        same = row is not None and row.settled and row.lane is lane and row.traffic is traffic.by_lane.get(lane.name)
        waits = lined_up and row is not None and any((one.provider, one.wire_model) in lined_up for one in row.models)
        if row is None or not same or waits or not all_closed:
            row = join.row(lane)
        rows.append(row)
        if serving:
            for name in row.models:
                if name in serving:
                    serving[name].append(row.view)
    rows.sort(key=attrgetter("urgency"))
    return tuple(rows)


class _Join:
    """Makes a row of what several snapshots of one moment say about its lane."""

    def __init__(
        self, limits: LimiterStats, traffic: Traffic, circuits: Mapping[tuple[str, str], CircuitStats]
    ) -> None:
        self._limits = limits
        self._traffic = traffic
        self._circuits = circuits

    @cached_property
    def _queues(self) -> Mapping[tuple[str, str], QueueStats]:
        return {(queue.provider, queue.family): queue for queue in self._limits.queues}

    @cached_property
    def _models(self) -> Mapping[ModelName, LaneTraffic]:
        return {model.name: model for model in self._traffic.models}

    def row(self, lane: LaneStats) -> MonitoredLane:
        families = _families(lane.name, lane.family)
        names = tuple(ModelName(lane.provider, lane.base_url, family) for family in families)
        queues = [self._queues[key] for family in families if (key := (lane.provider, family)) in self._queues]
        setups = [self._models[name].setup_s for name in names if name in self._models]
        view = LaneView(
            lane=lane,
            now_ns=self._limits.at_ns,
            traffic=self._traffic.by_lane.get(lane.name),
            queue=max(queues, key=lambda queue: sum(queue.waiting.values()) + queue.parked, default=None),
            circuit=self._circuits.get((lane.provider, lane.base_url)),
            setup_s=max(setups, key=lambda setup: setup.max or 0.0, default=NOTHING),
        )
        found = lane_diagnosis(view)
        return MonitoredLane(
            view,
            found,
            models=names,
            urgency=_urgency(view, found),
            settled=lane.paused_until_ns is None and not view.waiting and _is_closed(view.circuit),
        )


def _is_closed(circuit: CircuitStats | None) -> bool:
    return circuit is None or circuit.state is CircuitState.CLOSED


def _urgency(view: LaneView, found: Diagnosis) -> int:
    # A lane that cools stays where it is, whether or not something waits for it at this very moment.
    if found.cause.is_trouble or (view.lane.paused_until_ns or 0) > view.now_ns:
        return 0
    lately = view.traffic is not None and view.traffic.ttft_s.n > 0
    return 1 if view.lane.in_flight or lately else 2


@lru_cache(maxsize=4_096)
def _families(name: str, family: str) -> tuple[str, ...]:
    """The models that share a lane: after a merge its name lists them."""
    _, _, said = name.partition(" · ")
    return tuple(dict.fromkeys((family, *said.split(", "))))
