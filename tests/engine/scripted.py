"""What engine tests stand on: a loop in virtual time, wires that play a script, and a limiter that keeps books."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from workbench.core.clock import NS_PER_S
from workbench.core.errors import ProviderError, TimedOut, TimeoutKind, WorkbenchError
from workbench.core.events import Delta, Failed, Queued, StreamEvent, UsageReport, WaitReason, check_stream
from workbench.core.settings import CacheSettings, ProviderSettings, RetrySettings, Settings
from workbench.core.types import Channel, FinishReason, KeyAlias, Message, Request, Route, Usage
from workbench.engine.admission import Lease, Outcome, Ticket, Waiter
from workbench.engine.engine import Engine
from workbench.providers.base import Adapter, Call, WireAlive, WireEnd, WireEvent, WireFamily, WireOpened

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer, moves the time to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout is not None:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs an hour in milliseconds. Nothing in it may depend on a thread or a socket."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Without the limit that Python 3.12 and later set: a real thread's end would miss any virtual one."""
        await super().shutdown_default_executor()


class LoopClock:
    """The loop's own time as a Clock, so that sleeping and measuring agree."""

    def monotonic_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * NS_PER_S)

    def wall(self) -> datetime:
        return datetime.fromtimestamp(1_800_000_000 + asyncio.get_running_loop().time(), UTC)


def virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function on a loop of its own in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


# -- wires -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wait:
    """A step that takes time."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """A step that never ends."""


Step = Wait | Hang | Delta | UsageReport | WireAlive | WireEnd | str | ProviderError | BaseException
"""A string is a piece of text; an exception is raised."""


@dataclass
class Book:
    """What happened at the wire."""

    calls: list[Call] = field(default_factory=list)
    sent_at_s: list[float] = field(default_factory=list)
    played: list[list[Delta]] = field(default_factory=list)
    """Per call, every piece that was handed out."""
    closed: int = 0
    open_now: int = 0


class ScriptedAdapter:
    """Plays the next script for every call; the last one again when there are no more."""

    def __init__(
        self, *scripts: Iterable[Step], by_model: Mapping[str, Iterable[Iterable[Step]]] | None = None
    ) -> None:
        self._scripts = deque(tuple(script) for script in scripts)
        self._by_model = {model: deque(tuple(s) for s in plays) for model, plays in (by_model or {}).items()}
        self.book = Book()

    def open(self, call: Call) -> AsyncGenerator[WireEvent, None]:
        return self._play(call)

    async def aclose(self) -> None:
        pass

    def _next(self, call: Call) -> tuple[Step, ...]:
        scripts = self._by_model.get(call.route.spec, self._scripts)
        return scripts.popleft() if len(scripts) > 1 else scripts[0]

    async def _play(self, call: Call) -> AsyncGenerator[WireEvent, None]:
        loop = asyncio.get_running_loop()
        now = lambda: round(loop.time() * NS_PER_S)  # noqa: E731 - one expression, used ten lines down
        self.book.calls.append(call)
        self.book.sent_at_s.append(loop.time())
        self.book.open_now += 1
        played: list[Delta] = []
        self.book.played.append(played)
        opened = False
        try:
            for step in self._next(call):
                if isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                    continue
                if isinstance(step, Hang):
                    await asyncio.Event().wait()
                if isinstance(step, BaseException):
                    raise step
                if not opened:
                    opened = True
                    yield WireOpened(now(), now(), (("x-request-id", "req_1"),), "req_1", "HTTP/1.1")
                event = Delta(now(), Channel.TEXT, step) if isinstance(step, str) else step
                if isinstance(event, Delta):
                    played.append(event)
                yield event
        finally:
            self.book.open_now -= 1
            self.book.closed += 1


def end(reason: FinishReason = FinishReason.STOP) -> WireEnd:
    return WireEnd(0, reason, reason.value)


def usage(**tokens: int) -> UsageReport:
    return UsageReport(0, Usage(**tokens))


def answer(*pieces: str) -> tuple[Step, ...]:
    return (*pieces, usage(input=10, output=len(pieces)), end())


def every(adapter: Adapter) -> dict[WireFamily, Adapter]:
    return dict.fromkeys(WireFamily, adapter)


# -- the limiter -------------------------------------------------------------------------------------------------------


ALIAS = KeyAlias("openai#1")


@dataclass
class ScriptedLease:
    route: Route
    admitted_ns: int
    books: list[tuple[Outcome, ProviderError | None]]
    key_alias: KeyAlias | None = ALIAS
    key: str = "sk-secret"
    lane: str = "openai#1 · gpt-5.4"
    limit: int | None = 8
    settled: int = 0
    observed: int = 0

    def observe(self, headers: tuple[tuple[str, str], ...], at_ns: int) -> None:
        self.observed += 1

    def settle(
        self, outcome: Outcome, at_ns: int, *, usage: Usage | None = None, error: ProviderError | None = None
    ) -> None:
        self.settled += 1
        if self.settled > 1:
            raise RuntimeError("settled twice")
        self.books.append((outcome, error))


class ScriptedAdmission:
    """Lets every ticket through after `wait_s`, saying why, and remembers what became of each lease."""

    def __init__(self, wait_s: float = 0.0, error: WorkbenchError | None = None) -> None:
        self.wait_s = wait_s
        self.error = error
        self.tickets: list[Ticket] = []
        self.leases: list[ScriptedLease] = []
        self.settled: list[tuple[Outcome, ProviderError | None]] = []
        self.waiting = 0
        self.closed = False
        self.granted = asyncio.Event()

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for outcome, _ in self.settled]

    @property
    def unsettled(self) -> int:
        return sum(lease.settled != 1 for lease in self.leases)

    def enqueue(self, ticket: Ticket) -> Waiter:
        self.tickets.append(ticket)
        return _ScriptedWaiter(self, ticket)

    async def aclose(self) -> None:
        self.closed = True


class _ScriptedWaiter:
    def __init__(self, admission: ScriptedAdmission, ticket: Ticket) -> None:
        self._admission = admission
        self._ticket = ticket
        self._told = False
        admission.waiting += 1
        self._in_queue = True

    async def next(self) -> Lease | Queued:
        admission, loop = self._admission, asyncio.get_running_loop()
        now_ns = round(loop.time() * NS_PER_S)
        if admission.error is not None:
            raise admission.error
        if admission.wait_s and not self._told:
            self._told = True
            return Queued(now_ns, WaitReason.WINDOW, now_ns + round(admission.wait_s * NS_PER_S))
        if admission.wait_s:
            left_s = (self._ticket.deadline_ns - now_ns) / NS_PER_S
            await asyncio.sleep(min(admission.wait_s, left_s))
            if admission.wait_s > left_s:
                raise TimedOut("No room in time.", kind=TimeoutKind.TOTAL)
        self.cancel()
        lease = ScriptedLease(self._ticket.route, round(loop.time() * NS_PER_S), admission.settled)
        admission.leases.append(lease)
        admission.granted.set()
        return lease

    def cancel(self) -> None:
        if self._in_queue:
            self._in_queue = False
            self._admission.waiting -= 1


# -- the engine --------------------------------------------------------------------------------------------------------


class Steady(Random):
    """Every draw is a half."""

    def random(self) -> float:
        return 0.5


def make_engine(
    adapter: ScriptedAdapter,
    admission: ScriptedAdmission | None = None,
    *,
    cache: bool = False,
    root: Path | None = None,
    retries: int = 3,
    **options: Any,
) -> Engine:
    """An engine over scripts, in the running loop's time; it touches no disk unless `cache`."""
    settings = Settings(
        cache=CacheSettings(enabled=cache),
        retry=RetrySettings(max_retries=retries),
        providers={"farm": ProviderSettings(base_url="http://127.0.0.1:9/v1")},
        **options.pop("settings", {}),
    )
    return Engine(
        settings,
        environ={"LLM_CACHE_DIR": str(root)} if root else {"LLM_CACHE_DIR": "/nonexistent"},
        clock=options.pop("clock", LoopClock()),
        rng=Steady(),
        adapters=every(adapter),
        admission=admission or ScriptedAdmission(),
        **options,
    )


def ask(model: str = "gpt-5.4", text: str = "Hello?", **options: Any) -> Request:
    return Request(model, (Message.user(text),), **options)


async def listen(engine: Engine, request: Request) -> list[StreamEvent]:
    async with aclosing(engine.stream(request)) as events:
        return [event async for event in events]


def kinds(events: Iterable[StreamEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def run(
    adapter: ScriptedAdapter,
    admission: ScriptedAdmission | None = None,
    request: Request | None = None,
    **options: Any,
) -> list[StreamEvent]:
    """Everything that happens to one request, in virtual time."""

    async def main() -> list[StreamEvent]:
        async with make_engine(adapter, admission, **options) as engine:
            return await listen(engine, request or ask())

    return virtually(main)


def failure(events: list[StreamEvent]) -> WorkbenchError:
    """The error of a stream that keeps the contract and failed."""
    check_stream(events)
    last = events[-1]
    assert isinstance(last, Failed), last
    return last.error
