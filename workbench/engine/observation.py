"""One request as it is watched: stamps, waits and attempts on their way to becoming a record.

The pipeline calls these methods in the order in which things happen. `output` is called for every piece of an answer
and is part of the engine's hot path; everything else happens a few times per request.
"""

from __future__ import annotations

from workbench.core.clock import NS_PER_S
from workbench.core.errors import ProviderError, WorkbenchError
from workbench.core.events import Delta, Queued, WaitReason
from workbench.core.types import Channel, KeyAlias, Request, Result, Route, Timing
from workbench.engine.admission import Outcome
from workbench.engine.metrics import Gauge, LaneCounts, MetricsHub
from workbench.engine.records import AttemptRecord, Population, RequestRecord
from workbench.providers.base import WireOpened

COUNT_EVERY_NS = NS_PER_S // 5


class Observation:
    """Everything measured about one logical request. Stamps are of the latest attempt."""

    __slots__ = (
        "_admitted_ns",
        "_attempts",
        "_characters",
        "_chunks",
        "_count_at_ns",
        "_enqueued_ns",
        "_failed_ns",
        "_first_answer_ns",
        "_first_event_ns",
        "_first_token_ns",
        "_gauge",
        "_headers_ns",
        "_hub",
        "_lane",
        "_last_token_ns",
        "_longest_gap_ns",
        "_number",
        "_request",
        "_retry_wait_ns",
        "_route",
        "_sent_ns",
        "_submitted_ns",
        "_uncounted",
        "_wait",
        "_wait_ns",
        "_waits",
        "attempts_sent",
        "key_alias",
    )

    def __init__(self, hub: MetricsHub, request: Request, submitted_ns: int) -> None:
        self._hub = hub
        self._number = hub.begin()
        self._request = request
        self._submitted_ns = submitted_ns
        self._lane: LaneCounts | None = None
        self._route: Route | None = None
        self._gauge = Gauge.NOWHERE
        self._wait: WaitReason | None = None
        self._wait_ns = 0
        self._waits: dict[WaitReason, int] = {}
        self._attempts: list[AttemptRecord] = []
        self._retry_wait_ns = 0
        self._failed_ns: int | None = None
        self.attempts_sent = 0
        self._forget_attempt(submitted_ns)

    def _forget_attempt(self, now_ns: int) -> None:
        self._enqueued_ns = now_ns
        self._admitted_ns: int | None = None
        self._sent_ns: int | None = None
        self._headers_ns: int | None = None
        self._first_event_ns: int | None = None
        self._first_token_ns: int | None = None
        self._first_answer_ns: int | None = None
        self._last_token_ns: int | None = None
        self.key_alias: KeyAlias | None = None
        self._chunks = self._characters = self._uncounted = self._longest_gap_ns = 0
        self._count_at_ns = 0

    # -- on the way to the wire ----------------------------------------------------------------------------------------

    def aim(self, route: Route) -> None:
        """This target is tried now."""
        self._stand(Gauge.NOWHERE)
        self._route = route
        self._lane = self._hub.lane(route)

    def enqueue(self, now_ns: int) -> None:
        """A new attempt asks for admission; what the failed one and its back-off took is retry time."""
        if self._failed_ns is not None:
            self._retry_wait_ns += now_ns - self._failed_ns
            self._failed_ns = None
        self._forget_attempt(now_ns)
        self._stand(Gauge.QUEUED)

    def wait(self, event: Queued) -> None:
        """Not yet, and why."""
        self._end_wait(event.at_ns)
        self._stand(Gauge.QUEUED)
        self._wait, self._wait_ns = event.reason, event.at_ns

    def admit(self, key_alias: KeyAlias | None, now_ns: int) -> None:
        self._end_wait(now_ns)
        self.key_alias = key_alias
        self._admitted_ns = now_ns
        self.attempts_sent += 1
        self._stand(Gauge.IN_FLIGHT)

    def back_off(self, now_ns: int) -> None:
        """Sent again after a while: counted as a retry."""
        self._stand(Gauge.BACKING_OFF)
        for counts in self._hub.counts(self._lane):
            counts.retries += 1
            counts.recent_retries.add(1, now_ns)

    # -- on the wire ---------------------------------------------------------------------------------------------------

    def open(self, event: WireOpened) -> None:
        self._sent_ns = event.sent_ns
        self._headers_ns = event.at_ns

    def alive(self, at_ns: int) -> None:
        if self._first_event_ns is None:
            self._first_event_ns = at_ns

    def output(self, delta: Delta) -> None:
        """A piece of output has arrived."""
        at_ns = delta.at_ns
        last_ns = self._last_token_ns
        if last_ns is None:
            self._begin_output(at_ns)
        elif at_ns - last_ns > self._longest_gap_ns:
            self._longest_gap_ns = at_ns - last_ns
        if self._first_answer_ns is None and delta.channel is not Channel.REASONING:
            self._first_answer_ns = at_ns
        self._last_token_ns = at_ns
        self.piece(delta)

    def piece(self, delta: Delta) -> None:
        """Count output without looking at when it came."""
        self._chunks += 1
        self._uncounted += len(delta.text)
        if delta.at_ns >= self._count_at_ns:
            self._count(delta.at_ns)

    def _count(self, at_ns: int) -> None:
        """Bring the gauges up to date: a few times a second, not thousands."""
        self._characters += self._uncounted
        if self._lane is not None:
            self._lane.characters.add(self._uncounted, at_ns)
        self._uncounted = 0
        self._count_at_ns = at_ns + COUNT_EVERY_NS

    def _begin_output(self, at_ns: int) -> None:
        self.alive(at_ns)
        self._first_token_ns = at_ns
        if self._sent_ns is not None:
            for counts in self._hub.counts(self._lane):
                counts.ttft.add((at_ns - self._sent_ns) / NS_PER_S, at_ns)

    def end_attempt(
        self, outcome: Outcome, now_ns: int, error: WorkbenchError | None = None, *, failed: bool = False
    ) -> None:
        """The attempt that was admitted last is over."""
        if self._route is None or self._admitted_ns is None:
            return
        self._stand(Gauge.NOWHERE)
        if self._uncounted:
            self._count(now_ns)
        if failed:
            self._failed_ns = self._admitted_ns
        if outcome is Outcome.REFUSED:
            for counts in self._hub.counts(self._lane):
                counts.refusals += 1
                counts.recent_refusals.add(1, now_ns)
        self._attempts.append(
            AttemptRecord(
                number=self.attempts_sent,
                route=self._route,
                key_alias=self.key_alias,
                enqueued_ns=self._enqueued_ns,
                admitted_ns=self._admitted_ns,
                sent_ns=self._sent_ns,
                headers_ns=self._headers_ns,
                first_event_ns=self._first_event_ns,
                first_token_ns=self._first_token_ns,
                ended_ns=now_ns,
                outcome=outcome,
                error="" if error is None else error.title,
                status=error.status if isinstance(error, ProviderError) else None,
            )
        )

    # -- the end -------------------------------------------------------------------------------------------------------

    def timing(self, done_ns: int, stamp_error_ns: int = 0) -> Timing:
        return Timing(
            submitted_ns=self._submitted_ns,
            admitted_ns=self._admitted_ns,
            sent_ns=self._sent_ns,
            headers_ns=self._headers_ns,
            first_event_ns=self._first_event_ns,
            first_token_ns=self._first_token_ns,
            first_answer_ns=self._first_answer_ns,
            last_token_ns=self._last_token_ns,
            done_ns=done_ns,
            retry_wait_ns=self._retry_wait_ns,
            stamp_error_ns=stamp_error_ns,
        )

    def finish(self, population: Population, result: Result, error: WorkbenchError | None = None) -> RequestRecord:
        """The request is over; its record goes to the hub. Exactly once."""
        self._end_wait(result.timing.done_ns or self._submitted_ns)
        self._stand(Gauge.NOWHERE)
        record = RequestRecord(
            number=self._number,
            model=self._request.model,
            route=self._route,
            key_alias=self.key_alias,
            population=population,
            finish_reason=None if population is Population.FAILED else result.finish_reason,
            error="" if error is None else error.title,
            priority=self._request.priority,
            job=self._request.job,
            timing=result.timing,
            usage=result.usage,
            cost_usd=result.cost_usd,
            saved_usd=result.saved_usd,
            waits=tuple(self._waits.items()),
            attempts=tuple(self._attempts),
            chunks=self._chunks,
            characters=self._characters,
            longest_gap_ns=self._longest_gap_ns,
        )
        self._hub.keep(record, self._lane)
        return record

    def _end_wait(self, now_ns: int) -> None:
        if self._wait is not None:
            self._waits[self._wait] = self._waits.get(self._wait, 0) + max(0, now_ns - self._wait_ns)
            self._wait = None

    def _stand(self, gauge: Gauge) -> None:
        if gauge is self._gauge:
            return
        for counts in self._hub.counts(self._lane):
            counts.standing[self._gauge] -= 1
            counts.standing[gauge] += 1
        self._gauge = gauge
