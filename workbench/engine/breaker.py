"""Circuit breakers: stop asking a provider that keeps failing, and find out cheaply when it is back.

Pure decisions in the style `(state, signal, now)`; nothing here sleeps or knows about tasks. One circuit per (provider,
base URL): five failures in a row open it, thirty seconds later exactly one request may probe, and its success closes
it. Refusals, bad keys and other 4xx say nothing about health and move nothing.

Invariant: while a circuit is not closed, at most one `Passage` is out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from workbench.core.clock import NS_PER_S
from workbench.core.errors import BreakerOpen, TimedOut, TimeoutKind, WorkbenchError


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    """The rest is over: one request may probe, or is probing."""


class CircuitKey(NamedTuple):
    provider: str
    base_url: str


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """One line of a circuit's history."""

    at_ns: int
    old: CircuitState
    new: CircuitState
    why: str


@dataclass(frozen=True, slots=True)
class CircuitStats:
    provider: str
    base_url: str
    state: CircuitState
    consecutive_failures: int
    probe_at_ns: int | None
    """When an open circuit lets its probe through; None when it is closed or already probing."""
    last_error: str
    history: tuple[CircuitChange, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not now."""

    until_ns: int | None
    """When it is worth asking again; None while a probe is under way."""
    last_error: str


class Passage:
    """Leave to send, handed back with what came of it: the first of `succeeded`, `failed`, `abandoned` counts."""

    __slots__ = ("_circuit", "_generation", "_open", "is_probe")

    def __init__(self, circuit: Circuit, generation: int, is_probe: bool) -> None:
        self._circuit = circuit
        self._generation = generation
        self._open = True
        self.is_probe = is_probe

    @property
    def is_current(self) -> bool:
        """False when the circuit opened, or was reset, after this leave was given and before anything was sent."""
        return self._generation == self._circuit.generation

    def succeeded(self, now_ns: int) -> None:
        if self._take():
            self._circuit.on_success(now_ns, probe=self.is_probe)

    def failed(self, now_ns: int, error: WorkbenchError) -> None:
        """Report an error; one that says nothing about the provider's health counts as abandoned."""
        if not counts(error):
            self.abandoned()
        elif self._take():
            self._circuit.on_failure(now_ns, error, probe=self.is_probe)

    def abandoned(self) -> None:
        """Nothing was learnt: cancelled, refused by a limit, or rejected for its content."""
        if self._take():
            self._circuit.on_abandoned(probe=self.is_probe)

    def _take(self) -> bool:
        """True the first time, unless the circuit has moved on since: what was sent before an outage is old news."""
        was_open, self._open = self._open, False
        return was_open and self.is_current


def counts(error: WorkbenchError) -> bool:
    """Whether an error is a sign of ill health. A total timeout is the caller's own deadline and is not."""
    return error.breaks and not (isinstance(error, TimedOut) and error.kind is TimeoutKind.TOTAL)


class Circuit:
    """One provider at one address."""

    __slots__ = (
        "_failures",
        "_history",
        "_last_error",
        "_on_move",
        "_opened_ns",
        "_probing",
        "_state",
        "generation",
        "key",
        "policy",
    )

    def __init__(self, key: CircuitKey, policy: BreakerPolicy, on_move: Callable[[CircuitKey], None]) -> None:
        self.key = key
        self._on_move = on_move
        self.policy = policy
        self.generation = 0
        """Grows with every change of state, so that leave given before it can be recognised."""
        self._state = CircuitState.CLOSED
        self._failures = 0
        self._opened_ns = 0
        self._probing = False
        self._last_error = ""
        self._history: deque[CircuitChange] = deque(maxlen=32)

    def enter(self, now_ns: int) -> Passage | Refusal:
        """Leave to send, or until when there is none."""
        if self._state is CircuitState.OPEN and now_ns >= self._opened_ns + self.policy.rest_ns:
            self._move(now_ns, CircuitState.HALF_OPEN, f"{self.policy.rest_s:g} s are over, one request may probe")
        match self._state:
            case CircuitState.CLOSED:
                return Passage(self, self.generation, is_probe=False)
            case CircuitState.HALF_OPEN if not self._probing:
                self._probing = True
                return Passage(self, self.generation, is_probe=True)
            case CircuitState.HALF_OPEN:
                return Refusal(None, self._last_error)
            case CircuitState.OPEN:
                return Refusal(self._opened_ns + self.policy.rest_ns, self._last_error)

    def on_success(self, now_ns: int, *, probe: bool) -> None:
        if probe or self._state is CircuitState.CLOSED:
            self._failures = 0
        if probe:
            self._move(now_ns, CircuitState.CLOSED, "the probe was answered")

    def on_failure(self, now_ns: int, error: WorkbenchError, *, probe: bool) -> None:
        self._last_error = error.message
        self._failures += 1
        if probe:
            self._move(now_ns, CircuitState.OPEN, f"the probe failed: {error.title}")
        elif self._state is CircuitState.CLOSED and self._failures >= self.policy.failures:
            self._move(now_ns, CircuitState.OPEN, f"{self._failures} failures in a row, the last one: {error.title}")

    def on_abandoned(self, *, probe: bool) -> None:
        if probe:
            self._probing = False
            self._on_move(self.key)

    def reset(self, now_ns: int) -> None:
        self._failures = 0
        if self._state is not CircuitState.CLOSED:
            self._move(now_ns, CircuitState.CLOSED, "reset by hand")

    def statistics(self) -> CircuitStats:
        return CircuitStats(
            provider=self.key.provider,
            base_url=self.key.base_url,
            state=self._state,
            consecutive_failures=self._failures,
            probe_at_ns=self._opened_ns + self.policy.rest_ns if self._state is CircuitState.OPEN else None,
            last_error=self._last_error,
            history=tuple(self._history),
        )

    def _move(self, now_ns: int, state: CircuitState, why: str) -> None:
        self._history.append(CircuitChange(now_ns, self._state, state, why))
        self._state = state
        self._probing = False
        self.generation += 1
        if state is CircuitState.OPEN:
            self._opened_ns = now_ns
        self._on_move(self.key)


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    failures: int = 5
    """Failures in a row that open a circuit."""
    rest_s: float = 30.0
    """How long an open circuit rests before its probe."""

    @property
    def rest_ns(self) -> int:
        return round(self.rest_s * NS_PER_S)


class BreakerBoard:
    """All circuits of one engine."""

    __slots__ = ("_circuits", "_on_move", "_policy")

    def __init__(
        self, policy: BreakerPolicy | None = None, on_move: Callable[[CircuitKey], None] = lambda _: None
    ) -> None:
        """`on_move` is told of every change that those who wait should look at."""
        self._policy = policy or BreakerPolicy()
        self._on_move = on_move
        self._circuits: dict[CircuitKey, Circuit] = {}

    def __iter__(self) -> Iterator[Circuit]:
        return iter(self._circuits.values())

    def circuit(self, provider: str, base_url: str) -> Circuit:
        key = CircuitKey(provider, base_url)
        circuit = self._circuits.get(key)
        if circuit is None:
            circuit = self._circuits[key] = Circuit(key, self._policy, self._on_move)
        return circuit

    def reset(self, now_ns: int) -> int:
        """Close every circuit; how many were not closed."""
        opened = [circuit for circuit in self if circuit.statistics().state is not CircuitState.CLOSED]
        for circuit in self:
            circuit.reset(now_ns)
        return len(opened)

    def statistics(self) -> tuple[CircuitStats, ...]:
        return tuple(circuit.statistics() for circuit in self)


def breaker_open(key: CircuitKey, refusal: Refusal, now_ns: int) -> BreakerOpen:
    """The error for a caller who does not wait: what happened, and in how many seconds it is worth trying again."""
    if refusal.until_ns is None:
        when = "One request is testing it now; try again in a moment"
    else:
        when = f"It is tried again in {max(1, round((refusal.until_ns - now_ns) / NS_PER_S))} s"
    cause = f" (the last error: {refusal.last_error.removesuffix('.')})" if refusal.last_error else ""
    return BreakerOpen(
        f"{key.provider} failed several times in a row and is left alone for a while{cause}.",
        hint=f"{when}; or reset the circuit breakers, or choose another target.",
    )
