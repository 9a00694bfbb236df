"""One time on the wire: from a lease to an answer or an error, with the lease settled whatever happens.

What says nothing yet (headers, pings, role-only chunks, early usage) is held back until the first visible output, so
that an error inside a 200 stream can still be retried as if nothing had been sent.
"""

from __future__ import annotations

from contextlib import aclosing

from workbench.core.clock import Clock
from workbench.core.errors import IncompleteStream, Overloaded, ProviderError, RateLimited
from workbench.core.events import Delta, Opened, UsageReport
from workbench.core.types import Usage
from workbench.engine.admission import Lease, Outcome
from workbench.engine.breaker import Passage
from workbench.engine.flight import Flight
from workbench.engine.observation import Observation
from workbench.providers.base import Adapter, Call, WireAlive, WireEnd, WireOpened


class Attempt:
    """Reads one answer into a flight. `run` once."""

    __slots__ = ("_call", "_clock", "_flight", "_lease", "_observation", "_passage", "end", "opened", "usage")

    def __init__(
        self, call: Call, lease: Lease, passage: Passage, flight: Flight, observation: Observation, clock: Clock
    ) -> None:
        self._call = call
        self._lease = lease
        self._passage = passage
        self._flight = flight
        self._observation = observation
        self._clock = clock
        self.opened: WireOpened | None = None
        self.usage: Usage | None = None
        """As the provider stated it last."""
        self.end: WireEnd | None = None

    async def run(self, adapter: Adapter) -> None:
        """Send, and emit what comes back. Returns after the provider's own end mark; raises what went wrong."""
        try:
            await self._read(adapter)
        except ProviderError as error:
            # What breaks after the provider has said that it is done takes nothing away from the answer.
            if self.end is None:
                self._settle(outcome_of(error), error)
                raise
        except BaseException:
            # Cancelled, or a fault of ours: neither says anything about limits or health.
            self._settle(Outcome.NEUTRAL, None, abandoned=True)
            raise
        self._settle(Outcome.SUCCESS, None)

    async def _read(self, adapter: Adapter) -> None:
        flight, observation = self._flight, self._observation
        # What was not streamed has no first token: its parts count, their stamps mean nothing.
        watch = observation.output if self._call.stream else observation.piece
        began = False
        async with aclosing(adapter.open(self._call)) as events:
            async for event in events:
                # An answer is thousands of deltas and a handful of anything else.
                if type(event) is Delta:
                    if not event.text:
                        observation.alive(event.at_ns)
                        continue
                    if not began:
                        began = True
                        self._begin(event.at_ns)
                    watch(event)
                    flight.emit(event)
                elif type(event) is WireOpened:
                    self.opened = event
                    observation.open(event)
                    self._lease.observe(event.headers, event.at_ns)
                elif type(event) is WireAlive:
                    observation.alive(event.at_ns)
                elif type(event) is UsageReport:
                    observation.alive(event.at_ns)
                    if not event.usage.is_plausible:
                        # As if it had not been said: an estimate that says so is better than nonsense.
                        continue
                    self.usage = event.usage
                    if began:
                        flight.emit(event)
                elif type(event) is WireEnd:
                    self.end = event
                    if not began:
                        began = True
                        self._begin(event.at_ns)
        if self.end is None:
            raise IncompleteStream(
                "The answer stopped without saying that it had finished.",
                provider=self._call.route.provider,
                model=self._call.route.wire_model,
                key_alias=self._call.key_alias,
            )

    def _begin(self, at_ns: int) -> None:
        """From here on nothing is retried: the held-back events go out."""
        opened = self.opened
        self._flight.emit(
            Opened(
                at_ns=at_ns,
                sent_ns=self._lease.admitted_ns if opened is None else opened.sent_ns,
                headers_ns=at_ns if opened is None else opened.at_ns,
                request_id=None if opened is None else opened.request_id,
                http_version="" if opened is None else opened.http_version,
            )
        )
        if self.usage is not None:
            self._flight.emit(UsageReport(at_ns, self.usage))
        if self._passage.is_probe:
            # Output is proof enough of health; those who wait for the probe need not wait for its last word.
            self._passage.succeeded(at_ns)

    def _settle(self, outcome: Outcome, error: ProviderError | None, *, abandoned: bool = False) -> None:
        now_ns = self._clock.monotonic_ns()
        self._lease.settle(outcome, now_ns, usage=self.usage, error=error)
        self._observation.end_attempt(
            outcome, now_ns, error, failed=outcome is not Outcome.SUCCESS, limit=self._lease.limit
        )
        if abandoned:
            self._passage.abandoned()
        elif error is not None:
            self._passage.failed(now_ns, error)
        else:
            self._passage.succeeded(now_ns)


def outcome_of(error: ProviderError) -> Outcome:
    """What the limiter may learn from an error."""
    if error.retires_key:
        return Outcome.KEY_DEAD
    if isinstance(error, RateLimited):
        return Outcome.REFUSED
    if isinstance(error, Overloaded):
        return Outcome.OVERLOADED
    return Outcome.NEUTRAL
