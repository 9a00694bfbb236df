"""One retry loop's policy: whether a failed attempt is sent again, when, and in which form.

Pure: `decide` takes what has happened, the error and the time, and returns a verdict; the pipeline sleeps and sends.
It is asked only before the first token; after that nothing is ever retried. SDKs' own retries are off, so the number
of requests on the wire is the number of verdicts plus one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TypeAlias

from workbench.core.clock import NS_PER_S
from workbench.core.errors import (
    OutOfFiles,
    ProviderError,
    RateLimited,
    ServerError,
    TimedOut,
    TimeoutKind,
    UnsupportedParameter,
)

NEXT_FILE_S = 4.0
"""Within which an attempt that found no file to open is made again: where files run out, calls end all the time."""
MAX_DROPPED = 4
"""Parameters taken out of one request before it counts as simply wrong."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    max_retries: int = 3
    base_s: float = 0.5
    cap_s: float = 20.0
    max_refusals: int = 12
    """Tries that a limit, or a dead key, may refuse."""
    same_body: int = 3
    """Equal server errors in a row after which it is no longer transient."""

    def back_off_s(self, retries: int, draw: float) -> float:
        """Full jitter: anywhere between now and the doubled ceiling. `draw` is uniform in [0, 1)."""
        return draw * min(self.cap_s, self.base_s * 2.0**retries)


@dataclass(frozen=True, slots=True)
class RetryState:
    """What one target of one request has been through."""

    retries: int = 0
    refusals: int = 0
    dropped: tuple[str, ...] = ()
    same: int = 0
    """Attempts in a row that ended in this same server error."""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    why: str
    """Completes "Given up: …"; empty when the error speaks for itself."""


@dataclass(frozen=True, slots=True)
class BackOff:
    state: RetryState
    delay_s: float


@dataclass(frozen=True, slots=True)
class Requeue:
    """Back to the head of its queue; the limiter knows when, and with which key."""

    state: RetryState


@dataclass(frozen=True, slots=True)
class SendWithout:
    """At once, without a parameter that this model refuses."""

    state: RetryState
    parameter: str


Verdict: TypeAlias = Stop | BackOff | Requeue | SendWithout


class RetryBudget:
    """Keeps retries from multiplying an outage: a tenth of the requests, plus one every two seconds.

    May go into debt: a retry that finds it empty waits its turn, if the caller is patient enough.
    """

    __slots__ = ("_level", "_updated_ns")

    PER_REQUEST = 0.1
    PER_SECOND = 0.5
    CAPACITY = 20.0

    def __init__(self) -> None:
        self._level = self.CAPACITY
        self._updated_ns: int | None = None

    def earn(self, now_ns: int) -> None:
        """A new request, not a retry, is on its way."""
        self._refill(now_ns)
        self._level = min(self.CAPACITY, self._level + self.PER_REQUEST)

    def reserve(self, now_ns: int, patience_s: float) -> float | None:
        """Take one retry; seconds until it is paid for, or None (and nothing taken) when that is too long."""
        self._refill(now_ns)
        # Ten tenths add up to a little less than one in binary.
        missing = 1.0 - self._level
        wait_s = missing / self.PER_SECOND if missing > 1e-9 else 0.0
        if wait_s > patience_s:
            return None
        self._level -= 1.0
        return wait_s

    @property
    def level(self) -> float:
        """Retries left; negative while some of them wait their turn."""
        return self._level

    def _refill(self, now_ns: int) -> None:
        if self._updated_ns is not None and now_ns > self._updated_ns:
            earned = (now_ns - self._updated_ns) / NS_PER_S * self.PER_SECOND
            self._level = min(self.CAPACITY, self._level + earned)
        self._updated_ns = now_ns


def decide(
    policy: RetryPolicy,
    state: RetryState,
    error: ProviderError,
    *,
    now_ns: int,
    deadline_ns: int,
    budget: RetryBudget,
    patience_s: float,
    draw: float,
) -> Verdict:
    """What to do after `error`, when nothing has been shown yet.

    `patience_s` bounds the wait for the retry budget: short for a person, long for bulk work. The provider's own
    `x-should-retry` overrules our table; its `retry-after` is a lower bound for the wait.
    """
    if isinstance(error, UnsupportedParameter):
        if error.parameter in state.dropped or len(state.dropped) >= MAX_DROPPED:
            return Stop("")
        return SendWithout(replace(state, dropped=(*state.dropped, error.parameter)), error.parameter)
    if error.retires_key or (isinstance(error, RateLimited) and error.may_retry):
        if state.refusals + 1 >= policy.max_refusals:
            return Stop(f"refused {policy.max_refusals} times")
        return Requeue(replace(state, refusals=state.refusals + 1, same=0, fingerprint=""))
    if not error.may_retry or (isinstance(error, TimedOut) and error.kind is TimeoutKind.TOTAL):
        return Stop("")
    left_s = (deadline_ns - now_ns) / NS_PER_S
    if isinstance(error, OutOfFiles) and left_s > NEXT_FILE_S:
        # Nobody was asked: no server is spared by asking less, and one of our own calls has to end first.
        return BackOff(state, NEXT_FILE_S * draw)
    if state.retries >= policy.max_retries:
        return Stop(f"{policy.max_retries} retries are used up" if policy.max_retries else "retries are off")
    state = _remember(state, error)
    if state.same >= policy.same_body and error.should_retry is not True:
        return Stop(f"the same answer {state.same} times is not a passing fault")
    delay_s = policy.back_off_s(state.retries, draw)
    if error.retry_after_s is not None:
        # A tenth of spread, so that many who were told the same moment do not come back as one.
        delay_s = max(delay_s, error.retry_after_s * (1 + draw / 10))
    if delay_s >= left_s:
        return Stop("the next try would come after the deadline")
    paid_s = budget.reserve(now_ns, min(patience_s, left_s))
    if paid_s is None:
        return Stop("too much of what this provider got lately were retries")
    return BackOff(replace(state, retries=state.retries + 1), max(delay_s, paid_s))


def _remember(state: RetryState, error: ProviderError) -> RetryState:
    if not isinstance(error, ServerError):
        return replace(state, same=0, fingerprint="")
    mark = fingerprint(error)
    return replace(state, same=state.same + 1 if mark == state.fingerprint else 1, fingerprint=mark)


# Request ids, trace ids, dates and durations differ in otherwise equal bodies.
_VARYING = re.compile(r"\b(?=\w*\d)[\w-]+\b")


def fingerprint(error: ProviderError) -> str:
    """What makes two server errors the same: status, code and words, not the ids and numbers in them."""
    return f"{error.status}|{error.code}|{_VARYING.sub('#', error.message)}"
