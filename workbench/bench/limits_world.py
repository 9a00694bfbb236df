"""A provider, a workload and a client policy in virtual time.

The provider is the simulator's own `Quota`; what it lets in takes as long as a model would, what it refuses comes back
within a round trip. One seed gives one world, so that policies are compared on the same work.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from workbench.simulator.quota import Dimension, DimensionState, Grant, Quota, Refusal

REFUSAL_S: Final = (0.08, 0.18)
"""How long a 429 takes to come back."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests of one kind; sizes and times are log-normal around these means."""

    name: str
    input_tokens: float
    output_tokens: float
    max_output: int
    latency_s: float
    latency_sigma: float = 0.5


@dataclass(slots=True, eq=False)
class Work:
    """One request on its way. `output_tokens` is what it will turn out to have."""

    input_tokens: int
    output_tokens: int
    max_output: int
    latency_s: float
    arrived_s: float
    interactive: bool = False
    sender: int = 0
    first_sent_s: float | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the client hears."""

    refusal: Refusal | None
    limits: dict[Dimension, DimensionState] | None
    """What the headers say; None from a provider that sends none."""


@dataclass(frozen=True, slots=True)
class Done:
    at_s: float
    tokens: int
    latency_s: float
    """From first being sent to the answer."""
    turnaround_s: float
    """From arrival to the answer."""
    key: int
    sender: int
    interactive: bool


class Policy(Protocol):
    """A client: decides when to send what, with which key."""

    def start(self, world: World) -> None: ...

    def arrive(self, work: Work) -> None:
        """A request that a person is waiting for."""


class World:
    """One run: the provider's quotas, the clients that draw on them, and a clock that jumps from event to event.

    Args:
        workload: what the backlog consists of; every policy takes from the same one.
        until_s: when the run ends, in virtual seconds from 0.
        total: requests in the backlog, after which the run ends early; None for an endless one.
        interactive_per_s: requests a second, at random, that a person waits for; the first policy gets them.
        interactive: what those consist of; `workload` where None.
    """

    def __init__(
        self,
        quotas: Sequence[Quota],
        workload: Workload,
        policies: Sequence[Policy],
        *,
        seed: int,
        until_s: float,
        total: int | None = None,
        interactive_per_s: float = 0.0,
        interactive: Workload | None = None,
    ) -> None:
        self.quotas = quotas
        """By key; keys of one organisation hold the same one."""
        self.now_s = 0.0
        self.until_s = until_s
        self.done: list[Done] = []
        self.attempts: list[tuple[float, bool]] = []
        """Time, and whether it was refused."""
        self.in_flight_s: list[tuple[float, float]] = []
        """Begin and end of each call that was let in."""
        self.peak_in_flight = 0
        self.lost = 0
        self.total = total
        self._workload = workload
        self._policies = policies
        self._random = Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._issued = 0
        self._in_flight = 0
        self._interactive = interactive or workload
        self._interactive_per_s = interactive_per_s

    def run(self) -> World:
        for policy in self._policies:
            policy.start(self)
        if self._interactive_per_s:
            self._next_arrival()
        while self._events:
            at_s, _, event = heapq.heappop(self._events)
            if at_s > self.until_s:
                break
            self.now_s = at_s
            event()
            if self.total is not None and len(self.done) + self.lost >= self.total:
                break
        return self

    def at(self, at_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(at_s, self.now_s), next(self._order), event))

    def next_work(self, sender: int = 0) -> Work | None:
        """The next request of the backlog, which is endless unless the world has a total."""
        if self.total is not None and self._issued >= self.total:
            return None
        self._issued += 1
        return self._make(self._workload, sender)

    def send(self, key: int, work: Work, on_headers: Callable[[Reply], None], on_end: Callable[[Reply], None]) -> None:
        """Put a request on the wire. A refusal comes as `on_end` alone; `on_headers` comes when the answer begins."""
        work.attempts += 1
        if work.first_sent_s is None:
            work.first_sent_s = self.now_s
        quota = self.quotas[key]
        answer = quota.admit(self.now_s, work.input_tokens, work.max_output)
        limits = quota.snapshot(self.now_s) if quota.spec.headers else None
        self.attempts.append((self.now_s, isinstance(answer, Refusal)))
        if isinstance(answer, Refusal):
            reply = Reply(answer, limits)
            self.at(self.now_s + self._random.uniform(*REFUSAL_S), lambda: on_end(reply))
            return
        self._in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
        reply = Reply(None, limits)
        self.at(self.now_s + work.latency_s, lambda: self._finish(key, work, answer, reply, on_headers, on_end))

    def _finish(
        self,
        key: int,
        work: Work,
        grant: Grant,
        reply: Reply,
        on_headers: Callable[[Reply], None],
        on_end: Callable[[Reply], None],
    ) -> None:
        self._in_flight -= 1
        self.quotas[key].settle(grant, self.now_s, work.input_tokens, work.output_tokens)
        assert work.first_sent_s is not None
        self.in_flight_s.append((self.now_s - work.latency_s, self.now_s))
        self.done.append(
            Done(
                at_s=self.now_s,
                tokens=work.input_tokens + work.output_tokens,
                latency_s=self.now_s - work.first_sent_s,
                turnaround_s=self.now_s - work.arrived_s,
                key=key,
                sender=work.sender,
                interactive=work.interactive,
            )
        )
        on_headers(reply)  # not streamed: what the headers said at the start is read at the end
        on_end(reply)

    def _make(self, workload: Workload, sender: int, *, interactive: bool = False) -> Work:
        def around(mean: float, sigma: float) -> float:
            return self._random.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)

        return Work(
            input_tokens=int(max(5, around(workload.input_tokens, 0.6))),
            output_tokens=int(min(workload.max_output, max(1, around(workload.output_tokens, 0.7)))),
            max_output=workload.max_output,
            latency_s=around(workload.latency_s, workload.latency_sigma),
            arrived_s=self.now_s,
            interactive=interactive,
            sender=sender,
        )

    def _next_arrival(self) -> None:
        def arrive() -> None:
            self._policies[0].arrive(self._make(self._interactive, 0, interactive=True))
            self._next_arrival()

        self.at(self.now_s + self._random.expovariate(self._interactive_per_s), arrive)

    # -- what came of it ------------------------------------------------------------------------------------------

    def refused_share(self, from_s: float, to_s: float) -> float:
        outcomes = [refused for at_s, refused in self.attempts if from_s <= at_s <= to_s]
        return sum(outcomes) / len(outcomes) if outcomes else 0.0

    def tokens_per_minute(self, from_s: float, to_s: float) -> float:
        return sum(d.tokens for d in self.done if from_s <= d.at_s <= to_s) * 60 / (to_s - from_s)

    def requests_per_minute(self, from_s: float, to_s: float) -> float:
        return sum(from_s <= d.at_s <= to_s for d in self.done) * 60 / (to_s - from_s)

    def mean_in_flight(self, from_s: float, to_s: float) -> float:
        """Of the calls that have ended; the few still running at the end are not counted."""
        return sum(max(0.0, min(b, to_s) - max(a, from_s)) for a, b in self.in_flight_s) / (to_s - from_s)
