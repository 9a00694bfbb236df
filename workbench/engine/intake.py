"""Where requests come in: routed, joined to an identical one that is under way, or sent off on a flight of their own.

Every caller's request becomes exactly one record, whether it was answered, shared another's call or left it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from workbench.core.clock import Clock
from workbench.core.errors import WorkbenchError
from workbench.core.events import Failed, Finished, StreamEvent
from workbench.core.types import CacheMode, FinishReason, Params, Request, Result, Route, Timing
from workbench.engine.flight import Flight, FlightBoard, Reader, follow
from workbench.engine.metrics import MetricsHub
from workbench.engine.observation import Observation
from workbench.engine.pursuit import Pursuit
from workbench.engine.records import Population
from workbench.engine.router import Router, Target
from workbench.engine.services import Order, Services
from workbench.engine.stored_answer import cache_key, reads
from workbench.providers.fitting import Fitted, fit

_NONE_CHOSEN = Params()


class Intake:
    """Turns requests into streams of events."""

    def __init__(self, router: Router, hub: MetricsHub, clock: Clock) -> None:
        self._router = router
        self._hub = hub
        self._clock = clock
        self._flights = FlightBoard()
        self._keys = CacheKeys()

    def stored_answer(self, services: Services, request: Request) -> Result | None:
        """The answer that lies in the cache, without a task and without waiting; None when there is more to it.

        Of a chain the first target alone is looked for, as a flight would: it is asked before the second one's answer
        is looked up.
        """
        cache = services.cache
        if cache is None or not reads(request.cache) or request.replay_speed > 0:
            return None
        submitted_ns = self._clock.monotonic_ns()
        try:
            target = self._router.route(request.model)[0]
            keys = self._keys.of(request, (target,))
        except WorkbenchError:
            return None  # asking for it in earnest says what is wrong
        stored = cache.look(keys[0]) if keys else None
        if stored is None:
            return None
        observation = Observation(self._hub, request, submitted_ns)
        observation.aim(target.route)
        timing = Timing(submitted_ns, done_ns=self._clock.monotonic_ns())
        result = stored.said_again(target.route, timing, notes=request.notes)
        observation.finish(Population.CACHED, result)
        return result

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
            keys = () if services.cache is None else self._keys.of(request, targets)
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


class CacheKeys:
    """Names requests for the cache. What goes on the wire beside the words is worked out once for all that share it."""

    def __init__(self) -> None:
        self._fitted: dict[str, tuple[Params, Fitted]] = {}
        """By the target's name."""

    def of(self, request: Request, targets: tuple[Target, ...]) -> tuple[str, ...]:
        """One key per target; none when the request must not meet the cache, or holds half a character: the wire says
        so in words of its own."""
        if request.cache is CacheMode.OFF:
            return ()
        try:
            return tuple(self.key(request, target) for target in targets)
        except UnicodeEncodeError:
            return ()

    def key(self, request: Request, target: Target) -> str:
        fitted = self._fit(target, request.params)
        return cache_key(target.route, request.messages, fitted.body, request.sample, family=fitted.family.value)

    def _fit(self, target: Target, params: Params) -> Fitted:
        # Not by equality: 1, 1.0 and True are equal and are not the same on the wire. None has no such relatives.
        params = _NONE_CHOSEN if params == _NONE_CHOSEN else params
        known = self._fitted.get(target.route.spec)
        if known is not None and known[0] is params:
            return known[1]
        # Without what this run has learnt to leave out: the same question finds its answer in the next run too.
        fitted = fit(target.spec, target.route.wire_model, params)
        self._fitted[target.route.spec] = params, fitted
        return fitted


def cache_keys(request: Request, targets: tuple[Target, ...]) -> tuple[str, ...]:
    """`CacheKeys.of`, for whoever has but one request."""
    return CacheKeys().of(request, targets)


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


async def result_of(events: AsyncGenerator[StreamEvent, None]) -> Result:
    """The answer at a stream's end. Raises the error there, with what had arrived as its `partial`."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                return event.result
            if isinstance(event, Failed):
                event.error.partial = event.partial
                raise event.error
    raise AssertionError("a stream ends with a terminal event")
