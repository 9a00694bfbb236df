"""Counters and live distributions, fed by `Observation` as things happen, read as frozen snapshots.

Feeding is O(1) and takes a few microseconds at most; nothing here waits. Cache hits and shared answers are counted
apart and appear in no latency; so do failed, incomplete and cancelled requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from workbench.core.clock import NS_PER_S
from workbench.core.stats import RateWindow, SketchWindow
from workbench.core.types import Route
from workbench.engine.records import LaneName, LaneTraffic, Population, RequestRecord, Traffic

WINDOW_S = 60
GAUGE_S = 10
RECORDS = 4_096
"""Records kept in memory; whoever needs all of them listens."""

CHARACTERS_PER_TOKEN = 4.0
"""English through a current tokenizer, until a model's own usage has said better."""


class Gauge(Enum):
    """Where a request stands now."""

    NOWHERE = auto()
    QUEUED = auto()
    IN_FLIGHT = auto()
    BACKING_OFF = auto()


class Counts:
    """What is counted for one lane, and for everything."""

    def __init__(self) -> None:
        self.by_population = dict.fromkeys(Population, 0)
        self.standing = dict.fromkeys(Gauge, 0)
        self.retries = self.refusals = 0
        self.input_tokens = self.cached_input_tokens = self.output_tokens = 0
        self.cost_usd = 0.0
        self.unpriced = 0
        self.saved_usd = 0.0
        self.ttft = SketchWindow(WINDOW_S)
        self.e2e = SketchWindow(WINDOW_S)
        self.recent_refusals = RateWindow(WINDOW_S)
        self.recent_retries = RateWindow(WINDOW_S)

    def ended(self, record: RequestRecord) -> None:
        self.by_population[record.population] += 1
        self.saved_usd += record.saved_usd or 0.0
        if record.population in (Population.CACHED, Population.SHARED):
            return
        if record.usage is not None:
            self.input_tokens += record.usage.input
            self.cached_input_tokens += record.usage.cached_input
            self.output_tokens += record.usage.output
        if record.cost_usd is not None:
            self.cost_usd += record.cost_usd
        elif record.usage is not None or record.population is Population.ANSWERED:
            self.unpriced += 1
        e2e_s = record.timing.e2e_s
        if record.population is Population.ANSWERED and e2e_s is not None and record.timing.done_ns is not None:
            self.e2e.add(e2e_s, record.timing.done_ns)


class LaneCounts(Counts):
    """What is counted for one model at one provider."""

    def __init__(self, name: LaneName) -> None:
        super().__init__()
        self.name = name
        self.tpot = SketchWindow(WINDOW_S)
        self.gaps = SketchWindow(WINDOW_S)
        self.characters = RateWindow(GAUGE_S)
        self.characters_per_token = CHARACTERS_PER_TOKEN
        self.output_per_answer: float | None = None

    def ended(self, record: RequestRecord) -> None:
        super().ended(record)
        usage, done_ns = record.usage, record.timing.done_ns
        if record.population is not Population.ANSWERED or usage is None or done_ns is None or not usage.output:
            return
        if (tpot_s := record.timing.tpot_s(usage.output)) is not None:
            self.tpot.add(tpot_s, done_ns)
        if record.chunks > 1:
            self.gaps.add(record.longest_gap_ns / NS_PER_S, done_ns)
        known = self.output_per_answer
        self.output_per_answer = usage.output if known is None else 0.8 * known + 0.2 * usage.output
        # Reasoning that is billed but not shown would make the visible characters look like very short tokens.
        if usage.output >= 16 and not usage.reasoning:
            self.characters_per_token += 0.3 * (record.characters / usage.output - self.characters_per_token)

    def tokens_per_s(self, now_ns: int) -> float:
        return self.characters.per_second(now_ns) / max(self.characters_per_token, 0.1)

    def snapshot(self, now_ns: int) -> LaneTraffic:
        count = self.by_population
        return LaneTraffic(
            name=self.name,
            in_flight=self.standing[Gauge.IN_FLIGHT],
            queued=self.standing[Gauge.QUEUED],
            answered=count[Population.ANSWERED],
            failed=count[Population.FAILED],
            incomplete=count[Population.INCOMPLETE],
            cancelled=count[Population.CANCELLED],
            cached=count[Population.CACHED] + count[Population.SHARED],
            retries=self.retries,
            refusals=self.refusals,
            refusals_window=round(self.recent_refusals.total(now_ns)),
            input_tokens=self.input_tokens,
            cached_input_tokens=self.cached_input_tokens,
            output_tokens=self.output_tokens,
            cost_usd=self.cost_usd,
            unpriced=self.unpriced,
            ttft_s=self.ttft.percentiles(now_ns),
            tpot_s=self.tpot.percentiles(now_ns),
            e2e_s=self.e2e.percentiles(now_ns),
            gap_s=self.gaps.percentiles(now_ns),
            tokens_per_s=self.tokens_per_s(now_ns),
        )


class MetricsHub:
    """All counters of one engine. `on_record` is called, at once, with every request that ends."""

    def __init__(self, on_record: Callable[[RequestRecord], None] | None = None) -> None:
        self._all = Counts()
        self._lanes: dict[LaneName, LaneCounts] = {}
        self._records: deque[RequestRecord] = deque(maxlen=RECORDS)
        self._on_record = on_record
        self._begun = 0

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The requests that ended last, oldest first."""
        return tuple(self._records)

    def begin(self) -> int:
        """The number of a new request."""
        self._begun += 1
        return self._begun

    def typical_output(self, route: Route) -> float | None:
        """Output tokens of a usual answer here, once there was one: what to reserve when the caller sets no limit."""
        lane = self._lanes.get(LaneName(route.provider, route.base_url, route.wire_model))
        return None if lane is None else lane.output_per_answer

    def lane(self, route: Route) -> LaneCounts:
        name = LaneName(route.provider, route.base_url, route.wire_model)
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = LaneCounts(name)
        return lane

    def counts(self, lane: LaneCounts | None) -> tuple[Counts, ...]:
        return (self._all,) if lane is None else (self._all, lane)

    def keep(self, record: RequestRecord, lane: LaneCounts | None) -> None:
        for counts in self.counts(lane):
            counts.ended(record)
        self._records.append(record)
        if self._on_record is not None:
            self._on_record(record)

    def statistics(self, now_ns: int) -> Traffic:
        every, count = self._all, self._all.by_population
        lanes = tuple(lane.snapshot(now_ns) for lane in self._lanes.values())
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
            ttft_s=every.ttft.percentiles(now_ns),
            e2e_s=every.e2e.percentiles(now_ns),
            tokens_per_s=sum(lane.tokens_per_s for lane in lanes),
            lanes=lanes,
        )
