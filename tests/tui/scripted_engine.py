"""An engine that plays a script: the same events with the same stamps every time, held where a test wants to look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

from workbench.core.clock import NS_PER_S, Clock
from workbench.core.errors import LimitKind, WorkbenchError
from workbench.core.events import (
    Admitted,
    Delta,
    Failed,
    Finished,
    Opened,
    Queued,
    StreamEvent,
    UsageReport,
    WaitReason,
)
from workbench.core.settings import Settings
from workbench.core.stats import Percentiles
from workbench.core.types import Channel, FinishReason, KeyAlias, Request, Result, Route, Timing, Usage
from workbench.engine.breaker import CircuitStats
from workbench.engine.limiter_stats import LimiterStats
from workbench.engine.notices import Notice
from workbench.engine.records import AttemptRecord, RequestRecord, Traffic
from workbench.engine.timeline import Series, Span, Timeline
from workbench.jobs.desk import JobDesk
from workbench.tui.host import OpenEngine, Opener


@dataclass(frozen=True)
class Wait:
    """In the queue."""

    reason: WaitReason = WaitReason.REQUESTS
    seconds: float | None = 6.0
    ahead: int = 0


@dataclass(frozen=True)
class Think:
    text: str


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class Hold:
    """Nothing more until the test releases this name."""

    name: str = "go"


@dataclass(frozen=True)
class Fail:
    error: WorkbenchError


@dataclass(frozen=True)
class End:
    reason: FinishReason = FinishReason.STOP
    cached: bool = False


Step = Wait | Think | Say | Hold | Fail | End
Script = Sequence[Step]

ANSWER: Script = (Say("Hello, "), Say("world."), End())

SENT_AFTER_S = 0.05
FIRST_TOKEN_AFTER_S = 0.41
PER_TOKEN_S = 0.0125
COST_PER_TOKEN = 1e-5


@dataclass
class ScriptedEngine:
    """Plays `scripts[model]`, or `otherwise`. Every piece of four characters is one token, 12.5 ms after the last."""

    clock: Clock
    scripts: Mapping[str, Script | Callable[[Request], Script]] = field(default_factory=dict)
    otherwise: Script = ANSWER
    requests: list[Request] = field(default_factory=list)
    warmed: list[str] = field(default_factory=list)
    keys: list[tuple[str, str]] = field(default_factory=list)
    """What was added, by provider."""
    running: int = 0
    limiter: ScriptedLanes | None = None
    records: tuple[RequestRecord, ...] = ()
    failures: tuple[AttemptRecord, ...] = ()
    seen: ScriptedStatistics | None = None
    """What `statistics` says, in place of the number of requests that run."""
    looks: int = 0
    """How often somebody asked for statistics."""
    timelines: dict[str, Timeline] = field(default_factory=dict)
    """By lane; that of everything under the empty name."""
    _gates: dict[str, asyncio.Event] = field(default_factory=dict)

    def gate(self, name: str = "go") -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    def release(self, name: str = "go") -> None:
        self.gate(name).set()

    async def warm(self, models: Sequence[str]) -> None:
        self.warmed += models

    async def add_key(self, provider: str, secret: str) -> None:
        self.keys.append((provider, secret))

    def statistics(self, *, times: bool = True) -> ScriptedStatistics:
        self.looks += 1
        return self.seen or ScriptedStatistics(traffic(in_flight=self.running))

    def series(self, span: Span, lane: str = "", points: int = 120) -> Series:
        timeline = self.timelines.get(lane)
        return Series(0, 1) if timeline is None else timeline.series(span, self.clock.monotonic_ns(), points)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        self.requests.append(request)
        self.running += 1
        try:
            async for event in self._play(request):
                yield event
        finally:
            self.running -= 1

    async def _play(self, request: Request) -> AsyncIterator[StreamEvent]:
        script = self.scripts.get(request.model, self.otherwise)
        steps = script(request) if callable(script) else script
        start = self.clock.monotonic_ns()
        at = start
        route = Route(request.model, "scripted", request.model, "http://scripted.invalid")
        pieces: dict[Channel, list[str]] = {channel: [] for channel in Channel}
        opened = False
        stamps: dict[str, Any] = {"sent_ns": None}
        tokens = 0
        for step in steps:
            match step:
                case Wait(reason=reason, seconds=seconds, ahead=ahead):
                    until = None if seconds is None else start + int(seconds * NS_PER_S)
                    yield Queued(at, reason, until, ahead)
                case Hold(name=name):
                    await self.gate(name).wait()
                case Think(text=text) | Say(text=text):
                    channel = Channel.REASONING if isinstance(step, Think) else Channel.TEXT
                    if not opened:
                        opened = True
                        yield Admitted(at, route, KeyAlias("scripted#1"), 1)
                        sent = at + int(SENT_AFTER_S * NS_PER_S)
                        at = sent + int(FIRST_TOKEN_AFTER_S * NS_PER_S)
                        stamps |= {"admitted_ns": start, "sent_ns": sent, "headers_ns": at, "first_token_ns": at}
                        yield Opened(at, sent, at, "req_scripted")
                    for piece in [text[i : i + 4] for i in range(0, len(text), 4)]:
                        at += int(PER_TOKEN_S * NS_PER_S)
                        if channel is Channel.TEXT:
                            stamps.setdefault("first_answer_ns", at)
                        stamps["last_token_ns"] = at
                        pieces[channel].append(piece)
                        tokens += 1
                        yield Delta(at, channel, piece)
                case Fail(error=error):
                    yield Failed(
                        at, error, self._result(request, route, pieces, FinishReason.INCOMPLETE, start, at, stamps, 0)
                    )
                    return
                case End(reason=reason, cached=cached):
                    usage = Usage(input=20, output=tokens, reasoning=len(pieces[Channel.REASONING]))
                    yield UsageReport(at, usage)
                    result = self._result(request, route, pieces, reason, start, at, stamps, tokens, cached=cached)
                    yield Finished(at, result)
                    return

    def _result(
        self,
        request: Request,
        route: Route,
        pieces: Mapping[Channel, list[str]],
        reason: FinishReason,
        start: int,
        at: int,
        stamps: Mapping[str, Any],
        tokens: int,
        *,
        cached: bool = False,
    ) -> Result:
        return Result(
            text="".join(pieces[Channel.TEXT]),
            reasoning="".join(pieces[Channel.REASONING]),
            finish_reason=reason,
            usage=Usage(input=20, output=tokens, reasoning=len(pieces[Channel.REASONING])) if tokens else None,
            cost_usd=tokens * COST_PER_TOKEN if tokens and not cached else None,
            timing=Timing(start, done_ns=at, **stamps),
            route=route,
            key_alias=KeyAlias("scripted#1"),
            cached=cached,
            saved_usd=tokens * COST_PER_TOKEN if cached else None,
        )


@dataclass(frozen=True)
class ScriptedStatistics:
    traffic: Traffic
    stamp_error_s: Percentiles = field(default_factory=Percentiles)
    limits: LimiterStats | None = None
    circuits: tuple[CircuitStats, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass
class ScriptedLanes:
    """A limiter that remembers what was done by hand."""

    done: list[tuple[str, str, float | None]] = field(default_factory=list)
    most: int = 32

    def pin_window(self, lane: str, size: int | None) -> None:
        if size is not None and size > self.most:
            raise ValueError(f"a window must lie between 1 and {self.most}, not {size}")
        self.done.append(("pin", lane, size))

    def pin_limit(self, lane: str, kind: LimitKind, per_minute: float | None) -> None:
        self.done.append((f"pin {kind}", lane, per_minute))

    def pause(self, lane: str) -> None:
        self.done.append(("pause", lane, None))

    def resume(self, lane: str) -> None:
        self.done.append(("resume", lane, None))

    def revive(self, alias: str) -> None:
        self.done.append(("revive", alias, None))


def required(kind: type[Any]) -> dict[str, Any]:
    """A zero for every field that has no default."""
    parameters = signature(kind).parameters.values()
    return {one.name: 0 for one in parameters if one.default is Parameter.empty}


def traffic(**changes: Any) -> Traffic:
    nothing = Percentiles()
    values = required(Traffic)
    values |= {
        "models": (),
        "ttft_s": nothing,
        "e2e_s": nothing,
        "cost_usd": 0.0,
        "saved_usd": 0.0,
        "tokens_per_s": 0.0,
    }
    return Traffic(**(values | changes))


def opener_of(
    engine: ScriptedEngine, environ: Mapping[str, str], settings: Settings | None = None, jobs: JobDesk | None = None
) -> Opener:
    """What the app opens in place of a real engine."""

    @asynccontextmanager
    async def open_engine(demo: bool) -> AsyncIterator[OpenEngine]:
        yield OpenEngine(engine, settings or Settings(), environ, demo, jobs)

    return open_engine
