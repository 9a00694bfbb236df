"""An asyncio loop in which waiting takes no time, and what tests of the limiter share."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from workbench.core.clock import ManualClock
from workbench.core.events import Queued
from workbench.core.types import Priority, Route
from workbench.engine.admission import Lease, Ticket, TokenCost, Waiter
from workbench.engine.keyring import Key, Keyring
from workbench.engine.limiter import Limiter, LimiterOptions
from workbench.providers.base import ProviderSpec, WireFamily

T = TypeVar("T")

SPEC = ProviderSpec(
    name="acme",
    prefix="acme",
    family=WireFamily.OPENAI_CHAT,
    base_url="http://acme.invalid/v1",
    base_url_variables=(),
    key_variables=("ACME_API_KEY", "ACME_KEYS"),
)


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None):
        if timeout is None:
            raise RuntimeError("everything waits and nothing is due: the test would hang")
        self._clock.advance(max(0.0, timeout))
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer whenever there is nothing to do."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic_ns() / 1e9


def in_virtual_time(test: Callable[[ManualClock], Awaitable[T]], clock: ManualClock | None = None) -> T:
    """Run `test` with a clock that its loop moves."""
    clock = clock or ManualClock(start_s=1000.0)
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:

        async def body() -> T:
            return await test(clock)

        return runner.run(body())


def keyring(*secrets: str, spec: ProviderSpec = SPEC) -> Callable[[ProviderSpec], tuple[Key, ...]]:
    keys = Keyring.from_sources(spec, {spec.key_variables[1]: ",".join(secrets)}).keys
    return lambda asked: keys


def make_limiter(clock: ManualClock, *secrets: str, **options: object) -> Limiter:
    return Limiter(
        keys=keyring(*(secrets or ("one",))),
        clock=clock,
        rng=Random(1),
        options=LimiterOptions(**options),  # type: ignore[arg-type]  # a test's shorthand
    )


def ticket(
    priority: Priority = Priority.BULK,
    *,
    tokens: int = 100,
    max_output: int = 100,
    model: str = "model",
    deadline_s: float = 1e9,
    spec: ProviderSpec = SPEC,
    **fields: object,
) -> Ticket:
    return Ticket(
        route=Route(f"{spec.name}/{model}", spec.name, model, spec.base_url),
        spec=spec,
        cost=TokenCost(tokens, max_output),
        priority=priority,
        deadline_ns=round(deadline_s * 1e9),
        **fields,  # type: ignore[arg-type]  # a test's shorthand
    )


async def lease_of(waiter: Waiter) -> Lease:
    """Pull until the lease comes."""
    while isinstance(answer := await waiter.next(), Queued):
        pass
    return answer


async def lease_now(waiter: Waiter) -> Lease:
    """The lease, which must be there at once."""
    answer = await waiter.next()
    assert not isinstance(answer, Queued), answer
    return answer


async def queued(waiter: Waiter) -> Queued:
    """What the next answer says, which must not be a lease."""
    answer = await waiter.next()
    assert isinstance(answer, Queued), answer
    return answer
