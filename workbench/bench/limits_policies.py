"""How others keep within a provider's limits, each written from its published description.

They differ in what they adapt (nothing, a window, a rate), in what they do while they back off, and in how often they
try. None of them reads what is left of a limit, so hidden headers change nothing for them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from workbench.bench.limits_world import Policy, Reply, Work, World
from workbench.simulator.quota import Refusal


class Time(Protocol):
    """What a policy's decisions need of the world: how late it is there."""

    @property
    def now_s(self) -> float: ...


class Windowed(ABC):
    """A client with some number of calls in flight, keys in turn, and a way to wait after a refusal."""

    tries: int | None
    """Attempts per request, after which it is lost; None for as many as it takes."""
    holds_while_waiting: bool
    """A request that backs off keeps its place, so that fewer others are sent meanwhile."""

    time: Time
    """Set by `start`, or by whoever runs it on another clock."""

    def __init__(self, keys: Sequence[int], *, seed: int = 0, sender: int = 0) -> None:
        self.random = Random(seed + 77)
        self.in_flight = 0
        self._keys = keys
        self._sender = sender
        self._turn = 0
        self._waiting_for_turn = False
        self._again: deque[Work] = deque()
        self._urgent: deque[Work] = deque()

    @abstractmethod
    def window(self) -> int:
        """Calls that may be in flight."""

    def send_delay_s(self) -> float:
        """Seconds until the next send is allowed, for those that also limit a rate."""
        return 0.0

    def delay_s(self, refusal: Refusal, attempt: int) -> float:
        """The official SDKs: what the server says, else half a second doubled with each attempt, less up to 1/4."""
        if refusal.retry_after_s is not None and refusal.retry_after_s <= 60:
            return float(refusal.retry_after_s)
        return min(8.0, 0.5 * 2.0 ** (attempt - 1)) * self.random.uniform(0.75, 1.0)

    def succeeded(self) -> None:
        return None

    def refused(self, refusal: Refusal) -> None:
        return None

    # -- the same for all -----------------------------------------------------------------------------------------

    def start(self, world: World) -> None:
        self.world = world
        self.time = world
        self._pump()

    def arrive(self, work: Work) -> None:
        self._urgent.append(work)
        self._pump()

    def _pump(self) -> None:
        while self.in_flight < self.window():
            delay_s = self.send_delay_s()
            if delay_s > 0:
                if not self._waiting_for_turn:
                    self._waiting_for_turn = True
                    self.world.at(self.time.now_s + delay_s, self._take_turn)
                return
            work = self._next()
            if work is None:
                return
            self.in_flight += 1
            self._send(work)

    def _take_turn(self) -> None:
        self._waiting_for_turn = False
        self._pump()

    def _next(self) -> Work | None:
        for queue in (self._urgent, self._again):
            if queue:
                return queue.popleft()
        return self.world.next_work(self._sender)

    def _send(self, work: Work) -> None:
        self.sent()
        self._turn += 1
        key = self._keys[self._turn % len(self._keys)]
        self.world.send(key, work, lambda reply: None, lambda reply: self._ended(work, reply))

    def sent(self) -> None:
        return None

    def _ended(self, work: Work, reply: Reply) -> None:
        if reply.refusal is None:
            self.in_flight -= 1
            self.succeeded()
            self._pump()
            return
        self.refused(reply.refusal)
        if self.tries is not None and work.attempts >= self.tries:
            self.in_flight -= 1
            self.world.lost += 1
            self._pump()
            return
        delay_s = self.delay_s(reply.refusal, work.attempts)
        if self.holds_while_waiting:
            self.world.at(self.time.now_s + delay_s, lambda: self._send(work))
        else:
            self.in_flight -= 1
            self.world.at(self.time.now_s + delay_s, lambda: self._retry(work))
            self._pump()

    def _retry(self, work: Work) -> None:
        self._again.append(work)
        self._pump()


class Fixed(Windowed):
    """A semaphore around the official SDK with its defaults: two retries, inside the semaphore."""

    tries = 3
    holds_while_waiting = True

    def __init__(self, size: int, keys: Sequence[int], *, seed: int = 0, sender: int = 0) -> None:
        super().__init__(keys, seed=seed, sender=sender)
        self._size = size

    def window(self) -> int:
        return self._size


class Halving(Windowed):
    """AIMD (llm-provider): one more per success, half per refusal, 4 to 32, beginning at the top.

    A refusal is waited out for 2·2ᵏ seconds plus one to five more, with the place kept; five tries.
    """

    tries = 5
    holds_while_waiting = True
    SMALLEST: Final = 4
    LARGEST: Final = 32

    def __init__(self, keys: Sequence[int], *, seed: int = 0, sender: int = 0) -> None:
        super().__init__(keys, seed=seed, sender=sender)
        self._window = self.LARGEST

    def window(self) -> int:
        return self._window

    def succeeded(self) -> None:
        self._window = min(self.LARGEST, self._window + 1)

    def refused(self, refusal: Refusal) -> None:
        self._window = max(self.SMALLEST, self._window // 2)

    def delay_s(self, refusal: Refusal, attempt: int) -> float:
        return 2 * 2.0 ** (attempt - 1) + self.random.uniform(1, 5)


class SlowStart(Windowed):
    """Adaptive connections as inspect_ai describes them: double per clean round until the first refusal, then 5 % per
    round; down by a fifth per episode of 15 s; growth only when at least 80 % were in use; 10 to 100, from 20. Waits
    three seconds, doubled with each attempt, with the place kept, until it works.
    """

    tries = None
    holds_while_waiting = True
    SMALLEST: Final = 10
    LARGEST: Final = 100
    EPISODE_S: Final = 15.0

    def __init__(self, keys: Sequence[int], *, seed: int = 0, sender: int = 0) -> None:
        super().__init__(keys, seed=seed, sender=sender)
        self._window = 20.0
        self._doubling = True
        self._round = 0
        self._peak = 0
        self._cut_s = -math.inf

    def window(self) -> int:
        return int(self._window)

    def sent(self) -> None:
        self._peak = max(self._peak, self.in_flight)

    def succeeded(self) -> None:
        self._round += 1
        if self._round < max(4, int(self._window)):
            return
        if self._peak >= 0.8 * self._window:
            factor = 2.0 if self._doubling else 1.05
            self._window = min(self.LARGEST, max(self._window * factor, self._window + 1))
        self._round, self._peak = 0, self.in_flight

    def refused(self, refusal: Refusal) -> None:
        self._doubling = False
        self._round = 0
        if self.time.now_s - self._cut_s >= self.EPISODE_S:
            self._window = max(self.SMALLEST, self._window * 0.8)
            self._cut_s = self.time.now_s

    def delay_s(self, refusal: Refusal, attempt: int) -> float:
        return min(1800.0, 3 * 2.0 ** (attempt - 1)) + self.random.random()


class CubicRate(Windowed):
    """The adaptive mode of the AWS SDKs: once throttled, a token bucket on sends whose rate follows a cubic curve.

    β 0.7, C 0.4, never above twice the rate that was measured (over half seconds, smoothed by 0.8); 64 calls at most;
    jittered exponential back-off up to 20 s, three attempts.
    """

    tries = 3
    holds_while_waiting = False
    BETA: Final = 0.7
    SCALE: Final = 0.4
    SLOWEST: Final = 0.5

    def __init__(self, keys: Sequence[int], *, seed: int = 0, sender: int = 0) -> None:
        super().__init__(keys, seed=seed, sender=sender)
        self._rate: float | None = None
        self._last_max = 0.0
        self._throttled_s = 0.0
        self._tokens = 0.0
        self._filled_s = 0.0
        self._measured = 0.0
        self._count = 0
        self._slot = 0

    def window(self) -> int:
        return 64

    def send_delay_s(self) -> float:
        if self._rate is None:
            return 0.0
        now_s = self.time.now_s
        self._tokens = min(max(1.0, self._rate), self._tokens + (now_s - self._filled_s) * self._rate)
        self._filled_s = now_s
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate + 1e-6

    def sent(self) -> None:
        if self._rate is not None:
            self._tokens -= 1

    def succeeded(self) -> None:
        self._measure()
        if self._rate is None:
            return
        plateau_s = (self._last_max * (1 - self.BETA) / self.SCALE) ** (1 / 3)
        since_s = self.time.now_s - self._throttled_s
        self._set(self.SCALE * (since_s - plateau_s) ** 3 + self._last_max)

    def refused(self, refusal: Refusal) -> None:
        self._measure()
        self._last_max = self._measured if self._rate is None else min(self._measured, self._rate)
        self._throttled_s = self.time.now_s
        if self._rate is None:
            self._filled_s = self.time.now_s
        self._set(self._last_max * self.BETA)

    def delay_s(self, refusal: Refusal, attempt: int) -> float:
        return min(20.0, self.random.random() * 2.0**attempt)

    def _set(self, rate: float) -> None:
        self._rate = max(self.SLOWEST, min(rate, 2 * self._measured))
        self._tokens = min(self._tokens, max(1.0, self._rate))

    def _measure(self) -> None:
        self._count += 1
        slot = int(self.time.now_s * 2)
        if slot > self._slot:
            current = self._count / ((slot - self._slot) / 2)
            self._measured = 0.8 * current + 0.2 * self._measured
            self._count, self._slot = 0, slot


Maker = Callable[[Sequence[int], int], Policy]


@dataclass(frozen=True, slots=True)
class Peer:
    """A policy by the short name that `--json` uses, and the one that people read."""

    name: str
    title: str
    make: Maker


PEERS: Final = (
    Peer("fixed-32", "fixed 32", lambda keys, seed: Fixed(32, keys, seed=seed)),
    Peer("fixed-64", "fixed 64", lambda keys, seed: Fixed(64, keys, seed=seed)),
    Peer("fixed-256", "fixed 256", lambda keys, seed: Fixed(256, keys, seed=seed)),
    Peer("aimd", "AIMD (llm-provider)", lambda keys, seed: Halving(keys, seed=seed)),
    Peer("slow-start-aimd", "slow-start AIMD (inspect_ai)", lambda keys, seed: SlowStart(keys, seed=seed)),
    Peer("cubic", "CUBIC rate (AWS SDK)", lambda keys, seed: CubicRate(keys, seed=seed)),
)
