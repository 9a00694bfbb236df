"""The engine's figures in Prometheus's text format: counters and histograms of what ended, gauges of what stands now.

Counters are fed with each record, so they never run backwards; gauges are read from a snapshot when somebody scrapes.
Units are seconds, tokens and dollars, as the format's conventions ask for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from workbench.core.clock import NS_PER_S
from workbench.core.stats import Percentiles
from workbench.engine.limiter_stats import LaneState, LimiterStats
from workbench.engine.record_lines import output_tokens
from workbench.engine.records import Population, RequestRecord, Traffic

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "llm_workbench"

LATENCY_BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
TOKEN_BOUNDS = (0.001, 0.002, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0)

Labels = tuple[tuple[str, str], ...]

_HELP = {
    "requests_total": "Logical requests that have ended, by how.",
    "attempts_total": "Times that a request was put on the wire, by outcome.",
    "output_tokens_total": "Output tokens, reasoning included.",
    "input_tokens_total": "Input tokens, cached ones included.",
    "cached_input_tokens_total": "Input tokens that the provider read from its prompt cache.",
    "estimated_output_tokens_total": "Output tokens of answers whose provider reported none: an estimate.",
    "cost_usd_total": "What requests with a known price cost.",
    "unpriced_requests_total": "Requests whose price is not known.",
    "queue_seconds_total": "Time in the queue, by cause.",
    "retry_seconds_total": "Failed attempts and their back-offs.",
    "time_to_first_token_seconds": "From writing the request to the first token of any kind; answers only.",
    "time_per_output_token_seconds": "Mean time per token after the first; answers only.",
    "request_duration_seconds": "From submission to the end, queue and retries included; answers only.",
    "queue_duration_seconds": "From submission to admission, without retries; answers only.",
    "in_flight": "Requests on the wire over one lane of the limiter.",
    "in_flight_limit": "How many may be, as the limiter has it now.",
    "lane_up": "1 while the lane may send, 0 while it cools, is held or has no key.",
    "queued": "Requests that wait for admission.",
    "backing_off": "Requests that wait to be sent again.",
    "loop_lag_seconds": "How long the event loop did not look at its sockets, over a minute.",
    "time_to_first_token_error_seconds": "By how much too long a time to first token may read, over a minute.",
}


class Histogram:
    """Cumulative counts below fixed bounds."""

    __slots__ = ("_bounds", "_counts", "count", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.count = 0
        self.total = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.count += 1
        self.total += value

    def buckets(self) -> Iterator[tuple[str, int]]:
        """(upper bound, how many were no larger), the last one being everything."""
        below = 0
        for bound, count in zip(self._bounds, self._counts, strict=False):
            below += count
            yield f"{bound:g}", below
        yield "+Inf", self.count


class Exposition:
    """Everything counted since the engine was opened. `observe` is called with every request that ends."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}

    def observe(self, record: RequestRecord) -> None:
        model = _model_labels(record)
        self._count("requests_total", (*model, ("outcome", record.population.value)))
        for attempt in record.attempts:
            self._count("attempts_total", (*model, ("outcome", attempt.outcome.value)))
        if record.population in (Population.CACHED, Population.SHARED):
            return
        self._observe_spending(record, model)
        for reason, waited_ns in record.waits:
            self._count("queue_seconds_total", (*model, ("cause", reason.value)), waited_ns / NS_PER_S)
        if record.timing.retry_wait_ns:
            self._count("retry_seconds_total", model, record.timing.retry_wait_ns / NS_PER_S)
        if record.population is Population.ANSWERED:
            timing = record.timing
            self._add("time_to_first_token_seconds", model, timing.ttft_s)
            self._add("time_per_output_token_seconds", model, timing.tpot_s(output_tokens(record)[0]), TOKEN_BOUNDS)
            self._add("request_duration_seconds", model, timing.e2e_s)
            self._add("queue_duration_seconds", model, timing.queue_s)

    def _observe_spending(self, record: RequestRecord, model: Labels) -> None:
        tokens, estimated = output_tokens(record)
        if tokens > 0:
            self._count("estimated_output_tokens_total" if estimated else "output_tokens_total", model, tokens)
        if record.usage is not None:
            self._count("input_tokens_total", model, max(0, record.usage.input))
            self._count("cached_input_tokens_total", model, max(0, record.usage.cached_input))
        if record.cost_usd is not None:
            self._count("cost_usd_total", model, max(0.0, record.cost_usd))
        elif record.usage is not None or record.population is Population.ANSWERED:
            self._count("unpriced_requests_total", model)

    def text(self, traffic: Traffic, limits: LimiterStats | None, loop_lag_s: Percentiles) -> str:
        """What a scrape gets."""
        lines: list[str] = []
        for name, counters in self._counters.items():
            lines += _family(name, "counter", counters)
        for name, histograms in self._histograms.items():
            lines += _head(name, "histogram")
            for labels, histogram in histograms.items():
                lines += [
                    _line(f"{name}_bucket", (*labels, ("le", bound)), count) for bound, count in histogram.buckets()
                ]
                lines.append(_line(f"{name}_sum", labels, histogram.total))
                lines.append(_line(f"{name}_count", labels, histogram.count))
        for name, gauges in _gauges(traffic, limits, loop_lag_s).items():
            lines += _family(name, "gauge", gauges)
        return "\n".join(lines) + "\n"

    def _count(self, name: str, labels: Labels, amount: float = 1.0) -> None:
        counters = self._counters.setdefault(name, {})
        counters[labels] = counters.get(labels, 0.0) + amount

    def _add(self, name: str, labels: Labels, value: float | None, bounds: tuple[float, ...] = LATENCY_BOUNDS) -> None:
        if value is not None:
            self._histograms.setdefault(name, {}).setdefault(labels, Histogram(bounds)).add(value)


def _gauges(
    traffic: Traffic, limits: LimiterStats | None, loop_lag_s: Percentiles
) -> Mapping[str, Mapping[Labels, float]]:
    gauges: dict[str, dict[Labels, float]] = {
        "queued": {(): traffic.queued},
        "backing_off": {(): traffic.backing_off},
    }
    for name, spread in (
        ("loop_lag_seconds", loop_lag_s),
        ("time_to_first_token_error_seconds", traffic.ttft_error_s),
    ):
        quantiles = (("0.5", spread.p50), ("0.95", spread.p95), ("1", spread.max))
        for quantile, value in quantiles:
            if value is not None:
                gauges.setdefault(name, {})[(("quantile", quantile),)] = value
    for lane in limits.lanes if limits is not None else ():
        labels = (("provider", lane.provider), ("lane", lane.name))
        gauges.setdefault("in_flight", {})[labels] = lane.in_flight
        gauges.setdefault("in_flight_limit", {})[labels] = lane.window
        stopped = lane.state in (LaneState.COOLING, LaneState.HELD, LaneState.DEAD)
        gauges.setdefault("lane_up", {})[labels] = 0 if stopped else 1
    return gauges


def _model_labels(record: RequestRecord) -> Labels:
    route = record.route
    if route is None:
        return (("provider", ""), ("model", record.model))
    return (("provider", route.provider), ("model", route.wire_model))


def _family(name: str, kind: str, values: Mapping[Labels, float]) -> Iterable[str]:
    yield from _head(name, kind)
    for labels, value in values.items():
        yield _line(name, labels, value)


def _head(name: str, kind: str) -> list[str]:
    return [f"# HELP {PREFIX}_{name} {_HELP[name]}", f"# TYPE {PREFIX}_{name} {kind}"]


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{PREFIX}_{name}{{{inside}}} {_number(value)}" if inside else f"{PREFIX}_{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    """Whole numbers in full: six digits of a large counter would stand still for a while and then jump."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))
