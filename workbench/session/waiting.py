"""What requests wait for before they are sent, and for how long: for a line that counts down.

Pure: an event or a snapshot in, words out. The deadlines are the limiter's own, on the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, assert_never

from workbench.core.clock import NS_PER_S
from workbench.core.events import Admitted, Queued, Retrying, WaitReason
from workbench.core.sending import Stage
from workbench.core.text import strip_control
from workbench.engine.breaker import CircuitState, CircuitStats
from workbench.engine.limiter_stats import LimiterStats
from workbench.engine.records import Traffic
from workbench.providers.transport_errors import host_of
from workbench.session import figures

SOON_S = 1.0
"""A countdown that always says `1 s`, as it would where requests are sent one after the other, says nothing."""


class WaitStatistics(Protocol):
    """What is read of an engine's."""

    @property
    def traffic(self) -> Traffic: ...

    @property
    def circuits(self) -> tuple[CircuitStats, ...]: ...

    @property
    def limits(self) -> LimiterStats | None: ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """Requests that are not on the wire, and what most of them wait for."""

    requests: int
    reason: WaitReason
    until_ns: int | None = None
    """When the next of those goes; None when that depends on others finishing."""

    def left_s(self, now_ns: int) -> float | None:
        return None if self.until_ns is None else max(0, self.until_ns - now_ns) / NS_PER_S

    def words(self, now_ns: int) -> str:
        """`3 waiting: requests per minute, next in 12 s`."""
        left_s = self.left_s(now_ns)
        goes = "" if left_s is None or left_s < SOON_S else f", next in {figures.countdown(left_s)}"
        return f"{self.requests:,} waiting: {self.reason}{goes}"


def waiting(statistics: WaitStatistics) -> Waiting | None:
    """None while nothing waits for a limit, a provider that fails, or its turn to be tried again."""
    causes: dict[WaitReason, tuple[int, int | None]] = {}
    every = 0
    for count, reason, until_ns in _waits(statistics):
        every += count
        before, earliest_ns = causes.get(reason, (0, None))
        causes[reason] = before + count, _earlier(earliest_ns, until_ns)
    if not every:
        return None
    reason, (_, until_ns) = max(causes.items(), key=lambda cause: cause[1][0])
    return Waiting(every, reason, until_ns)


def _waits(statistics: WaitStatistics) -> Iterator[tuple[int, WaitReason, int | None]]:
    """How many, for what and until when: those of the limiter by their queues, which know it better than each does."""
    for queue in () if statistics.limits is None else statistics.limits.queues:
        if count := sum(queue.waiting.values()) + queue.parked:
            yield count, queue.reason or WaitReason.WINDOW, queue.until_ns
    if count := dict(statistics.traffic.waiting).get(WaitReason.BREAKER, 0):
        yield count, WaitReason.BREAKER, _next_probe_ns(statistics.circuits)
    if statistics.traffic.backing_off:
        yield statistics.traffic.backing_off, WaitReason.BACKOFF, None


def _next_probe_ns(circuits: Iterable[CircuitStats]) -> int | None:
    probes = [one.probe_at_ns for one in circuits if one.state is not CircuitState.CLOSED and one.probe_at_ns]
    return min(probes, default=None)


def _earlier(first: int | None, second: int | None) -> int | None:
    return min((at_ns for at_ns in (first, second) if at_ns is not None), default=None)


def way_out_words(stage: Stage, host: str, for_s: float, requests: int = 1) -> str:
    """What keeps a request that was let go from being answered: `connecting to HOST for 4 s`; once it is written, "".

    Below a second nothing is said of how long.
    """
    lasting = f" for {figures.countdown(for_s)}" if for_s >= SOON_S else ""
    match stage:
        case Stage.CONNECTING:
            return f"connecting to {host}{lasting}"
        case Stage.WRITING:
            return f"sending {'the request' if requests == 1 else f'{requests:,} requests'} to {host}{lasting}"
        case Stage.UNTOLD | Stage.WRITTEN:
            return ""
        case _:
            assert_never(stage)


def way_out(admitted: Admitted | None, now_ns: int) -> str:
    """The same of one request; empty where nobody tells."""
    if admitted is None or (sending := admitted.sending) is None or (since_ns := sending.since_ns) is None:
        return ""
    return way_out_words(sending.stage, host_of(admitted.route.base_url), (now_ns - since_ns) / NS_PER_S)


def wait_facts(event: Queued | Retrying, now_ns: int) -> tuple[str, list[str]]:
    """What one request waits for, and what is known of how long: `goes in 12 s`, `3 ahead`."""
    match event:
        case Queued(reason=reason, until_ns=until_ns, ahead=ahead, detail=detail):
            facts = [f"goes in {figures.countdown((until_ns - now_ns) / NS_PER_S)}" if until_ns is not None else ""]
            facts += [f"{ahead} ahead" if ahead else "", strip_control(detail)]
            return reason.value, [fact for fact in facts if fact]
        case Retrying(error=error, attempt=attempt, resume_ns=resume_ns):
            left = f" in {figures.countdown((resume_ns - now_ns) / NS_PER_S)}" if resume_ns is not None else ""
            return error.title, [f"again{left}", f"attempt {attempt + 1}"]
