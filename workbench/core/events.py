"""What a request does while it runs, as values: one union, one terminal event, stamps from the socket.

`check_stream` is the contract in executable form; every stream test runs through it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from workbench.core.errors import WorkbenchError
from workbench.core.sending import Sending
from workbench.core.types import Channel, KeyAlias, Result, Route, Usage


class WaitReason(StrEnum):
    """Why a request is not on the wire yet."""

    WINDOW = "in-flight limit"
    REQUESTS = "requests per minute"
    TOKENS = "tokens per minute"
    COOLING = "key cooling"
    PAUSED = "paused by the provider"
    BREAKER = "circuit breaker open"
    BACKOFF = "backing off"
    PRIORITY = "interactive work first"
    GLOBAL_CAP = "cap shared with other processes"
    BUDGET = "spend cap"
    SINGLE_FLIGHT = "same request already in flight"


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting, and why. Sent again whenever the reason or the estimate changes."""

    at_ns: int
    reason: WaitReason
    until_ns: int | None = None
    """When it is expected to go; None when that depends on others finishing."""
    ahead: int = 0
    """Requests before this one in the same queue."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CacheHit:
    at_ns: int
    stored_at_s: float
    """Wall-clock seconds (epoch) at which the answer was stored."""
    similarity: float | None = None
    """To the question that the answer was given to, below 1; None for the very same request."""


@dataclass(frozen=True, slots=True)
class Admitted:
    at_ns: int
    route: Route
    key_alias: KeyAlias | None
    attempt: int
    sending: Sending | None = field(default=None, compare=False, repr=False)
    """How far it comes from here on; goes on changing. None where there is nothing to watch."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The first real output is about to follow; from here on nothing is retried."""

    at_ns: int
    sent_ns: int
    headers_ns: int
    request_id: str | None = None
    http_version: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    at_ns: int
    channel: Channel
    text: str


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Usage so far, as the provider states it; the last one wins."""

    at_ns: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Retrying:
    at_ns: int
    attempt: int
    """Number of the attempt that failed, from 1."""
    error: WorkbenchError
    resume_ns: int | None


@dataclass(frozen=True, slots=True)
class Finished:
    at_ns: int
    result: Result


@dataclass(frozen=True, slots=True)
class Failed:
    at_ns: int
    error: WorkbenchError
    partial: Result


StreamEvent: TypeAlias = Queued | CacheHit | Admitted | Opened | Delta | UsageReport | Retrying | Finished | Failed


def check_stream(events: Iterable[StreamEvent]) -> Result:
    """Raise AssertionError unless the events keep the stream contract; return the terminal event's result.

    Exactly one terminal event, and it is last. No Delta before Opened or CacheHit. No Retrying after the first Delta.
    TEXT deltas joined equal the result's text, REASONING deltas its reasoning. Stamps never run backwards.
    """
    ended: Result | None = None
    opened = False
    pieces: dict[Channel, list[str]] = {channel: [] for channel in Channel}
    last_ns = -1
    for event in events:
        assert ended is None, f"{event!r} came after the terminal event"
        assert event.at_ns >= last_ns, f"{event!r} is stamped before its predecessor ({last_ns})"
        last_ns = event.at_ns
        match event:
            case Opened() | CacheHit():
                opened = True
            case Delta(channel=channel, text=text):
                assert opened, f"{event!r} came before Opened or CacheHit"
                assert text, "an empty Delta says nothing"
                pieces[channel].append(text)
            case Retrying():
                assert not any(pieces.values()), "Retrying after output was shown"
                opened = False
            case Finished(result=result) | Failed(partial=result):
                ended = result
            case Queued() | Admitted() | UsageReport():
                pass
    assert ended is not None, "the stream had no terminal event"
    assert "".join(pieces[Channel.TEXT]) == ended.text, "text deltas and result differ"
    assert "".join(pieces[Channel.REASONING]) == ended.reasoning, "reasoning deltas and result differ"
    return ended
