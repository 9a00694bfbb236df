"""The values that metrics are made of: one record per logical request and attempt, and the snapshots that people read.

Populations are never mixed: a latency over cache hits, failures and answers would describe none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from workbench.core.events import WaitReason
from workbench.core.stats import NOTHING, Percentiles
from workbench.core.types import FinishReason, KeyAlias, Priority, Route, Timing, Usage
from workbench.engine.admission import Outcome

MANY_LANES = 200
"""With more than this, those in which nothing happens are read in turns: see `patience_s`."""

SEVERAL_TOKENS = 1.5
"""Tokens per chunk from which on the first chunk carries several, so that TPOT reads too low."""


@lru_cache(maxsize=4)
def patience_s(lanes: int) -> tuple[float, ...]:
    """How old what is read of each of so many lanes may be, while nothing has happened there.

    A second; among many a little more, and of each another span, so that not all of them are due in the same look.
    """
    return (1.0,) * lanes if lanes <= MANY_LANES else tuple(1.0 + number % 8 / 4 for number in range(lanes))


class Population(StrEnum):
    """How a request ended, for counting."""

    ANSWERED = "answered"
    CACHED = "cached"
    SHARED = "shared"
    INCOMPLETE = "incomplete"
    """Broken off after output had begun."""
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One time that a request was put on the wire. Stamps in monotonic ns."""

    number: int
    route: Route
    key_alias: KeyAlias | None
    enqueued_ns: int
    admitted_ns: int
    sent_ns: int | None
    headers_ns: int | None
    first_event_ns: int | None
    first_token_ns: int | None
    first_answer_ns: int | None
    last_token_ns: int | None
    ended_ns: int
    outcome: Outcome
    error: str = ""
    """In two words; empty for an answer."""
    said: str = ""
    """The same at length, with what the provider says of it."""
    status: int | None = None
    fresh: bool = False
    """It had to open its connection first."""

    @property
    def connect_ns(self) -> int | None:
        """Name look-up, connection and TLS, with the writing of the request; None on a connection that was there."""
        return self.sent_ns - self.admitted_ns if self.fresh and self.sent_ns is not None else None


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One logical request, from submission to its end, whatever it took."""

    number: int
    model: str
    """As it was asked for."""
    route: Route | None
    """None when it never got as far as a target."""
    key_alias: KeyAlias | None
    population: Population
    finish_reason: FinishReason | None
    error: str
    priority: Priority
    job: str
    timing: Timing
    usage: Usage | None
    cost_usd: float | None
    saved_usd: float | None
    waits: tuple[tuple[WaitReason, int], ...]
    """Nanoseconds in the queue by cause."""
    attempts: tuple[AttemptRecord, ...]
    chunks: int
    characters: int
    longest_gap_ns: int
    """Between two chunks: tells a stall from a slow model."""

    @property
    def tokens_per_chunk(self) -> float | None:
        """See `SEVERAL_TOKENS`."""
        return self.usage.output / self.chunks if self.usage and self.chunks else None

    @property
    def setup_ns(self) -> int | None:
        """Before it could first ask for admission: importing an SDK, opening the cache, finding keys."""
        return self.attempts[0].enqueued_ns - self.timing.submitted_ns if self.attempts else None


class ModelName(NamedTuple):
    """A model at a provider."""

    provider: str
    base_url: str
    wire_model: str


class Underway(msgspec.Struct, frozen=True):
    """What the requests that are on the wire at this moment are doing."""

    unanswered: int = 0
    """Still without a first token: being connected, sent or thought about."""
    streaming: int = 0
    stalled: int = 0
    """Of those streaming, silent for longer than `STALL_S`."""
    longest_wait_s: float | None = None
    """For a first token, since the request was written, or was admitted where nobody tells; None while nobody waits."""
    longest_silence_s: float | None = None
    """In the middle of an answer; None while nothing streams."""
    newest_s: float | None = None
    """Since the one that was admitted last was; None while nothing is on the wire."""
    unheard: int = 0
    """Of those unanswered: not even the headers of an answer have come."""
    connecting: int = 0
    """Of those: there is no connection yet that they could go over."""
    longest_connect_s: float | None = None
    writing: int = 0
    """Of those unheard of: connected, and not wholly written."""
    longest_write_s: float | None = None


IDLE = Underway()


# A frozen dataclass of this size takes fourteen times as long to make, and a monitor makes some every quarter second.
class LaneTraffic(msgspec.Struct, frozen=True):
    """One model at one provider, or one lane of the limiter.

    `_window` figures and percentiles are of the last minute, the others of the whole run.
    """

    name: ModelName
    in_flight: int
    queued: int
    answered: int
    failed: int
    incomplete: int
    cancelled: int
    cached: int
    retries: int
    refusals: int
    refusals_window: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_usd: float
    unpriced: int
    ttft_s: Percentiles
    """Of the answers that began in the last minute."""
    tpot_s: Percentiles
    e2e_s: Percentiles
    gap_s: Percentiles
    """Longest gap of each answer: stalls, not token times."""
    tokens_per_s: float
    """Over the last ten seconds, by characters: an estimate."""
    retries_window: int = 0
    ttfa_s: Percentiles = NOTHING
    """Like TTFT, but reasoning does not stop the clock."""
    perceived_s: Percentiles = NOTHING
    """From submission to the first token: queue, retries and connection included."""
    queue_s: Percentiles = NOTHING
    """Of the attempts that were admitted in the last minute, each for itself."""
    setup_s: Percentiles = NOTHING
    """Before a request first asked for admission: SDK imports, the cache, keys."""
    connect_s: Percentiles = NOTHING
    """Of the connections that had to be opened; those that were there are not counted."""
    waiting: tuple[tuple[WaitReason, int], ...] = ()
    """How many wait now, by cause. Of a limiter's lane always empty: who waits has no lane yet."""
    waited_s: tuple[tuple[WaitReason, float], ...] = ()
    """How long requests have waited in the last minute, all together, by cause."""
    underway: Underway = IDLE
    unreported: int = 0
    """Answers for which the provider never said how many tokens they had; their counts stay estimates."""
    tokens_per_chunk: float | None = None
    """Of usual answers; see `SEVERAL_TOKENS`."""
    backing_off: int = 0
    service_s: float | None = None
    """A usual answer's time on the wire, of the last handful; None until there was one."""
    usd_per_answer: float | None = None
    """What a usual one cost; None until one had a price."""

    @property
    def left(self) -> int:
        """Requests that have not ended, those aside that have not asked for admission yet."""
        return self.in_flight + self.queued + self.backing_off


@dataclass(frozen=True, slots=True)
class Traffic:
    """Everything at once: what a one-line strip shows."""

    at_ns: int
    in_flight: int
    queued: int
    backing_off: int
    requests: int
    answered: int
    failed: int
    incomplete: int
    cancelled: int
    cached: int
    shared: int
    retries: int
    retries_window: int
    refusals: int
    """429s and their relatives, over the whole run."""
    refusals_window: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    """Of answers whose price is known."""
    unpriced: int
    """Answers that `cost_usd` leaves out, for want of a price."""
    saved_usd: float
    ttft_s: Percentiles
    e2e_s: Percentiles
    tokens_per_s: float
    """An estimate while answers stream; show it with a tilde."""
    models: tuple[LaneTraffic, ...]
    """One per model at a provider, whichever keys it goes over."""
    by_lane: Mapping[str, LaneTraffic] = field(default_factory=dict)
    """One per lane of the limiter that has carried something, by `LaneStats.name`: one account and one family."""
    ttfa_s: Percentiles = NOTHING
    perceived_s: Percentiles = NOTHING
    queue_s: Percentiles = NOTHING
    setup_s: Percentiles = NOTHING
    connect_s: Percentiles = NOTHING
    waiting: tuple[tuple[WaitReason, int], ...] = ()
    waited_s: tuple[tuple[WaitReason, float], ...] = ()
    underway: Underway = IDLE
    unreported: int = 0
    unfinished: int = 0
    """Requests that have not ended, wherever they stand."""
    ttft_error_s: Percentiles = NOTHING
    """By how much too long the TTFTs of the last minute may read, each for itself."""
    run_s: float | None = None
    """How long there has been something under way, or was the last time; None before the first request."""
