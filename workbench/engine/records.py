"""The values that metrics are made of: one record per logical request and attempt, and the snapshots that people read.

Populations are never mixed: a latency over cache hits, failures and answers would describe none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from workbench.core.events import WaitReason
from workbench.core.stats import Percentiles
from workbench.core.types import FinishReason, KeyAlias, Priority, Route, Timing, Usage
from workbench.engine.admission import Outcome


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
    ended_ns: int
    outcome: Outcome
    error: str = ""
    """In two words; empty for an answer."""
    status: int | None = None


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
        """Above 1.5 the first chunk carries several tokens and TPOT reads too low."""
        return self.usage.output / self.chunks if self.usage and self.chunks else None


class LaneName(NamedTuple):
    provider: str
    base_url: str
    wire_model: str


@dataclass(frozen=True, slots=True)
class LaneTraffic:
    """One model at one provider. `_window` figures are of the last minute, the others of the whole run."""

    name: LaneName
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
    lanes: tuple[LaneTraffic, ...]
