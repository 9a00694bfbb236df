"""What the monitor shows, without a screen: the limiter's lanes joined with what they carried, each with its diagnosis.

Pure: one snapshot of the engine in, one `Overview` out. Nothing unknown becomes a zero on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from workbench.core.clock import NS_PER_S
from workbench.core.events import WaitReason
from workbench.core.stats import NOTHING, Percentiles
from workbench.engine.breaker import CircuitStats
from workbench.engine.limiter_stats import DimensionStats, KeyStats, LaneState, LaneStats, LimiterStats, QueueStats
from workbench.engine.notices import Notice
from workbench.engine.records import LaneName, LaneTraffic, Traffic
from workbench.session.diagnosis import Diagnosis, LaneView, diagnosis, lane_diagnosis
from workbench.session.monitor_outlook import Outlook, outlook


class Statistics(Protocol):
    """What the monitor reads of an engine's statistics."""

    @property
    def traffic(self) -> Traffic: ...

    @property
    def circuits(self) -> tuple[CircuitStats, ...]: ...

    @property
    def notices(self) -> tuple[Notice, ...]: ...

    @property
    def limits(self) -> LimiterStats | None: ...

    @property
    def stamp_error_s(self) -> Percentiles: ...


@dataclass(frozen=True, slots=True)
class MonitoredLane:
    """A row of the table."""

    view: LaneView
    diagnosis: Diagnosis

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
        return max(fitting, key=_share, default=None)

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


_PACING = frozenset({WaitReason.REQUESTS, WaitReason.TOKENS})


def _share(dimension: DimensionStats) -> float:
    return dimension.used / dimension.pace if dimension.pace > 0 else 1.0


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
    capped: int = 0
    """Requests that wait for a person to raise the spend cap; the engine has not seen them yet."""

    @property
    def is_busy(self) -> bool:
        return self.traffic.under_way + self.capped > 0

    @property
    def waiting(self) -> int:
        return self.traffic.queued + self.traffic.backing_off


def overview(statistics: Statistics, *, capped: int = 0) -> Overview:
    """Join one snapshot's parts. O(lanes).

    Args:
        capped: requests that wait for money, and that the engine knows nothing of.
    """
    limits, traffic = statistics.limits, statistics.traffic
    serving: dict[LaneName, list[LaneView]] = {}
    lanes = () if limits is None else _lanes(limits, statistics, serving)
    return Overview(
        traffic=traffic,
        lanes=lanes,
        keys=() if limits is None else limits.keys,
        diagnosis=diagnosis(
            ((lane.lane, lane.diagnosis) for lane in lanes),
            late_s=statistics.stamp_error_s,
            capped=capped,
            busy=traffic.in_flight + traffic.queued + traffic.backing_off > 0,
        ),
        stamp_error_s=statistics.stamp_error_s,
        outlook=outlook(traffic, serving, capped=capped),
        capped=capped,
    )


def _lanes(
    limits: LimiterStats, statistics: Statistics, serving: dict[LaneName, list[LaneView]]
) -> tuple[MonitoredLane, ...]:
    """Fills in `serving` with the lanes over which each model is asked."""
    traffic = statistics.traffic
    queues = {(queue.provider, queue.family): queue for queue in limits.queues}
    circuits = {(circuit.provider, circuit.base_url): circuit for circuit in statistics.circuits}
    models = {model.name: model for model in traffic.lanes}
    rows: list[MonitoredLane] = []
    for lane in limits.lanes:
        families = _families(lane)
        served = [
            models[name] for family in families if (name := LaneName(lane.provider, lane.base_url, family)) in models
        ]
        view = LaneView(
            lane=lane,
            now_ns=limits.at_ns,
            traffic=traffic.by_lane.get(lane.name),
            queue=_busiest(queues[key] for family in families if (key := (lane.provider, family)) in queues),
            circuit=circuits.get((lane.provider, lane.base_url)),
            setup_s=max((model.setup_s for model in served), key=lambda setup: setup.max or 0.0, default=NOTHING),
        )
        for model in served:
            serving.setdefault(model.name, []).append(view)
        rows.append(MonitoredLane(view, lane_diagnosis(view)))
    rows.sort(key=_urgency)
    return tuple(rows)


def _urgency(row: MonitoredLane) -> int:
    """Coarse on purpose: a table that is sorted by figures jumps under the eyes of whoever reads it."""
    if row.diagnosis.cause.is_trouble:
        return 0
    lately = row.traffic is not None and row.traffic.ttft_s.n > 0
    return 1 if row.lane.in_flight or lately else 2


def _families(lane: LaneStats) -> tuple[str, ...]:
    """The models that share the lane: after a merge its name lists them."""
    _, _, said = lane.name.partition(" · ")
    return tuple(dict.fromkeys((lane.family, *said.split(", "))))


def _busiest(queues: Iterable[QueueStats]) -> QueueStats | None:
    return max(queues, key=lambda queue: sum(queue.waiting.values()) + queue.parked, default=None)
