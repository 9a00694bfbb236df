"""The values that a lane keeps beside its buckets and its window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from workbench.core.errors import LimitKind, ProviderError
from workbench.engine.admission import TokenCost
from workbench.engine.admitted_log import KINDS, Costs
from workbench.engine.bucket import OUTPUT_KINDS, Mark
from workbench.engine.charging import Books
from workbench.engine.keyring import Key
from workbench.engine.limit_headers import layout_of

if TYPE_CHECKING:
    from workbench.engine.lane import Lane

GROWING: Final = "growing"

# Why a lane pauses, where it is not for a certain limit per minute: in words for people, and for whoever judges by it.
RATE_LIMIT: Final = "rate limit"
TOO_MANY_CALLS: Final = "too many calls at once"
SPACED_OUT: Final = "one call at a time"
"""Nothing was refused: what goes beyond all that has been let in goes alone."""
OVERLOADED: Final = "the provider is overloaded"


@dataclass(slots=True, eq=False)
class KeyState:
    """One key of one provider, as all its lanes see it."""

    key: Key | None
    """None where the provider needs no key."""
    in_flight: int = 0
    sent: int = 0
    refused: int = 0
    retired: str = ""
    """Why it is not used any more in this run; empty while it is."""
    error: ProviderError | None = None
    """What retired it."""

    @property
    def label(self) -> str:
        return self.key.alias if self.key is not None else "no key"


class Flight(msgspec.Struct, eq=False):  # made for every call: a dataclass of this size takes four times as long
    """One call in flight: what it was charged, and how its lane stood when it was sent."""

    lane: Lane
    key: KeyState
    sent_s: float
    cost: TokenCost
    costs: Costs
    """What was reserved."""
    job: str
    in_flight: int
    """Calls of the lane in flight, this one included."""
    window: int
    epoch: int
    totals: Costs
    """What the lane had admitted in all, this one included."""
    promised: float
    """Output reserved for all calls of the lane in flight, this one included."""
    asked: float
    """The most output that they may have."""
    marks: dict[LimitKind, Mark]
    paced: bool
    """A bucket had held something back shortly before."""
    settled: bool = False
    heard: bool = False
    """Its answer's headers are there: it was let in."""
    moved: bool = False
    """Sent over a lane that has since been merged or taken apart."""

    def books(self, index: int) -> Books:
        """How dimension `index` of the lane stood when this was sent."""
        covers_output = KINDS[index] in OUTPUT_KINDS
        return Books(
            sent_s=self.sent_s,
            admitted=self.totals[index],
            promised=self.promised if covers_output else 0.0,
            asked=self.asked if covers_output else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """Something about a lane changed, and why."""

    at_s: float
    lane: str
    what: str
    """`window`, a dimension, `pause`, `key` or `lane`."""
    old: float | None
    new: float | None
    why: str


class History:
    """The last changes. Steps of steady growth are kept as one change that gets longer."""

    def __init__(self, length: int, listener: Callable[[Change], None] | None = None) -> None:
        self._changes: deque[Change] = deque(maxlen=length)
        self._listener = listener

    def add(self, change: Change) -> None:
        last = self._changes[-1] if self._changes else None
        if last is not None and (change.lane, change.what, change.why) == (last.lane, last.what, GROWING):
            self._changes[-1] = Change(change.at_s, change.lane, change.what, last.old, change.new, change.why)
        else:
            self._changes.append(change)
        if self._listener is not None:
            self._listener(change)

    def latest(self) -> tuple[Change, ...]:
        return tuple(self._changes)


@dataclass(slots=True)
class Counters:
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    overloaded: int = 0
    cuts: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    """What the last response that said anything about limits said."""
    headers_s: float = 0.0
    error: str = ""
    """The last one in its own words, whatever it was about; not itself, which would keep frames and bodies alive."""
    error_title: str = ""
    """The same in two or three words."""
    error_s: float = 0.0

    def failed(self, error: ProviderError, now_s: float) -> None:
        self.error, self.error_s = str(error), now_s
        self.error_title = error.title if error.status is None else f"{error.title}, {error.status}"
        self.heard(layout_of(error.headers).excerpt(error.headers), now_s)

    def heard(self, about_limits: tuple[tuple[str, str], ...], now_s: float) -> None:
        """What a response said about limits; nothing leaves what was said before."""
        if about_limits:
            self.headers, self.headers_s = about_limits, now_s


class OutputEstimates:
    """How long the answers of each job really are: a mean that follows, per job, for the most recent jobs."""

    JOBS: Final = 256

    def __init__(self) -> None:
        self._means: dict[str, tuple[float, int]] = {}

    def learn(self, job: str, tokens: int) -> None:
        mean, seen = self._means.pop(job, (0.0, 0))
        seen += 1
        self._means[job] = (mean + max(0.05, 1 / seen) * (tokens - mean), seen)
        if len(self._means) > self.JOBS:
            del self._means[next(iter(self._means))]

    def expect(self, job: str, max_output: int) -> float:
        """Tokens that the next answer of this job will probably have; all it may have until a few have been seen."""
        mean, seen = self._means.get(job, (0.0, 0))
        return min(mean, max_output) if seen >= 4 else max_output
