"""One request as it is watched: stamps, waits and attempts on their way to becoming a record.

The pipeline calls these methods in the order in which things happen. `output` is called for every piece of an answer
and is part of the engine's hot path; everything else happens a few times per request.
"""

from __future__ import annotations

from workbench.core.clock import NS_PER_S
from workbench.core.errors import ProviderError, WorkbenchError
from workbench.core.events import Delta, Queued, WaitReason
from workbench.core.sending import Sending
from workbench.core.types import STALL_S, Channel, KeyAlias, Request, Result, Route, Timing
from workbench.engine.admission import Outcome
from workbench.engine.counts import Counts, Gauge, LaneCounts
from workbench.engine.metrics import MetricsHub
from workbench.engine.records import AttemptRecord, Population, RequestRecord
from workbench.providers.base import WireOpened

COUNT_EVERY_NS = NS_PER_S // 5
STALL_NS = round(STALL_S * NS_PER_S)


class Observation:
    """Everything measured about one logical request. Stamps are of the latest attempt."""

    __slots__ = (
        "_attempts",
        "_characters",
        "_chunks",
        "_count_at_ns",
        "_counts",
        "_enqueued_ns",
        "_failed_ns",
        "_first_answer_ns",
        "_first_event_ns",
        "_first_token_ns",
        "_fresh",
        "_gauge",
        "_hub",
        "_longest_gap_ns",
        "_model",
        "_number",
        "_request",
        "_retry_wait_ns",
        "_route",
        "_sent_ns",
        "_stalled_ns",
        "_submitted_ns",
        "_ttft_error_ns",
        "_uncounted",
        "_wait",
        "_wait_ns",
        "_waits",
        "admitted_ns",
        "attempts_sent",
        "headers_ns",
        "key_alias",
        "last_token_ns",
        "sending",
    )

    def __init__(self, hub: MetricsHub, request: Request, submitted_ns: int) -> None:
        self._hub = hub
        self._number = hub.begin(submitted_ns)
        self._request = request
        self._submitted_ns = submitted_ns
        self._model: LaneCounts | None = None
        self._counts: tuple[Counts, ...] = hub.counts(None)
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
        self.admitted_ns: int | None = None
        self._sent_ns: int | None = None
        self.headers_ns: int | None = None
        self._first_event_ns: int | None = None
        self._first_token_ns: int | None = None
        self._first_answer_ns: int | None = None
        self.last_token_ns: int | None = None
        self._fresh = False
        self.key_alias: KeyAlias | None = None
        self.sending: Sending | None = None
        self._chunks = self._characters = self._uncounted = self._longest_gap_ns = self._stalled_ns = 0
        self._count_at_ns = 0
        self._ttft_error_ns = 0

    # -- on the way to the wire ----------------------------------------------------------------------------------------

    def aim(self, route: Route, now_ns: int | None = None) -> None:
        """This target is tried now, or from its submission on."""
        now_ns = self._submitted_ns if now_ns is None else now_ns
        self._end_wait(now_ns)
        self._stand(Gauge.NOWHERE, now_ns)
        self._route = route
        self._model = self._hub.model(route)
        self._counts = self._hub.counts(self._model)

    def enqueue(self, now_ns: int) -> None:
        """A new attempt asks for admission; what the failed one and its back-off took is retry time."""
        self._end_wait(now_ns)
        if self._failed_ns is not None:
            self._retry_wait_ns += now_ns - self._failed_ns
            self._failed_ns = None
        elif not self._attempts:
            for counts in self._counts:
                counts.setup.add((now_ns - self._submitted_ns) / NS_PER_S, now_ns)
        self._forget_attempt(now_ns)
        self._stand(Gauge.NOWHERE, now_ns)
        self._counts = self._hub.counts(self._model)
        self._stand(Gauge.QUEUED, now_ns)

    def wait(self, event: Queued) -> None:
        """Not yet, and why."""
        self._end_wait(event.at_ns)
        self._stand(Gauge.QUEUED, event.at_ns)
        self._wait, self._wait_ns = event.reason, event.at_ns
        for counts in self._counts:
            counts.wait(event.reason)

    def admit(self, key_alias: KeyAlias | None, now_ns: int, lane: str = "", limit: int | None = None) -> None:
        """The limiter let it go, over the lane of that name, which may have so many in flight."""
        self._end_wait(now_ns)
        self._stand(Gauge.NOWHERE, now_ns)
        self.key_alias = key_alias
        self.admitted_ns = now_ns
        self.sending = Sending()
        self.attempts_sent += 1
        self._counts = self._hub.counts(self._model, lane)
        for counts in self._counts:
            counts.queue.add(max(0, now_ns - self._enqueued_ns) / NS_PER_S, now_ns)
        self._stand(Gauge.IN_FLIGHT, now_ns)
        self._hub.note_limit(self._counts, limit, now_ns)

    def back_off(self, now_ns: int) -> None:
        """Sent again after a while: counted as a retry."""
        self._stand(Gauge.BACKING_OFF, now_ns)
        for counts in self._counts:
            counts.retry(now_ns)

    # -- on the wire ---------------------------------------------------------------------------------------------------

    def open(self, event: WireOpened) -> None:
        self._sent_ns = event.sent_ns
        self.headers_ns = event.at_ns
        self._fresh = event.fresh
        if event.fresh and self.admitted_ns is not None:
            for counts in self._counts:
                counts.connect.add(max(0, event.sent_ns - self.admitted_ns) / NS_PER_S, event.at_ns)

    def alive(self, at_ns: int) -> None:
        if self._first_event_ns is None:
            self._first_event_ns = at_ns

    def output(self, delta: Delta) -> None:
        """A piece of output has arrived."""
        at_ns = delta.at_ns
        last_ns = self.last_token_ns
        if last_ns is None:
            self._begin_output(at_ns)
        elif (gap_ns := at_ns - last_ns) > self._longest_gap_ns or gap_ns >= STALL_NS:
            self._longest_gap_ns = max(gap_ns, self._longest_gap_ns)
            if gap_ns >= STALL_NS:
                self._stalled_ns += gap_ns
        if self._first_answer_ns is None and delta.channel is not Channel.REASONING:
            self._begin_answer(at_ns)
        self.last_token_ns = at_ns
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
        if self._model is not None:
            tokens = self._uncounted / max(self._model.characters_per_token, 0.1)
            for counts in self._counts:
                counts.stream(tokens, at_ns)
        self._uncounted = 0
        self._count_at_ns = at_ns + COUNT_EVERY_NS

    def _begin_output(self, at_ns: int) -> None:
        self.alive(at_ns)
        self._first_token_ns = at_ns
        if self._sent_ns is not None:
            self._ttft_error_ns = self._hub.note_first_token(at_ns)
            for counts in self._counts:
                counts.first_token((at_ns - self._sent_ns) / NS_PER_S, at_ns)
                counts.perceived.add((at_ns - self._submitted_ns) / NS_PER_S, at_ns)

    def _begin_answer(self, at_ns: int) -> None:
        self._first_answer_ns = at_ns
        if self._sent_ns is not None:
            for counts in self._counts:
                counts.ttfa.add((at_ns - self._sent_ns) / NS_PER_S, at_ns)

    def end_attempt(
        self,
        outcome: Outcome,
        now_ns: int,
        error: WorkbenchError | None = None,
        *,
        failed: bool = False,
        limit: int | None = None,
    ) -> None:
        """The attempt that was admitted last is over; `limit` is what its lane may have in flight after that."""
        if self._route is None or self.admitted_ns is None:
            return
        self._stand(Gauge.NOWHERE, now_ns)
        self._hub.note_limit(self._counts, limit, now_ns)
        if self._uncounted:
            self._count(now_ns)
        if failed:
            self._failed_ns = self.admitted_ns
        if self._sent_ns is None and self.sending is not None:
            # Nothing has come back, but whether all of it had gone out is known.
            self._sent_ns = self.sending.sent_ns
        if outcome is Outcome.REFUSED:
            for counts in self._counts:
                counts.refuse(now_ns)
        attempt = AttemptRecord(
            number=self.attempts_sent,
            route=self._route,
            key_alias=self.key_alias,
            enqueued_ns=self._enqueued_ns,
            admitted_ns=self.admitted_ns,
            sent_ns=self._sent_ns,
            headers_ns=self.headers_ns,
            first_event_ns=self._first_event_ns,
            first_token_ns=self._first_token_ns,
            first_answer_ns=self._first_answer_ns,
            last_token_ns=self.last_token_ns,
            ended_ns=now_ns,
            outcome=outcome,
            error="" if error is None else error.title,
            said="" if error is None else error.message,
            status=error.status if isinstance(error, ProviderError) else None,
            fresh=self._fresh,
        )
        self._attempts.append(attempt)
        if error is not None:
            self._hub.note_failure(attempt)

    # -- the end -------------------------------------------------------------------------------------------------------

    def timing(self, done_ns: int, stamp_error_ns: int = 0) -> Timing:
        sending = self.sending
        return Timing(
            submitted_ns=self._submitted_ns,
            admitted_ns=self.admitted_ns,
            dialled_ns=None if sending is None else sending.dialled_ns,
            connected_ns=None if sending is None else sending.connected_ns,
            sent_ns=self._sent_ns,
            headers_ns=self.headers_ns,
            first_event_ns=self._first_event_ns,
            first_token_ns=self._first_token_ns,
            first_answer_ns=self._first_answer_ns,
            last_token_ns=self.last_token_ns,
            done_ns=done_ns,
            retry_wait_ns=self._retry_wait_ns,
            stamp_error_ns=stamp_error_ns,
            ttft_error_ns=self._ttft_error_ns,
            stalled_ns=self._stalled_ns,
        )

    def finish(self, population: Population, result: Result, error: WorkbenchError | None = None) -> RequestRecord:
        """The request is over; its record goes to the hub. Exactly once."""
        ended_ns = result.timing.done_ns or self._submitted_ns
        self._end_wait(ended_ns)
        self._stand(Gauge.NOWHERE, ended_ns)
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
        self._hub.keep(record, self._counts)
        return record

    def _end_wait(self, now_ns: int) -> None:
        if self._wait is not None:
            waited_ns = max(0, now_ns - self._wait_ns)
            self._waits[self._wait] = self._waits.get(self._wait, 0) + waited_ns
            for counts in self._counts:
                counts.end_wait(self._wait, waited_ns / NS_PER_S, now_ns)
            self._wait = None

    def _stand(self, gauge: Gauge, now_ns: int) -> None:
        """Stand elsewhere from now on. `_counts` must not change but while it stands nowhere."""
        before = self._gauge
        if gauge is before:
            return
        for counts in self._counts:
            if before is not Gauge.NOWHERE:
                counts.leave(before, now_ns)
            if gauge is not Gauge.NOWHERE:
                counts.enter(gauge, now_ns)
            if isinstance(counts, LaneCounts):
                if gauge is Gauge.IN_FLIGHT:
                    counts.on_the_wire.add(self)
                elif before is Gauge.IN_FLIGHT:
                    counts.on_the_wire.discard(self)
        self._gauge = gauge
