"""`llm-workbench bench metrics`: what measuring costs, beside keeping every value and sorting when somebody looks."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from time import process_time_ns

import click

from workbench.bench.report import environment, markdown_table
from workbench.core.clock import NS_PER_S
from workbench.core.events import Delta
from workbench.core.stats import quantile_linear
from workbench.core.types import Channel, Message, Request, Route
from workbench.engine.admission import Outcome
from workbench.engine.metrics import MetricsHub
from workbench.engine.observation import Observation
from workbench.engine.timeline import Span
from workbench.providers.base import WireOpened

ROUTE = Route("gpt-5.4", "openai", "gpt-5.4", "http://127.0.0.1")
REQUEST = Request("gpt-5.4", (Message.user("?"),))
EVENT_TARGET_US = 5.0
IN_FLIGHT = 200
LANES = 1_000
_EVENTS = 40_000
_GAP_NS = NS_PER_S // 10_000
"""Two hundred streams of fifty events a second."""


@dataclass(frozen=True, slots=True)
class Cost:
    what: str
    unit: str
    ours: float
    peer: str
    peer_value: float
    target: float | None
    """None where there is only a ratio to look at."""

    @property
    def ratio(self) -> float:
        return self.ours / self.peer_value

    @property
    def met(self) -> bool:
        return self.target is None or self.ours <= self.target


@click.command("metrics")
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Rounds; medians are shown.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def command(runs: int, as_json: bool) -> None:
    """Measure the CPU that stamps, counters and percentiles take, in the loop that reads the answers."""
    costs = measure(runs)
    if as_json:
        for cost in costs:
            click.echo(json.dumps({**asdict(cost), "ratio": cost.ratio, "met": cost.met}))
        return
    rows = [
        (
            cost.what,
            f"{cost.ours:.3g} {cost.unit}",
            cost.peer,
            f"{cost.peer_value:.3g} {cost.unit}",
            f"{cost.ratio:.2f}×",
            "—" if cost.target is None else f"{'met' if cost.met else 'MISSED'} ≤ {cost.target:g} {cost.unit}",
        )
        for cost in costs
    ]
    click.echo(environment())
    click.echo(f"Medians of {runs} rounds, CPU time of this process.\n")
    click.echo(markdown_table(("what", "ours", "peer", "the peer's", "ratio", "target"), rows, left=1))


def measure(runs: int) -> list[Cost]:
    rounds = [(_per_event_us(), _kept_us(), _snapshot_ms(), _sorted_ms(), _series_ms()) for _ in range(runs)]
    event, kept, snapshot, sorting, series = (median(column) for column in zip(*rounds, strict=True))
    return [
        Cost("one event of an answer", "µs", event, "append to a list", kept, EVENT_TARGET_US),
        Cost(
            f"snapshot, {LANES} lanes, {IN_FLIGHT} in flight", "ms", snapshot, "sort a minute's values", sorting, None
        ),
        Cost("chart of five minutes", "ms", series, "sort a minute's values", sorting, None),
    ]


def _per_event_us() -> float:
    hub = MetricsHub()
    requests = [_in_flight(hub, f"lane {number % 8}") for number in range(IN_FLIGHT)]
    events = _events()
    return _cpu_ns(lambda: _feed(requests, events)) / len(events) / 1e3


def _feed(requests: list[Observation], events: list[Delta]) -> None:
    for number, event in enumerate(events):
        requests[number % IN_FLIGHT].output(event)


def _kept_us() -> float:
    events = _events()
    gaps: list[int] = []

    def keep() -> None:
        last_ns = 0
        for event in events:
            gaps.append(event.at_ns - last_ns)
            last_ns = event.at_ns

    return _cpu_ns(keep) / len(events) / 1e3


def _snapshot_ms() -> float:
    hub = _busy_hub()
    # As a screen looks: four times a second, once of these at percentiles as well.
    looks = [(10 * NS_PER_S + number * NS_PER_S // 4, number % 4 == 0) for number in range(8)]
    return _cpu_ns(lambda: [hub.statistics(moment, times=times) for moment, times in looks]) / len(looks) / 1e6


def _series_ms() -> float:
    hub = _busy_hub()
    return _cpu_ns(lambda: hub.series(Span.FIVE_MINUTES, 300 * NS_PER_S)) / 1e6


def _sorted_ms() -> float:
    values = [float(event.at_ns % 7_919) for event in _events()]
    return _cpu_ns(lambda: quantile_linear(sorted(values), 0.99)) / 1e6


def _busy_hub() -> MetricsHub:
    """A thousand lanes that have each carried something lately, eight of which are busy."""
    hub = MetricsHub()
    for number in range(LANES):
        request = _in_flight(hub, f"lane {number}")
        request.output(Delta(NS_PER_S, Channel.TEXT, "word "))
        request.end_attempt(Outcome.SUCCESS, 2 * NS_PER_S)
    _feed([_in_flight(hub, f"lane {number % 8}") for number in range(IN_FLIGHT)], _events())
    return hub


def _in_flight(hub: MetricsHub, lane: str) -> Observation:
    request = Observation(hub, REQUEST, 0)
    request.aim(ROUTE)
    request.enqueue(0)
    request.admit(None, 0, lane, IN_FLIGHT)
    request.open(WireOpened(1, 0, (), None, ""))
    return request


def _events() -> list[Delta]:
    return [Delta(number * _GAP_NS, Channel.TEXT, "word ") for number in range(_EVENTS)]


def _cpu_ns(work: Callable[[], object]) -> int:
    # A collection that falls into one side and not the other would be the largest figure here.
    gc.collect()
    gc.disable()
    try:
        started_ns = process_time_ns()
        work()
        return process_time_ns() - started_ns
    finally:
        gc.enable()
