"""The seam between the pipeline and whatever decides what may be sent, when, and with which key.

The pipeline enqueues a ticket and pulls from the waiter until it gets a lease; on the way it gets `Queued` events with
reason and estimate, which it passes on. A lease is settled exactly once; cancelling a waiter leaves nothing behind.
Nobody holds a lease while backing off: a refused request settles and enqueues again with a higher attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from workbench.core.errors import ProviderError
from workbench.core.events import Queued
from workbench.core.types import KeyAlias, Priority, Route, Usage
from workbench.providers.base import ProviderSpec


class Outcome(StrEnum):
    """What the limiter may learn from a finished attempt."""

    SUCCESS = "success"
    REFUSED = "refused"
    """429 and its relatives: the limit was reached."""
    OVERLOADED = "overloaded"
    """503 and 529 that say so: growth pauses."""
    KEY_DEAD = "key dead"
    """The key is spent or rejected: retire it for this run."""
    NEUTRAL = "neutral"
    """Cancelled, 5xx, broken connections: says nothing about limits."""


@dataclass(frozen=True, slots=True)
class TokenCost:
    """Tokens to reserve: an estimate of the prompt and the most that the answer may take."""

    input: int
    max_output: int


@dataclass(frozen=True, slots=True)
class Ticket:
    route: Route
    spec: ProviderSpec
    cost: TokenCost
    priority: Priority
    deadline_ns: int
    attempt: int = 1
    job: str = ""
    """Requests of one job share its part of the bulk queue."""
    max_in_flight: int | None = None
    """The caller's own cap under the lane's window (`LLM(max_concurrent=…)`), counted per `job`."""


class Lease(Protocol):
    """The right to send one attempt with one key."""

    @property
    def route(self) -> Route: ...

    @property
    def key(self) -> str:
        """The secret itself; empty where no key is needed. Never in a repr."""

    @property
    def key_alias(self) -> KeyAlias | None: ...

    @property
    def admitted_ns(self) -> int: ...

    @property
    def lane(self) -> str:
        """The name that `LimiterStats` has for what it counts against; empty where nothing is counted."""

    @property
    def limit(self) -> int | None:
        """How many may be in flight over that lane at this moment; None where nothing is counted."""

    def observe(self, headers: tuple[tuple[str, str], ...], at_ns: int) -> None:
        """Response headers of a success, as soon as they are there."""

    def settle(
        self, outcome: Outcome, at_ns: int, *, usage: Usage | None = None, error: ProviderError | None = None
    ) -> None:
        """Give back what was reserved and learn. Exactly once; a second call raises RuntimeError."""


class Waiter(Protocol):
    """A place in the queue."""

    async def next(self) -> Lease | Queued:
        """The lease, or why not yet: returns at once the first time if it must wait, then on every change of reason.

        Raises `MissingKey`, `KeyRejected` or `QuotaSpent` when no key is left, `RequestTooLarge` when the request can
        never fit, `TimedOut` (total) at the ticket's deadline, `EngineClosed`.
        """

    def cancel(self) -> None:
        """Leave the queue; a lease that was granted and not yet taken is given back. Idempotent."""


class Admission(Protocol):
    def enqueue(self, ticket: Ticket) -> Waiter: ...

    async def aclose(self) -> None:
        """Every waiter fails with `EngineClosed`."""
