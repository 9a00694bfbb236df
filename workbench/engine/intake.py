"""Where requests come in: routed, joined to an identical one that is under way, or sent off on a flight of their own.

Every caller's request becomes exactly one record, whether it was answered, shared another's call or left it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable

from workbench.core.clock import Clock
from workbench.core.errors import WorkbenchError
from workbench.core.events import Failed, Finished, StreamEvent
from workbench.core.types import CacheMode, FinishReason, Request, Result, Route, Timing
from workbench.engine.cache import cache_key
from workbench.engine.flight import Flight, FlightBoard, Reader, follow
from workbench.engine.metrics import MetricsHub
from workbench.engine.observation import Observation
from workbench.engine.pursuit import Pursuit
from workbench.engine.records import Population
from workbench.engine.router import Router, Target
from workbench.engine.services import Order, Services
from workbench.providers.fitting import fit


class Intake:
    """Turns requests into streams of events."""

    def __init__(self, router: Router, hub: MetricsHub, clock: Clock) -> None:
        self._router = router
        self._hub = hub
        self._clock = clock
        self._flights = FlightBoard()

    @property
    def under_way(self) -> int:
        """Calls that have a task, shared ones counted once."""
        return len(self._flights)

    def events(
        self, services: Callable[[], Services], request: Request, *, stream: bool, quiet: bool
    ) -> AsyncGenerator[StreamEvent, None]:
        """Everything that happens to a request. Nothing is done before the first event is asked for.

        Args:
            services: called then; may raise what makes the engine unusable here.
            stream: False asks the provider for the answer in one piece.
            quiet: leave out the pieces of the answer; the terminal event has them all.
        """
        submitted_ns = 0

        def begin() -> Reader:
            nonlocal submitted_ns
            ready = services()
            submitted_ns = self._clock.monotonic_ns()
            return self._begin(ready, request, submitted_ns, stream=stream, quiet=quiet)

        return follow(self._flights, begin, lambda ending: self._record_spare(request, submitted_ns, ending))

    def pursue(self, services: Services, order: Order) -> AsyncGenerator[StreamEvent, None]:
        """Everything that happens to an order that is shared with nobody, without the pieces of its answer."""

        def begin() -> Reader:
            return self._flights.launch(
                None, order.submitted_ns, lambda flight: Pursuit(services, order, flight).run(), quiet=True
            )

        return follow(self._flights, begin, lambda _: None)

    async def aclose(self) -> None:
        """Cancel everything under way; its callers get EngineClosed."""
        await self._flights.aclose()

    def _begin(self, services: Services, request: Request, submitted_ns: int, *, stream: bool, quiet: bool) -> Reader:
        try:
            targets = self._router.route(request.model)
            keys = () if services.cache is None else cache_keys(request, targets)
        except WorkbenchError as exc:
            error = exc

            async def refuse(flight: Flight) -> None:
                self._refuse(flight, request, submitted_ns, error)

            return self._flights.launch(None, submitted_ns, refuse, quiet=quiet)
        key = flight_key(request, keys, stream=stream)
        if key is not None and (joined := self._flights.join(key, quiet=quiet)) is not None:
            return joined
        order = Order(request, targets, keys, submitted_ns, stream)
        return self._flights.launch(
            key, submitted_ns, lambda flight: Pursuit(services, order, flight).run(), quiet=quiet
        )

    def _refuse(self, flight: Flight, request: Request, submitted_ns: int, error: WorkbenchError) -> None:
        """End a request that has nowhere to go."""
        now_ns = self._clock.monotonic_ns()
        partial = _nothing(request, submitted_ns, now_ns, FinishReason.INCOMPLETE)
        Observation(self._hub, request, submitted_ns).finish(Population.FAILED, partial, error)
        flight.emit(Failed(now_ns, error, partial))

    def _record_spare(self, request: Request, submitted_ns: int, ending: Finished | Failed | None) -> None:
        """A caller who shared another's call, or left one that goes on, is a request too."""
        observation = Observation(self._hub, request, submitted_ns)
        match ending:
            case Finished(result=result):
                observation.finish(Population.SHARED, result)
            case Failed(error=error, partial=partial):
                observation.finish(Population.FAILED, partial, error)
            case None:
                left = _nothing(request, submitted_ns, self._clock.monotonic_ns(), FinishReason.CANCELLED)
                observation.finish(Population.CANCELLED, left)


def cache_keys(request: Request, targets: tuple[Target, ...]) -> tuple[str, ...]:
    """One key per target; none when the request must not meet the cache."""
    if request.cache is CacheMode.OFF:
        return ()
    keys = []
    for target in targets:
        # Without what this run has learnt to leave out: the same question finds its answer in the next run too.
        fitted = fit(target.spec, target.route.wire_model, request.params)
        keys.append(cache_key(target.route, request.messages, fitted.body, request.sample, family=fitted.family.value))
    return tuple(keys)


def flight_key(request: Request, keys: tuple[str, ...], *, stream: bool) -> str | None:
    """Requests with equal keys may share a call: same targets and words, same patience, same use of the cache."""
    if not keys:
        return None
    parts = (
        *keys,
        request.cache.value,
        int(request.priority),
        request.deadline_s,
        request.max_retries,
        stream,
        request.replay_speed,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _nothing(request: Request, submitted_ns: int, now_ns: int, reason: FinishReason) -> Result:
    return Result(
        text="",
        reasoning="",
        finish_reason=reason,
        usage=None,
        cost_usd=None,
        timing=Timing(submitted_ns, done_ns=now_ns),
        route=Route(spec=request.model, provider="", wire_model=request.model, base_url=""),
        attempts=0,
    )
