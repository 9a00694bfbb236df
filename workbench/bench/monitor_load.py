"""An engine under load without a network: 200 answers in flight, 50 events a second each, into the real counters.

The hub, the observations and the timelines are the product's; only sockets are missing, so that what is measured is the
screen and not a wire. Events are fed from the app's own loop, as an engine's are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from random import Random

from workbench.core.clock import NS_PER_S
from workbench.core.errors import LimitKind
from workbench.core.events import Delta, StreamEvent
from workbench.core.stats import NOTHING, Percentiles
from workbench.core.types import Channel, FinishReason, KeyAlias, Message, Request, Result, Route, Usage
from workbench.engine.admission import Outcome
from workbench.engine.breaker import CircuitStats
from workbench.engine.limiter_stats import DimensionStats, LaneState, LaneStats, LimiterStats
from workbench.engine.metrics import MetricsHub
from workbench.engine.notices import Notice
from workbench.engine.observation import Observation
from workbench.engine.poll_watch import PollWatch
from workbench.engine.records import AttemptRecord, Population, RequestRecord, Traffic
from workbench.engine.timeline import Series, Span
from workbench.providers.base import WireOpened
from workbench.tui.host import LaneControl

IN_FLIGHT = 200
EVENTS_PER_S = 50
LANES = 16
LENGTH = 250
"""Events of one answer."""
TURN_S = 0.01


@dataclass(frozen=True, slots=True)
class Statistics:
    traffic: Traffic
    stamp_error_s: Percentiles
    limits: LimiterStats | None
    circuits: tuple[CircuitStats, ...] = ()
    notices: tuple[Notice, ...] = ()


class LoadedEngine:
    """What the app needs of an engine; `run` keeps it busy until it is cancelled."""

    limiter: LaneControl | None = None

    def __init__(self) -> None:
        self._hub = MetricsHub()
        self._watch = PollWatch(time.monotonic_ns)
        self.fed_s = 0.0
        """CPU that the events themselves have cost."""
        self._stamp_error_s = NOTHING
        self._rng = Random(7)
        self._routes = [Route(f"m{n}", "openai", f"model-{n}", "http://loopback") for n in range(LANES)]
        self._streams = [self._begin(n, time.monotonic_ns(), at=n * LENGTH // IN_FLIGHT) for n in range(IN_FLIGHT)]

    def _begin(self, number: int, now_ns: int, at: int = 0) -> tuple[Observation, int]:
        """A request that has just been sent, and how many events of its answer are to be left out."""
        route = self._routes[number % LANES]
        observation = Observation(self._hub, Request(route.wire_model, (Message.user("Go on."),)), now_ns)
        observation.aim(route)
        observation.enqueue(now_ns)
        observation.admit(KeyAlias("openai#1"), now_ns, self._lane_name(number % LANES), 16)
        sent_ns = now_ns - round(self._rng.lognormvariate(-0.9, 0.3) * NS_PER_S)
        observation.open(WireOpened(now_ns, sent_ns, (), None, "HTTP/2"))
        return observation, at

    @staticmethod
    def _lane_name(number: int) -> str:
        return f"openai#1 · model-{number}"

    async def run(self) -> None:
        """Feed events at the stated rate, in turns of ten milliseconds, catching up with what a late turn missed."""
        self._watch.install(asyncio.get_running_loop())
        began, fed, which = time.perf_counter(), 0, 0
        try:
            while True:
                due = int((time.perf_counter() - began) * IN_FLIGHT * EVENTS_PER_S) - fed
                now_ns, before = time.monotonic_ns(), time.thread_time()
                for _ in range(due):
                    self._feed(which, now_ns)
                    which = (which + 1) % IN_FLIGHT
                fed += due
                self.fed_s += time.thread_time() - before
                await asyncio.sleep(TURN_S)
        finally:
            self._watch.remove()

    def _feed(self, which: int, now_ns: int) -> None:
        observation, seen = self._streams[which]
        observation.output(Delta(now_ns, Channel.TEXT, "four"))
        if seen < LENGTH:
            self._streams[which] = observation, seen + 1
            return
        observation.end_attempt(Outcome.SUCCESS, now_ns)
        timing = observation.timing(now_ns)
        route = self._routes[which % LANES]
        result = Result("", "", FinishReason.STOP, Usage(input=100, output=LENGTH), 0.001, timing, route)
        observation.finish(Population.ANSWERED, result)
        self._streams[which] = self._begin(which, now_ns)

    # -- what the app asks ---------------------------------------------------------------------------------------------

    def statistics(self, *, times: bool = True) -> Statistics:
        now_ns = time.monotonic_ns()
        traffic = self._hub.statistics(now_ns, times=times)
        if times:
            self._stamp_error_s = self._watch.percentiles(now_ns)
        lanes = tuple(self._lane(number, traffic) for number in range(LANES))
        limits = LimiterStats(now_ns, lanes, (), (), ())
        return Statistics(traffic, self._stamp_error_s, limits)

    def _lane(self, number: int, traffic: Traffic) -> LaneStats:
        name = self._lane_name(number)
        carried = traffic.by_lane[name]
        answered = float(carried.answered)
        return LaneStats(
            name=name,
            provider="openai",
            base_url="http://loopback",
            family=f"model-{number}",
            keys=("openai#1",),
            state=LaneState.OPEN,
            in_flight=carried.in_flight,
            window=16,
            ceiling=None,
            window_pinned=False,
            dimensions=(
                DimensionStats(LimitKind.REQUESTS, 5e3, 5e3, answered, 100, 100, learned=False, pinned=False),
                DimensionStats(LimitKind.TOKENS, 2e6, 2e6, answered * LENGTH, 100, 100, learned=False, pinned=False),
            ),
            sent=carried.answered,
            accepted=carried.answered,
            refused=0,
            overloaded=0,
            cuts=0,
            paused_until_ns=None,
            why="",
        )

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        return self._hub.records

    @property
    def failures(self) -> tuple[AttemptRecord, ...]:
        return self._hub.failures

    def series(self, span: Span, lane: str = "", points: int = 120) -> Series:
        return self._hub.series(span, time.monotonic_ns(), lane, points)

    async def warm(self, models: Sequence[str]) -> None:
        """There is nothing to import."""

    async def add_key(self, provider: str, secret: str) -> None:
        """There is nobody to send it to."""

    def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        raise NotImplementedError("nobody asks this engine anything")
