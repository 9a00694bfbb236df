"""What a provider's account allows: requests and tokens per minute, per day, and calls in flight.

Pure decision code that takes `now`: the HTTP simulator runs it on the wall clock, tests and benchmarks in virtual
time, so both judge a client by one implementation. It decides; it writes no header and no body. Keys of one
organisation share a limit by holding one `Quota`. Time that runs backwards is treated as time standing still.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from workbench.simulator.meters import DAY_S, MINUTE_S, Bucket, Charge, FixedWindow, Meter, SlidingWindow


class ServerModel(StrEnum):
    """How a provider counts what was used per minute. Clients see the difference only in `reset` and in refusals."""

    CONTINUOUS = "continuous"
    """A bucket that holds one minute's worth and refills evenly."""
    FIXED_WINDOW = "fixed-window"
    """Everything is given back at the full minute."""
    SLIDING_WINDOW = "sliding-window"
    """Each unit is given back a minute after it was used."""
    QUANTISED = "quantised"
    """A bucket that refills evenly and holds `quantum_s` worth: 60,000 per minute enforced as 1,000 per second."""


class Reserve(StrEnum):
    """What is charged when a request is let in; the rest is settled when its usage is known."""

    MAX_OUTPUT = "max-output"
    """The prompt and all the output it may produce."""
    PROMPT = "prompt"
    """The prompt alone; output is charged when it has been produced, into debt if need be."""


class Dimension(StrEnum):
    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input-tokens"
    OUTPUT_TOKENS = "output-tokens"
    REQUESTS_PER_DAY = "requests-per-day"
    TOKENS_PER_DAY = "tokens-per-day"
    IN_FLIGHT = "in-flight"

    @property
    def per_day(self) -> bool:
        return self in (Dimension.REQUESTS_PER_DAY, Dimension.TOKENS_PER_DAY)


@dataclass(frozen=True, slots=True)
class Competition:
    """Somebody else who spends the same account, evenly over time and as far as there is room."""

    rpm: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    in_flight: int = 0
    """Calls that are always open."""


@dataclass(frozen=True, slots=True)
class QuotaSpec:
    """Limits of one account, and how open the provider is about them. None = not limited."""

    rpm: float | None = None
    tpm: float | None = None
    itpm: float | None = None
    otpm: float | None = None
    rpd: float | None = None
    tpd: float | None = None
    max_in_flight: int | None = None
    model: ServerModel = ServerModel.CONTINUOUS
    quantum_s: float = 1.0
    reserve: Reserve = Reserve.MAX_OUTPUT
    headers: bool = True
    """Answers state limit, remaining and reset."""
    retry_after: bool = True
    """Refusals for a rate say how long to wait. Those for too many in flight never do."""
    classify: bool = True
    """Refusals name the limit that was reached."""
    count_refusals: bool = False
    """A refused request counts as a request."""
    competition: Competition | None = None

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "itpm", "otpm", "rpd", "tpd", "max_in_flight"):
            value: float | None = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number of at least 0, not {value!r}")
        if not 0 < self.quantum_s <= MINUTE_S:
            raise ValueError(f"quantum_s must lie in (0, 60], not {self.quantum_s!r}")

    def limits(self) -> dict[Dimension, float]:
        """The metered dimensions, in the order in which they are checked."""
        stated = {
            Dimension.REQUESTS: self.rpm,
            Dimension.REQUESTS_PER_DAY: self.rpd,
            Dimension.TOKENS: self.tpm,
            Dimension.INPUT_TOKENS: self.itpm,
            Dimension.OUTPUT_TOKENS: self.otpm,
            Dimension.TOKENS_PER_DAY: self.tpd,
        }
        return {dimension: limit for dimension, limit in stated.items() if limit is not None}

    def scaled(self, factor: float) -> QuotaSpec:
        """Every per-minute limit multiplied: a drop, or a larger account."""
        return replace(
            self,
            **{
                name: value * factor
                for name in ("rpm", "tpm", "itpm", "otpm")
                if (value := getattr(self, name)) is not None
            },
        )


@dataclass(frozen=True, slots=True, eq=False)
class Grant:
    """A request that was let in, and what it was charged. Settled once."""

    at_s: float
    charges: dict[Dimension, Charge]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was not let in. Everything is said here; `named` and `retry_after_s` tell what the client hears."""

    kind: Dimension
    limit: float
    requested: float
    remaining: float
    wait_s: float
    """When this request would fit if nobody else came; infinity when it never will."""
    retry_after_s: int | None
    """Whole seconds to put on the wire; None when this provider says nothing."""
    too_large: bool
    """More than the whole limit: waiting does not help."""
    named: bool
    """The body says which limit was reached."""


@dataclass(frozen=True, slots=True)
class DimensionState:
    limit: int
    remaining: int
    reset_s: float
    """Seconds until everything has been given back, if nothing more is used."""


def _meter(spec: QuotaSpec, dimension: Dimension, limit: float, now_s: float) -> Meter:
    if dimension.per_day:
        return FixedWindow(limit, DAY_S)
    match spec.model:
        case ServerModel.CONTINUOUS:
            return Bucket(now_s, limit, MINUTE_S)
        case ServerModel.QUANTISED:
            return Bucket(now_s, limit, spec.quantum_s)
        case ServerModel.FIXED_WINDOW:
            return FixedWindow(limit, MINUTE_S)
        case ServerModel.SLIDING_WINDOW:
            return SlidingWindow(limit, MINUTE_S)


class Quota:
    """One account's meters. `schedule` changes the limits at given times, as a provider does without telling."""

    def __init__(
        self, spec: QuotaSpec, *, now_s: float = 0.0, schedule: Sequence[tuple[float, QuotaSpec]] = ()
    ) -> None:
        self.spec = spec
        self.in_flight = 0
        """Calls let in and not settled, competition not included."""
        self._now_s = now_s
        self._schedule = deque(sorted(schedule, key=lambda step: step[0]))
        self._meters: dict[Dimension, Meter] = {
            dimension: _meter(spec, dimension, limit, now_s) for dimension, limit in spec.limits().items()
        }
        self._rival_due_s = now_s

    def admit(self, now_s: float, input_tokens: int, max_output_tokens: int) -> Grant | Refusal:
        """Let a request in and charge it, or say why not. Nothing is charged for a refusal unless the spec says so."""
        now_s = self._advance(now_s)
        refusal = self._first_refusal(now_s, input_tokens, max_output_tokens)
        if refusal is not None:
            requests = self._meters.get(Dimension.REQUESTS)
            if self.spec.count_refusals and requests is not None and requests.remaining(now_s) >= 1:
                requests.take(now_s, 1)
            return refusal
        self.in_flight += 1
        return self._charge(now_s, input_tokens, max_output_tokens)

    def settle(self, grant: Grant, now_s: float, input_tokens: int, output_tokens: int) -> None:
        """The call is over: correct its charges to what it really used. Pass input without the cached part if that is
        free with this provider."""
        now_s = self._advance(now_s)
        self.in_flight -= 1
        for dimension, charge in grant.charges.items():
            meter = self._meters.get(dimension)
            if meter is None:
                continue  # the limit was lifted while the call ran
            surplus = charge.amount - _used(dimension, input_tokens, output_tokens)
            if surplus > 0:
                meter.give_back(now_s, charge, surplus)
            elif surplus < 0:
                meter.take(now_s, -surplus)

    def snapshot(self, now_s: float) -> dict[Dimension, DimensionState]:
        """What response headers would say now, whether or not this provider sends them."""
        now_s = self._advance(now_s)
        return {
            dimension: DimensionState(
                limit=int(meter.limit),
                remaining=max(0, int(meter.remaining(now_s))),
                reset_s=max(0.0, meter.reset_s(now_s)),
            )
            for dimension, meter in self._meters.items()
        }

    def set_spec(self, now_s: float, spec: QuotaSpec) -> None:
        """Change the limits from now on. What was used stays used; a changed server model starts with fresh meters."""
        self._install(self._advance(now_s), spec)

    def _install(self, now_s: float, spec: QuotaSpec) -> None:
        keeps_meters = (spec.model, spec.quantum_s) == (self.spec.model, self.spec.quantum_s)
        meters: dict[Dimension, Meter] = {}
        for dimension, limit in spec.limits().items():
            meter = self._meters.get(dimension) if keeps_meters or dimension.per_day else None
            if meter is None:
                meter = _meter(spec, dimension, limit, now_s)
            elif meter.limit != limit:
                meter.set_limit(now_s, limit)
            meters[dimension] = meter
        self.spec, self._meters = spec, meters

    def _advance(self, now_s: float) -> float:
        now_s = max(now_s, self._now_s)
        while self._schedule and self._schedule[0][0] <= now_s:
            at_s, spec = self._schedule.popleft()
            self._compete(max(at_s, self._now_s))
            self._install(max(at_s, self._now_s), spec)
        self._compete(now_s)
        self._now_s = now_s
        return now_s

    def _compete(self, until_s: float) -> None:
        rival = self.spec.competition
        if rival is None or rival.rpm <= 0:
            self._rival_due_s = until_s
            return
        while self._rival_due_s <= until_s:
            due_s = self._rival_due_s
            wanted = {d: _used(d, rival.input_tokens, rival.output_tokens) for d in self._meters}
            if all(self._meters[d].remaining(due_s) >= amount for d, amount in wanted.items()):
                for d, amount in wanted.items():
                    self._meters[d].take(due_s, amount)
            self._rival_due_s = due_s + MINUTE_S / rival.rpm

    def _first_refusal(self, now_s: float, input_tokens: int, max_output_tokens: int) -> Refusal | None:
        cap = self.spec.max_in_flight
        taken = self.in_flight + (self.spec.competition.in_flight if self.spec.competition else 0)
        if cap is not None and taken >= cap:
            return self._refusal(Dimension.IN_FLIGHT, cap, 1, cap - taken, math.inf if cap == 0 else 0.0, cap == 0)
        for dimension, meter in self._meters.items():
            amount = self._reserved(dimension, input_tokens, max_output_tokens)
            remaining = meter.remaining(now_s)
            if remaining < amount:
                too_large = amount > meter.capacity()
                wait_s = math.inf if too_large else meter.wait_s(now_s, amount)
                return self._refusal(dimension, meter.limit, amount, remaining, wait_s, too_large)
        return None

    def _refusal(
        self, kind: Dimension, limit: float, requested: float, remaining: float, wait_s: float, too_large: bool
    ) -> Refusal:
        says_when = self.spec.retry_after and kind is not Dimension.IN_FLIGHT and math.isfinite(wait_s)
        return Refusal(
            kind=kind,
            limit=limit,
            requested=requested,
            remaining=max(0.0, remaining),
            wait_s=wait_s,
            retry_after_s=max(1, math.ceil(wait_s)) if says_when else None,
            too_large=too_large,
            named=self.spec.classify,
        )

    def _charge(self, now_s: float, input_tokens: int, max_output_tokens: int) -> Grant:
        return Grant(
            now_s,
            {
                dimension: meter.take(now_s, self._reserved(dimension, input_tokens, max_output_tokens))
                for dimension, meter in self._meters.items()
            },
        )

    def _reserved(self, dimension: Dimension, input_tokens: int, max_output_tokens: int) -> int:
        output_tokens = max_output_tokens if self.spec.reserve is Reserve.MAX_OUTPUT else 0
        return _used(dimension, input_tokens, output_tokens)


def _used(dimension: Dimension, input_tokens: int, output_tokens: int) -> int:
    """Units of a dimension that one request of this size takes."""
    match dimension:
        case Dimension.REQUESTS | Dimension.REQUESTS_PER_DAY | Dimension.IN_FLIGHT:
            return 1
        case Dimension.TOKENS | Dimension.TOKENS_PER_DAY:
            return input_tokens + output_tokens
        case Dimension.INPUT_TOKENS:
            return input_tokens
        case Dimension.OUTPUT_TOKENS:
            return output_tokens
