"""When what is under way will be done, and what it will have cost: from what its models' last answers took.

Estimates, and only where there is something to estimate from: a model that has not answered yet, a lane that was
stopped by hand, a provider that is not asked at present or a spend cap that is reached make the whole unknown. Pure.

Batch jobs end when their provider likes: they have no part in the time, and in the cost at most what was estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from workbench.core.clock import NS_PER_S
from workbench.core.errors import LimitKind
from workbench.engine.breaker import CircuitState
from workbench.engine.limiter_stats import LaneState, LaneStats
from workbench.engine.records import LaneTraffic, ModelName, Traffic
from workbench.jobs.job import Job
from workbench.session.diagnosis import LaneView

_PER_ANSWER: dict[LimitKind, Callable[[LaneTraffic], float]] = {
    LimitKind.REQUESTS: lambda model: 1.0,
    LimitKind.TOKENS: lambda model: (model.input_tokens + model.output_tokens) / max(1, model.answered),
    LimitKind.INPUT_TOKENS: lambda model: model.input_tokens / max(1, model.answered),
    LimitKind.OUTPUT_TOKENS: lambda model: model.output_tokens / max(1, model.answered),
}
"""How much of each limit an answer has taken so far, on average."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """None = cannot be known, or nothing is left."""

    left_s: float | None = None
    """Until everything that has been asked has ended."""
    left_usd: float | None = None
    """What that will cost, beyond what has been spent."""


@dataclass(frozen=True, slots=True)
class BatchOutlook:
    """What a provider's batches add to what is asked live."""

    jobs: int = 0
    """That are not over."""
    most_usd: float | None = 0.0
    """What those will cost yet, at most and at batch prices; None where nobody knows for one of them."""
    spent_usd: float = 0.0
    """On rows that have been collected since this program looks."""
    unpriced: int = 0
    """Jobs that ended meanwhile, at a price that is not known."""


def batch_outlook(jobs: Iterable[Job], *, spent_usd: float, unpriced: int) -> BatchOutlook:
    still_open = [job for job in jobs if not job.state.is_ended]
    most = [
        None if job.estimate_usd is None else max(0.0, job.estimate_usd - (job.cost_usd or 0.0)) for job in still_open
    ]
    return BatchOutlook(
        jobs=len(still_open),
        most_usd=None if None in most else sum(usd for usd in most if usd is not None),
        spent_usd=spent_usd,
        unpriced=unpriced,
    )


def outlook(traffic: Traffic, serving: Mapping[ModelName, Sequence[LaneView]], *, capped: int = 0) -> Outlook:
    """Args:
    serving: the limiter's lanes over which each model is asked.
    capped: requests that wait for a person to raise the spend cap.
    """
    working = [model for model in traffic.models if model.left]
    # Some are still on their way to a queue: an SDK is being imported, a cache opened. Nobody knows what they will be.
    if capped or not working or traffic.unfinished > sum(model.left for model in working):
        return Outlook()
    spans = [_left_s(model, serving.get(model.name, ())) for model in working]
    costs = [None if model.usd_per_answer is None else model.left * model.usd_per_answer for model in working]
    return Outlook(
        left_s=None if None in spans else max(span for span in spans if span is not None),
        left_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
    )


def _left_s(model: LaneTraffic, views: Sequence[LaneView]) -> float | None:
    """Until the last request of one model has ended."""
    service_s, waiting = model.service_s, model.queued + model.backing_off
    if service_s is None:
        return None
    if not waiting:
        return max(0.0, service_s - (model.underway.newest_s or 0.0))
    open_views = [view for view in views if _may_send(view)]
    if not open_views:
        return None
    lanes = [view.lane for view in open_views]
    begins_s = min(max(0, (view.lane.paused_until_ns or 0) - view.now_ns) / NS_PER_S for view in open_views)
    # In flight at most so many at a time, and no faster than the slowest limit lets them go.
    turns_s = [waiting * service_s / sum(lane.window for lane in lanes)]
    turns_s += [_paced_s(lanes, kind, waiting * share(model)) for kind, share in _PER_ANSWER.items()]
    return begins_s + max(turns_s) + service_s


def _may_send(view: LaneView) -> bool:
    circuit_is_closed = view.circuit is None or view.circuit.state is CircuitState.CLOSED
    return circuit_is_closed and view.lane.state not in (LaneState.HELD, LaneState.DEAD)


def _paced_s(lanes: Sequence[LaneStats], kind: LimitKind, needed: float) -> float:
    """Until these lanes together will have let so much go."""
    limits = [dimension for lane in lanes for dimension in lane.dimensions if dimension.kind is kind]
    if len(limits) < len(lanes):
        return 0.0
    pace = sum(limit.pace for limit in limits)
    return max(0.0, needed - sum(limit.level for limit in limits)) * 60.0 / pace if pace > 0 else 0.0
