"""The values that travel through every layer: requests, routes, usage, timings, results.

Frozen and slotted; tuples, not lists; a unit in the name where the type cannot carry it. `None` always means
"unknown" and is never the same as zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, NewType, TypeAlias

from workbench.core.clock import NS_PER_S

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

KeyAlias = NewType("KeyAlias", str)
"""How a key is known everywhere outside the keyring: `openai#2`. Never its text."""


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Channel(StrEnum):
    """Where a piece of output belongs. Reasoning is never part of the answer's text."""

    TEXT = "text"
    REASONING = "reasoning"
    TOOL = "tool"


class CacheMode(StrEnum):
    USE = "use"
    REFRESH = "refresh"
    """Ask the provider again and replace what was stored."""
    READ_ONLY = "read-only"
    OFF = "off"


class Priority(IntEnum):
    """Lower goes first. Retries of either kind go before new bulk work."""

    INTERACTIVE = 0
    RETRY = 1
    BULK = 2


class FinishReason(StrEnum):
    """Why an answer ended. Eight different states, because a person does something different about each."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    TOOL_CALL = "tool_call"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    INCOMPLETE = "incomplete"
    """The stream ended without saying that it had finished."""

    @property
    def is_complete(self) -> bool:
        """True when the model itself decided to end here, or was told to by the caller's own limit."""
        return self in (FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALL)


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    text: str

    @classmethod
    def system(cls, text: str) -> Message:
        return cls(Role.SYSTEM, text)

    @classmethod
    def user(cls, text: str) -> Message:
        return cls(Role.USER, text)

    @classmethod
    def assistant(cls, text: str) -> Message:
        return cls(Role.ASSISTANT, text)


@dataclass(frozen=True, slots=True)
class Params:
    """What a caller may ask of a model, in our own words; adapters translate. `None` = the provider's default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning_effort: str | None = None
    """none, minimal, low, medium, high, xhigh or max; which of them exist depends on the model."""
    thinking_budget: int | None = None
    """Tokens; -1 lets the model decide, 0 turns thinking off where that is possible."""
    extra: tuple[tuple[str, Json], ...] = ()
    """Passed through to the wire as they are, sorted by name."""

    def as_dict(self) -> dict[str, Json]:
        """Only what was set, `extra` flattened in: for display, cache keys and exports."""
        names = ("temperature", "top_p", "max_tokens", "seed", "reasoning_effort", "thinking_budget")
        chosen: dict[str, Json] = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.stop:
            chosen["stop"] = list(self.stop)
        chosen.update(self.extra)
        return chosen


@dataclass(frozen=True, slots=True)
class Request:
    """One logical request: what a person or a program asked, before routing."""

    model: str
    """As the caller wrote it: `gpt-5.4`, `anthropic/claude-sonnet-4-6`, an alias, or a chain `a | b`."""
    messages: tuple[Message, ...]
    params: Params = field(default_factory=Params)
    cache: CacheMode = CacheMode.USE
    sample: int = 0
    """Index among n samples of the same request; part of the cache key."""
    priority: Priority = Priority.INTERACTIVE
    deadline_s: float | None = None
    """Budget for everything: waiting, retries and the answer itself. None leaves it to the settings' `total_s`."""
    job: str = ""
    """Requests of one job share its part of the bulk queue; empty is a job of its own kind."""
    max_in_flight: int | None = None
    """The caller's own cap for this job, under whatever the lane allows."""
    max_retries: int | None = None
    """None leaves it to the settings."""
    replay_speed: float = 0.0
    """How fast a stored answer is said again: 1 as it was recorded, 2 twice as fast, 0 at once."""
    notes: tuple[str, ...] = ()
    """What was decided before it came here, in words; stands first among the result's own notes."""

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ValueError("a request needs a model name")
        if not self.messages:
            raise ValueError("a request needs at least one message")
        if self.deadline_s is not None and self.deadline_s <= 0:
            raise ValueError(f"deadline_s must be positive, not {self.deadline_s!r}")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: one provider row, one wire model, one base URL."""

    spec: str
    """The model as named by the caller, without chain."""
    provider: str
    """Name of the provider row: `openai`, `anthropic`, `local`, `litellm` …"""
    wire_model: str
    """What is written on the wire."""
    base_url: str


class UsageSource(StrEnum):
    PROVIDER = "provider"
    ESTIMATED = "estimated"


MOST_TOKENS = 100_000_000
"""Of one request, ten times the largest context there is; a count above that is a mistake of whoever counted."""
MOST_USD = 100_000.0
"""For one request, as many tokens at a thousand dollars a million."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, normalised: `input` includes cached ones, `output` includes reasoning, whatever the provider counts."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    source: UsageSource = UsageSource.PROVIDER
    cost_usd: float | None = None
    """Only where the provider itself states a price (OpenRouter's `usage.cost`)."""

    @property
    def total(self) -> int:
        return self.input + self.output

    def as_json(self) -> dict[str, Json]:
        """As one answer's line says it to programs."""
        return {
            "input_tokens": self.input,
            "cached_input_tokens": self.cached_input,
            "output_tokens": self.output,
            "reasoning_tokens": self.reasoning,
        }

    @property
    def is_plausible(self) -> bool:
        """Whether it can be true: nothing below zero, nothing that no model could have read or written."""
        counts = (self.input, self.cached_input, self.cache_write, self.output, self.reasoning)
        can_be_paid = self.cost_usd is None or 0 <= self.cost_usd <= MOST_USD
        return min(counts) >= 0 and max(counts) <= MOST_TOKENS and can_be_paid


def _span_s(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / NS_PER_S


CHARACTERS_PER_TOKEN = 4
"""Of English prose through a current tokenizer: the estimate until a provider, or a model's own answers, say better."""

STALL_S = 1.0
"""A pause between two pieces of an answer that a reader notices: ten times the pace of a slow model."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Stamps of the successful (or last) attempt in monotonic ns, taken where bytes arrive. See README, Metrics."""

    submitted_ns: int
    admitted_ns: int | None = None
    """When the limiter let it go."""
    dialled_ns: int | None = None
    """When its transport began to look for a connection; like the next one None where that tells nothing."""
    connected_ns: int | None = None
    sent_ns: int | None = None
    """When the whole request had been written."""
    headers_ns: int | None = None
    first_event_ns: int | None = None
    """Any event at all, a role-only chunk or a ping included."""
    first_token_ns: int | None = None
    """First non-empty text, reasoning or tool call."""
    first_answer_ns: int | None = None
    """First non-empty text or tool call."""
    last_token_ns: int | None = None
    done_ns: int | None = None
    retry_wait_ns: int = 0
    """Back-offs and failed attempts: part of e2e, never of TTFT or service time."""
    stamp_error_ns: int = 0
    """Bound on how late any stamp can be: the longest time the loop went without polling its sockets."""
    ttft_error_ns: int = 0
    """Bound on how much too long TTFT reads: what the first token may have lain in its socket before it was stamped.
    `sent` adds nothing, since whoever writes the request stamps that himself."""
    stalled_ns: int = 0
    """Pauses of a second or more between two pieces of the output, added up."""

    @property
    def queue_s(self) -> float | None:
        """From submission to admission, without what failed attempts and their back-offs took."""
        waited_s = _span_s(self.submitted_ns, self.admitted_ns)
        return None if waited_s is None else max(0.0, waited_s - self.retry_wait_ns / NS_PER_S)

    @property
    def ttft_s(self) -> float | None:
        """Time to first token, from the moment this attempt's request was written."""
        return _span_s(self.sent_ns, self.first_token_ns)

    @property
    def ttfa_s(self) -> float | None:
        """Time to first answer: like TTFT, but reasoning does not stop the clock."""
        return _span_s(self.sent_ns, self.first_answer_ns)

    @property
    def perceived_ttft_s(self) -> float | None:
        return _span_s(self.submitted_ns, self.first_token_ns)

    @property
    def service_s(self) -> float | None:
        return _span_s(self.sent_ns, self.done_ns)

    @property
    def e2e_s(self) -> float | None:
        return _span_s(self.submitted_ns, self.done_ns)

    def tpot_s(self, output_tokens: int) -> float | None:
        """Mean time per output token after the first; None below two tokens or when nothing streamed."""
        span = _span_s(self.first_token_ns, self.last_token_ns)
        return None if span is None or span <= 0 or output_tokens < 2 else span / (output_tokens - 1)


STAMPS: Final = (
    "admitted",
    "dialled",
    "connected",
    "sent",
    "headers",
    "first_event",
    "first_token",
    "first_answer",
    "last_token",
    "done",
)
"""Of a `Timing`, by their names without `_ns`, in the order in which they are taken."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one logical request came to. Also carries the partial answer of one that failed."""

    text: str
    reasoning: str
    finish_reason: FinishReason
    usage: Usage | None
    """None when the provider never said."""
    cost_usd: float | None
    """None when unknown; never 0 for want of a price."""
    timing: Timing
    route: Route
    key_alias: KeyAlias | None = None
    cached: bool = False
    attempts: int = 1
    request_id: str | None = None
    tool_calls: str = ""
    """Tool calls as they arrived, joined: the name, a space and the arguments, one call to a line."""
    notes: tuple[str, ...] = ()
    """What was dropped, renamed or defaulted on the way to the wire, in words."""
    saved_usd: float | None = None
    """What a cache hit did not cost."""
    prefix_saved_usd: float | None = None
    """What the provider's prefix cache took off the price; None when nothing, or unknown."""
    saved_s: float | None = None
    """How long the stored answer once took, on a cache hit."""
    similarity: float | None = None
    """Of the question that a cached answer was given to, as a cosine; None for the very same request."""
