"""What a level of load comes to: exact percentiles, throughput, goodput, and whether more load would bring more.

Only answers have latencies; failed, incomplete and cancelled requests are populations of their own. The first requests
of a level are warm-up: their latencies and ends are left out. Rates count them in, because they took their share of
the time; without them a rate would read too low by just as much. Spans are seconds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from workbench.bench.load_drive import Level, Sample
from workbench.bench.load_plan import Goal, Load
from workbench.core.clock import NS_PER_S
from workbench.core.stats import SAMPLES_FOR_P95, SAMPLES_FOR_P99, quantile_linear
from workbench.engine.record_lines import output_tokens
from workbench.engine.records import Population

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Exact figures of one measure; quantiles are interpolated linearly, as numpy does by default."""

    ordered: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Distribution:
        return cls(tuple(sorted(value for value in values if value is not None)))

    @property
    def n(self) -> int:
        return len(self.ordered)

    @property
    def mean(self) -> float | None:
        return math.fsum(self.ordered) / self.n if self.n else None

    @property
    def p50(self) -> float | None:
        return quantile_linear(self.ordered, 0.5)

    @property
    def p95(self) -> float | None:
        """None below 20 samples: a tail of a handful of values is noise."""
        return quantile_linear(self.ordered, 0.95) if self.n >= SAMPLES_FOR_P95 else None

    @property
    def p99(self) -> float | None:
        """None below 100 samples."""
        return quantile_linear(self.ordered, 0.99) if self.n >= SAMPLES_FOR_P99 else None

    def as_dict(self) -> dict[str, float | int | None]:
        """Every quantile, whatever carries it; `n` says how far to believe them."""
        named = {f"p{q * 100:g}": quantile_linear(self.ordered, q) for q in QUANTILES}
        ends = {"min": self.ordered[0], "max": self.ordered[-1]} if self.ordered else {"min": None, "max": None}
        return {"n": self.n, "mean": self.mean, **ends, **named}


@dataclass(frozen=True, slots=True)
class Throughput:
    """Everything that was brought between the first submission and the last end, warm-up included."""

    span_s: float
    answers: int
    output_tokens: int
    """Of answers."""
    input_tokens: int
    good: int | None
    """Answers that kept the goal; None when there was none."""

    @property
    def requests_per_s(self) -> float | None:
        return self.answers / self.span_s if self.span_s > 0 else None

    @property
    def tokens_per_s(self) -> float | None:
        return self.output_tokens / self.span_s if self.span_s > 0 else None

    @property
    def goodput_per_s(self) -> float | None:
        return self.good / self.span_s if self.good is not None and self.span_s > 0 else None


@dataclass(frozen=True, slots=True)
class LevelSummary:
    model: str
    load: Load
    warm_up: int
    """Requests left out at the beginning, except of `throughput`."""
    populations: Mapping[Population, int]
    throughput: Throughput
    ttft: Distribution
    ttfa: Distribution
    tpot: Distribution
    e2e: Distribution
    """From the scheduled start in an open loop, from the submission in a closed one."""
    queue: Distribution
    connect: Distribution
    gap: Distribution
    """Longest gap of each answer."""
    ttft_error: Distribution
    """How late the stamps of the first tokens may be: by so much a TTFT may read too long."""
    tokens_estimated: bool
    """At least one answer came without usage."""
    tokens_per_chunk: float | None
    cost_usd: float | None
    """Of all requests, warm-up included; None when a price was unknown."""
    retries: int
    refusals: int
    peak_in_flight: int
    oversaturated: bool
    """What was waiting grew for as long as the level lasted: its latencies are of a queue, not of the model."""

    @property
    def answered(self) -> int:
        return self.populations.get(Population.ANSWERED, 0)

    @property
    def measured(self) -> int:
        return sum(self.populations.values())

    @property
    def failed(self) -> int:
        return self.measured - self.answered

    def as_dict(self) -> dict[str, object]:
        spans = ("ttft", "ttfa", "tpot", "e2e", "queue", "connect", "gap", "ttft_error")
        return {
            "model": self.model,
            "concurrency": self.load.concurrency,
            "rate_per_s": self.load.rate_per_s,
            "warm_up": self.warm_up,
            "requests": {population.value: count for population, count in self.populations.items()},
            "span_s": self.throughput.span_s,
            "requests_per_s": self.throughput.requests_per_s,
            "output_tokens_per_s": self.throughput.tokens_per_s,
            "goodput_per_s": self.throughput.goodput_per_s,
            "output_tokens": self.throughput.output_tokens,
            "input_tokens": self.throughput.input_tokens,
            "tokens_estimated": self.tokens_estimated,
            "tokens_per_chunk": self.tokens_per_chunk,
            "cost_usd": self.cost_usd,
            "retries": self.retries,
            "refusals": self.refusals,
            "peak_in_flight": self.peak_in_flight,
            "oversaturated": self.oversaturated,
            **{f"{name}_s": getattr(self, name).as_dict() for name in spans},
        }


def summarize(level: Level, goal: Goal, warm_up: int | None = None) -> LevelSummary:
    """The figures of one level. `warm_up` None leaves out the first twentieth, or the first round if that is less."""
    samples = sorted(level.samples, key=lambda sample: (sample.scheduled_ns, sample.record.number))
    dropped = _usual_warm_up(level.load, len(samples)) if warm_up is None else min(warm_up, len(samples))
    measured = samples[dropped:]
    records = [sample.record for sample in measured]
    answers = [sample for sample in measured if sample.record.population is Population.ANSWERED]
    figures = [_Figures.of(sample) for sample in answers]
    costs = [sample.record.cost_usd for sample in samples]
    per_chunk = [ratio for sample in answers if (ratio := sample.record.tokens_per_chunk) is not None]
    return LevelSummary(
        model=level.model,
        load=level.load,
        warm_up=dropped,
        populations=Counter(record.population for record in records),
        throughput=_throughput(samples, goal),
        ttft=Distribution.of(one.ttft_s for one in figures),
        ttfa=Distribution.of(sample.record.timing.ttfa_s for sample in answers),
        tpot=Distribution.of(one.tpot_s for one in figures),
        e2e=Distribution.of(one.e2e_s for one in figures),
        queue=Distribution.of(sample.record.timing.queue_s for sample in answers),
        connect=Distribution.of(
            attempt.connect_ns / NS_PER_S
            for sample in samples
            for attempt in sample.record.attempts
            if attempt.connect_ns is not None
        ),
        gap=Distribution.of(s.record.longest_gap_ns / NS_PER_S for s in answers if s.record.chunks > 1),
        ttft_error=Distribution.of(one.record.timing.ttft_error_ns / NS_PER_S for one in answers),
        tokens_estimated=any(output_tokens(sample.record)[1] for sample in answers),
        tokens_per_chunk=quantile_linear(sorted(per_chunk), 0.5),
        cost_usd=math.fsum(cost for cost in costs if cost is not None) if None not in costs else None,
        retries=sum(max(0, len(record.attempts) - 1) for record in records),
        refusals=sum(attempt.outcome.value == "refused" for record in records for attempt in record.attempts),
        peak_in_flight=_peak(samples),
        oversaturated=level.load.rate_per_s is not None and is_oversaturated(measured),
    )


@dataclass(frozen=True, slots=True)
class _Figures:
    ttft_s: float | None
    tpot_s: float | None
    e2e_s: float | None

    @classmethod
    def of(cls, sample: Sample) -> _Figures:
        timing = sample.record.timing
        tokens, _ = output_tokens(sample.record)
        done_ns = timing.done_ns
        e2e_s = None if done_ns is None else (done_ns - sample.scheduled_ns) / NS_PER_S
        return cls(timing.ttft_s, timing.tpot_s(tokens), e2e_s)


def _throughput(samples: Sequence[Sample], goal: Goal) -> Throughput:
    answers = [sample for sample in samples if sample.record.population is Population.ANSWERED]
    kept = (goal.kept(ttft_s=f.ttft_s, tpot_s=f.tpot_s, e2e_s=f.e2e_s) for f in map(_Figures.of, answers))
    return Throughput(
        span_s=_span_s(samples),
        answers=len(answers),
        output_tokens=sum(output_tokens(sample.record)[0] for sample in answers),
        input_tokens=sum(sample.record.usage.input for sample in samples if sample.record.usage is not None),
        good=sum(kept) if goal else None,
    )


def _usual_warm_up(load: Load, samples: int) -> int:
    twentieth = samples // 20
    return min(twentieth, load.concurrency) if load.concurrency is not None else twentieth


def _span_s(samples: Sequence[Sample]) -> float:
    ends = [sample.record.timing.done_ns for sample in samples if sample.record.timing.done_ns is not None]
    if not ends:
        return 0.0
    return (max(ends) - min(sample.scheduled_ns for sample in samples)) / NS_PER_S


def _peak(samples: Sequence[Sample]) -> int:
    """The most requests on the wire at once."""
    steps: list[tuple[int, int]] = []
    for sample in samples:
        for attempt in sample.record.attempts:
            steps += [(attempt.admitted_ns, 1), (attempt.ended_ns, -1)]
    in_flight = peak = 0
    for _, step in sorted(steps):
        in_flight += step
        peak = max(peak, in_flight)
    return peak


# -- too much ----------------------------------------------------------------------------------------------------------

_SURE_AT = 3.0
"""Standard errors that a slope must be above zero; chance alone reaches it once in several hundred levels."""
_GROWTH = 0.25
"""Of its own mean, that a quantity must have grown by from a level's beginning to its end."""
_SAMPLES_TO_JUDGE = 30


def is_oversaturated(samples: Sequence[Sample]) -> bool:
    """Whether requests came faster than they were answered: what is open and the wait for a token both keep rising."""
    points = [
        (sample.scheduled_ns / NS_PER_S, (first_ns - sample.scheduled_ns) / NS_PER_S)
        for sample in samples
        if (first_ns := sample.record.timing.first_token_ns or sample.record.timing.done_ns) is not None
    ]
    if len(points) < _SAMPLES_TO_JUDGE:
        return False
    ends = sorted(sample.record.timing.done_ns or 0 for sample in samples)
    open_now: list[tuple[float, float]] = []
    ended = 0
    for begun, sample in enumerate(sorted(samples, key=lambda one: one.scheduled_ns), 1):
        while ended < len(ends) and ends[ended] <= sample.scheduled_ns:
            ended += 1
        open_now.append((sample.scheduled_ns / NS_PER_S, float(begun - ended)))
    return _rises(points) and _rises(open_now)


def _rises(points: Sequence[tuple[float, float]]) -> bool:
    """A least-squares slope that is surely positive, and steep enough to matter."""
    n = len(points)
    mean_x = math.fsum(x for x, _ in points) / n
    mean_y = math.fsum(y for _, y in points) / n
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    if spread <= 0 or mean_y <= 0:
        return False
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = math.fsum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    error = math.sqrt(rest / max(1, n - 2) / spread)
    growth = slope * (max(x for x, _ in points) - min(x for x, _ in points))
    return slope > _SURE_AT * error and growth > _GROWTH * mean_y


# -- the knee ----------------------------------------------------------------------------------------------------------

WORTH_IT = 0.5
"""Of a proportional gain: twice the load must bring at least 1.41 times as much."""


def knee(summaries: Sequence[LevelSummary]) -> int | None:
    """Index of the last level, in ascending load, up to which more load was worth it; None when nothing was answered.

    Measured in goodput where a goal was given, else in output tokens per second. A level at which one request in
    twenty failed, or which was over-saturated, is past the knee whatever it brought.
    """
    if not summaries or yield_of(summaries[0]) <= 0:
        return None
    for index, (before, after) in enumerate(pairwise(summaries)):
        gain = yield_of(after) / yield_of(before) if yield_of(before) > 0 else 0.0
        worth = gain > 0 and math.log(gain) >= WORTH_IT * math.log(after.load.size / before.load.size)
        if not worth or after.oversaturated or after.failed > 0.05 * after.measured:
            return index
    return len(summaries) - 1


def yield_of(summary: LevelSummary) -> float:
    brought = summary.throughput
    found = brought.tokens_per_s if brought.good is None else brought.goodput_per_s
    return found or 0.0
