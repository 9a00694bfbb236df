"""All counters of one engine, fed by `Observation` as things happen, read as frozen snapshots.

Feeding is O(1) and takes a few microseconds at most; nothing here waits. Cache hits and shared answers are counted
apart and appear in no latency; so do failed, incomplete and cancelled requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

from workbench.core.clock import NS_PER_S
from workbench.core.stats import Percentiles, SketchWindow
from workbench.core.types import Route
from workbench.engine.counts import Counts, Gauge, LaneCounts
from workbench.engine.records import (
    IDLE,
    MANY_LANES,
    AttemptRecord,
    LaneTraffic,
    ModelName,
    Population,
    RequestRecord,
    Traffic,
    Underway,
    patience_s,
)
from workbench.engine.timeline import Series, Span

RECORDS = 4_096
"""Records kept in memory; whoever needs all of them listens."""

FAILURES = 512
"""Attempts that failed, kept before anybody knows what becomes of their requests."""


class MetricsHub:
    """All counters of one engine."""

    def __init__(
        self,
        on_record: Callable[[RequestRecord], None] | None = None,
        late_ns: Callable[[int], int] = lambda at_ns: 0,
    ) -> None:
        """Args:
        on_record: called, at once, with every request that ends.
        late_ns: how late what was just stamped may be, by its stamp.
        """
        self._all = Counts()
        self._models: dict[ModelName, LaneCounts] = {}
        self._lanes: dict[str, LaneCounts] = {}
        self._records: deque[RequestRecord] = deque(maxlen=RECORDS)
        self._failures: deque[AttemptRecord] = deque(maxlen=FAILURES)
        self._on_record = on_record
        self._late_ns = late_ns
        self._ttft_error = SketchWindow()
        self._begun = 0
        self._unfinished = 0
        self._since_ns = 0
        """When the first of those that are under way, or were the last time, was submitted."""
        self._run_ns: int | None = None
        """How long the last time was in which something was under way that was sent."""
        self._has_sent = False

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The requests that ended last, oldest first."""
        return tuple(self._records)

    @property
    def failures(self) -> tuple[AttemptRecord, ...]:
        """The attempts that failed last, oldest first; their requests may still be tried again."""
        return tuple(self._failures)

    def begin(self, submitted_ns: int) -> int:
        """The number of a new request."""
        if not self._unfinished:
            self._since_ns, self._has_sent = submitted_ns, False
        self._unfinished += 1
        self._begun += 1
        return self._begun

    def typical_output(self, route: Route) -> float | None:
        """Output tokens of a usual answer here, once there was one: what to reserve when the caller sets no limit."""
        model = self._models.get(ModelName(route.provider, route.base_url, route.wire_model))
        return None if model is None else model.output_per_answer

    def model(self, route: Route) -> LaneCounts:
        """What is counted for a model at a provider, whichever key it goes over."""
        name = ModelName(route.provider, route.base_url, route.wire_model)
        model = self._models.get(name)
        if model is None:
            model = self._models[name] = LaneCounts(name)
        return model

    def counts(self, model: LaneCounts | None, lane: str = "") -> tuple[Counts, ...]:
        """Where to count a request: everything, its model, and the limiter's lane that it was admitted to."""
        if model is None:
            return (self._all,)
        if not lane:
            return self._all, model
        admitted = self._lanes.get(lane)
        if admitted is None:
            admitted = self._lanes[lane] = LaneCounts(model.name)
        return self._all, model, admitted

    def note_limit(self, counts: tuple[Counts, ...], limit: int | None, now_ns: int) -> None:
        """A lane may have so many in flight now; what stands above it may have the sum."""
        if limit is None or len(counts) < 3:
            return
        change = limit - (counts[-1].timeline.limit or 0)
        if change:
            for each in counts:
                timeline = each.timeline
                timeline.stand(each.standing[Gauge.IN_FLIGHT], now_ns, (timeline.limit or 0) + change)

    def note_window(self, lane: str, limit: int, now_ns: int) -> None:
        """Like `note_limit`, of a lane by its name: a person has set it, while nothing was sent there."""
        admitted = self._lanes.get(lane)
        if admitted is not None:
            self.note_limit((self._all, self._models[admitted.name], admitted), limit, now_ns)

    def note_first_token(self, at_ns: int) -> int:
        """One has just been stamped; returns how late it may be."""
        late_ns = self._late_ns(at_ns)
        self._ttft_error.add(late_ns / NS_PER_S, at_ns)
        return late_ns

    def note_failure(self, attempt: AttemptRecord) -> None:
        """One has just ended badly; what becomes of its request is told with its record."""
        self._failures.append(attempt)

    def keep(self, record: RequestRecord, counts: Iterable[Counts]) -> None:
        for each in counts:
            each.ended(record)
        self._records.append(record)
        self._unfinished -= 1
        self._has_sent = self._has_sent or bool(record.attempts)
        if not self._unfinished and self._has_sent and record.timing.done_ns is not None:
            self._run_ns = record.timing.done_ns - self._since_ns
        if self._on_record is not None:
            self._on_record(record)

    def series(self, span: Span, now_ns: int, lane: str = "", points: int = 120) -> Series:
        """The last minute, five minutes or the run of one lane of the limiter, by its name; of everything if empty.

        A lane that has carried nothing gives an empty series.
        """
        counts = self._lanes.get(lane) if lane else self._all
        return Series(now_ns, 1) if counts is None else counts.timeline.series(span, now_ns, points)

    def statistics(self, now_ns: int, *, times: bool = True) -> Traffic:
        """Everything at this moment.

        Args:
            times: bring percentiles up to date, which is most of the cost; without, those of twenty values and more are
                of the last snapshot that did, and so is all of a lane, for a second, in which nothing has begun, waited
                or ended.
        """
        every, count = self._all, self._all.by_population
        run_ns = now_ns - self._since_ns if self._unfinished else self._run_ns
        models = tuple(_snapshots(self._models.values(), now_ns, times=times))

        def spread(window: SketchWindow) -> Percentiles:
            return window.percentiles(now_ns) if times else window.glance(now_ns)

        return Traffic(
            at_ns=now_ns,
            in_flight=every.standing[Gauge.IN_FLIGHT],
            queued=every.standing[Gauge.QUEUED],
            backing_off=every.standing[Gauge.BACKING_OFF],
            requests=self._begun,
            answered=count[Population.ANSWERED],
            failed=count[Population.FAILED],
            incomplete=count[Population.INCOMPLETE],
            cancelled=count[Population.CANCELLED],
            cached=count[Population.CACHED],
            shared=count[Population.SHARED],
            retries=every.retries,
            retries_window=round(every.recent_retries.total(now_ns)),
            refusals=every.refusals,
            refusals_window=round(every.recent_refusals.total(now_ns)),
            input_tokens=every.input_tokens,
            output_tokens=every.output_tokens,
            cost_usd=every.cost_usd,
            unpriced=every.unpriced,
            saved_usd=every.saved_usd,
            ttft_s=spread(every.ttft),
            ttft_error_s=spread(self._ttft_error),
            e2e_s=spread(every.e2e),
            tokens_per_s=every.tokens.per_second(now_ns),
            models=models,
            by_lane=dict(zip(self._lanes, _snapshots(self._lanes.values(), now_ns, times=times), strict=True)),
            ttfa_s=spread(every.ttfa),
            perceived_s=spread(every.perceived),
            queue_s=spread(every.queue),
            setup_s=spread(every.setup),
            connect_s=spread(every.connect),
            waiting=every.waits_now(),
            waited_s=every.waits_lately(now_ns),
            underway=_together(models),
            unreported=every.unreported,
            unfinished=self._unfinished,
            run_s=None if run_ns is None else max(0, run_ns) / NS_PER_S,
        )


def _snapshots(lanes: Collection[LaneCounts], now_ns: int, *, times: bool) -> Iterator[LaneTraffic]:
    """Of all of them; those that go on as they were are not read again in a look without times, nor among many."""
    patient, second = not times or len(lanes) > MANY_LANES, now_ns // NS_PER_S
    for lane, oldest_s in zip(lanes, patience_s(len(lanes)), strict=True):
        # Asked here and not of each: most of a thousand lanes rest, and a call costs as much as all the rest of it.
        if lane.resting is not None and second < lane.resting_until_s:
            yield lane.resting
        else:
            yield lane.snapshot(now_ns, times=times, oldest_s=oldest_s if patient else 0.0)


def _together(models: Iterable[LaneTraffic]) -> Underway:
    parts = [model.underway for model in models if model.underway is not IDLE]
    if not parts:
        return IDLE
    return Underway(
        unanswered=sum(part.unanswered for part in parts),
        streaming=sum(part.streaming for part in parts),
        stalled=sum(part.stalled for part in parts),
        longest_wait_s=max((part.longest_wait_s for part in parts if part.longest_wait_s is not None), default=None),
        longest_silence_s=max(
            (part.longest_silence_s for part in parts if part.longest_silence_s is not None), default=None
        ),
        newest_s=min((part.newest_s for part in parts if part.newest_s is not None), default=None),
        unheard=sum(part.unheard for part in parts),
        connecting=sum(part.connecting for part in parts),
        longest_connect_s=max(
            (part.longest_connect_s for part in parts if part.longest_connect_s is not None), default=None
        ),
        writing=sum(part.writing for part in parts),
        longest_write_s=max((part.longest_write_s for part in parts if part.longest_write_s is not None), default=None),
    )
