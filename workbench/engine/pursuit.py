"""One logical request on its way: cache, breaker, keys and limits, the wire, and again, until it ends.

A `Pursuit` runs in its flight's task. It emits events, the terminal one last, and raises nothing but cancellation.
Nobody sleeps holding a lease, and after the first visible character nothing is sent again.
"""

from __future__ import annotations

import asyncio
from typing import Final, assert_never

from workbench.core.clock import NS_PER_S
from workbench.core.errors import BreakerOpen, EngineClosed, ProviderError, TimedOut, TimeoutKind, WorkbenchError
from workbench.core.events import Admitted, CacheHit, Delta, Failed, Finished, Queued, Retrying, WaitReason
from workbench.core.sending import Stage
from workbench.core.types import Channel, FinishReason, Priority, Result
from workbench.engine.admission import Lease, Outcome, Ticket
from workbench.engine.attempt import Attempt
from workbench.engine.breaker import Circuit, Passage, Refusal
from workbench.engine.flight import Flight
from workbench.engine.observation import Observation
from workbench.engine.recall import Recall
from workbench.engine.records import Population
from workbench.engine.replay import pieces
from workbench.engine.retry import BackOff, Requeue, RetryBudget, RetryPolicy, RetryState, SendWithout, Stop, decide
from workbench.engine.router import Target
from workbench.engine.services import Order, Services
from workbench.engine.size import estimate
from workbench.providers.base import Adapter, Call, Deadlines

_ON_ITS_WAY: Final = "while the answer was on its way"


class Pursuit:
    """Brings one order to its end."""

    def __init__(self, services: Services, order: Order, flight: Flight) -> None:
        self._on = services
        self._order = order
        self._request = order.request
        self._flight = flight
        self._observation = Observation(services.hub, order.request, order.submitted_ns)
        chosen_s = order.request.deadline_s
        self._budget_s = services.settings.timeouts.total_s if chosen_s is None else chosen_s
        self._deadline_ns = order.submitted_ns + round(self._budget_s * NS_PER_S)
        self._route = order.targets[0].route
        self._attempt: Attempt | None = None
        self._notes: list[str] = list(order.request.notes)
        self._recall = Recall(services, order.request)
        self._doing = "before it could be sent"

    async def run(self) -> None:
        """Emit everything up to the terminal event. Raises CancelledError only."""
        try:
            try:
                async with asyncio.timeout(self._left_s()) as deadline:
                    await self._try_targets()
            except TimeoutError:
                if not deadline.expired():
                    raise
                raise self._too_late() from None
        except asyncio.CancelledError:
            self._end_cancelled()
            raise
        except WorkbenchError as error:
            self._end_failed(error)
        except Exception as exc:  # the boundary of a task: a fault of ours ends this request and no other
            self._end_failed(_internal(exc))

    # -- the chain -----------------------------------------------------------------------------------------------------

    async def _try_targets(self) -> None:
        errors: list[WorkbenchError] = []
        for target in self._order.targets:
            is_last = target is self._order.targets[-1]
            self._route = target.route
            self._attempt = None
            self._observation.aim(target.route, self._now_ns())
            try:
                await self._try_target(target, self._share_ns(target), is_last=is_last)
                return
            except WorkbenchError as error:
                errors.append(error)
                if self._flight.has_output or is_last or not error.try_other_target:
                    break
                self._notes.append(f"{target.route.spec} was tried first: {error.title}.")
                now_ns = self._now_ns()
                self._flight.emit(Retrying(now_ns, self._observation.attempts_sent, error, now_ns))
        # An answer that broke off is its own news; otherwise the target that was wanted speaks.
        shown = errors.pop() if self._flight.has_output else errors.pop(0)
        shown.others = tuple(errors)
        raise shown

    def _share_ns(self, target: Target) -> int:
        """Until when a target may be waited for: a chain is of no use if its first link takes all the time."""
        targets = self._order.targets
        now_ns = self._now_ns()
        return now_ns + (self._deadline_ns - now_ns) // (len(targets) - targets.index(target))

    async def _try_target(self, target: Target, until_ns: int, *, is_last: bool) -> None:
        """Until this target has answered. Raises why it did not."""
        if await self._answer_from_cache(target):
            return
        if self._order.adapter is None and (hint := self._on.layout.look(target, self._request.messages)):
            self._notes.append(hint)
        route = target.route
        budget = self._on.budgets.setdefault(route.provider, RetryBudget())
        budget.earn(self._now_ns())
        circuit = self._on.gate.circuit(route.provider, route.base_url)
        adapter = self._order.adapter or await self._on.adapter_for(target, self._request)
        state = RetryState()
        error: ProviderError | None = None
        tries = 0
        while True:
            tries += 1
            try:
                passage, lease = await self._admit(target, circuit, tries, until_ns, is_last=is_last)
            except BreakerOpen:
                if error is None:
                    raise
                # It opened over this very request: what went wrong says more than that nobody asks any more.
                self._give_up(error, "it failed too often in a row")
                raise error from None
            error = await self._send(target, adapter, passage, lease, until_ns)
            if error is None:
                return
            state = await self._next_state(target, state, error, budget, until_ns)

    async def _next_state(
        self, target: Target, state: RetryState, error: ProviderError, budget: RetryBudget, until_ns: int
    ) -> RetryState:
        """What the policy says, done: wait if need be. Raises the error when it is not tried again."""
        if self._flight.has_output:
            raise error
        now_ns = self._now_ns()
        left_s = (until_ns - now_ns) / NS_PER_S
        policy = self._policy()
        verdict = decide(
            policy,
            state,
            error,
            now_ns=now_ns,
            deadline_ns=until_ns,
            budget=budget,
            patience_s=policy.cap_s if self._request.priority is Priority.INTERACTIVE else left_s,
            draw=self._on.rng.random(),
        )
        match verdict:
            case Stop(why=why):
                if why:
                    self._give_up(error, why)
                raise error
            case Requeue(state=state):
                self._emit_retrying(error, None)
            case SendWithout(state=state, parameter=parameter):
                memory = self._on.memory
                if not memory.remember(target.route, parameter) and parameter not in memory.refused(target.route):
                    raise error
                self._emit_retrying(error, now_ns)
                self._observation.back_off(now_ns)
            case BackOff(state=state, delay_s=delay_s):
                self._emit_retrying(error, now_ns + round(delay_s * NS_PER_S))
                self._observation.back_off(now_ns)
                self._doing = "while it was backing off"
                await asyncio.sleep(delay_s)
            case _:
                assert_never(verdict)
        return state

    def _give_up(self, error: ProviderError, why: str) -> None:
        sent = self._observation.attempts_sent
        error.hint = f"{error.hint} Given up after {sent} {'try' if sent == 1 else 'tries'}: {why}.".strip()

    def _policy(self) -> RetryPolicy:
        chosen = self._on.settings.retry
        retries = self._request.max_retries
        return RetryPolicy(max_retries=chosen.max_retries if retries is None else retries, base_s=chosen.retry_delay_s)

    def _emit_retrying(self, error: ProviderError, resume_ns: int | None) -> None:
        self._flight.emit(Retrying(self._now_ns(), self._observation.attempts_sent, error, resume_ns))

    # -- the cache -----------------------------------------------------------------------------------------------------

    def _cache_key(self, target: Target) -> str | None:
        keys = self._order.cache_keys
        return keys[self._order.targets.index(target)] if keys else None

    async def _answer_from_cache(self, target: Target) -> bool:
        stored, similarity = await self._recall.find(target, self._cache_key(target))
        if stored is None:
            return False
        start_ns = now_ns = self._now_ns()
        self._flight.emit(CacheHit(now_ns, stored.stored_at_s, similarity))
        if self._request.replay_speed > 0:
            self._doing = "while a stored answer was said again at its own pace"
            for piece in pieces(stored, self._request.replay_speed):
                await asyncio.sleep(max(0.0, piece.at_s - (self._now_ns() - start_ns) / NS_PER_S))
                self._flight.emit(Delta(self._now_ns(), piece.channel, piece.text))
            now_ns = self._now_ns()
        else:
            for channel, text in (
                (Channel.REASONING, stored.reasoning),
                (Channel.TEXT, stored.text),
                (Channel.TOOL, stored.tool_calls),
            ):
                if text:
                    self._flight.emit(Delta(now_ns, channel, text))
        result = stored.said_again(
            self._route,
            self._observation.timing(now_ns),
            notes=tuple(self._notes),
            attempts=self._observation.attempts_sent,
            similarity=similarity,
        )
        self._observation.finish(Population.CACHED, result)
        self._flight.emit(Finished(now_ns, result))
        return True

    # -- breaker, keys and limits --------------------------------------------------------------------------------------

    async def _admit(
        self, target: Target, circuit: Circuit, tries: int, until_ns: int, *, is_last: bool
    ) -> tuple[Passage, Lease]:
        """Leave from the circuit and a lease from the limiter, both still good."""
        may_wait = is_last and self._request.priority is not Priority.INTERACTIVE
        while True:
            self._doing = "while it waited to be sent"
            passage = await self._on.gate.enter(circuit, on_wait=self._wait_for_circuit if may_wait else None)
            try:
                lease = await self._wait_for_lease(target, tries, until_ns)
            except BaseException:
                passage.abandoned()
                raise
            if passage.is_current:
                return passage, lease
            # The circuit opened while this one stood in the queue.
            lease.settle(Outcome.NEUTRAL, self._now_ns())

    def _wait_for_circuit(self, refusal: Refusal) -> None:
        self._queued(Queued(self._now_ns(), WaitReason.BREAKER, refusal.until_ns, detail=refusal.last_error))

    async def _wait_for_lease(self, target: Target, tries: int, until_ns: int) -> Lease:
        self._observation.enqueue(self._now_ns())
        waiter = self._on.admission.enqueue(
            Ticket(
                route=target.route,
                spec=target.spec,
                cost=estimate(self._request, self._on.hub.typical_output(target.route)),
                priority=self._request.priority,
                deadline_ns=until_ns,
                attempt=tries,
                job=self._request.job,
                max_in_flight=self._request.max_in_flight,
            )
        )
        try:
            while isinstance(step := await waiter.next(), Queued):
                self._queued(step)
        except BaseException:
            waiter.cancel()
            raise
        return step

    def _queued(self, event: Queued) -> None:
        self._observation.wait(event)
        self._flight.emit(event)

    # -- the wire ------------------------------------------------------------------------------------------------------

    async def _send(
        self, target: Target, adapter: Adapter, passage: Passage, lease: Lease, until_ns: int
    ) -> ProviderError | None:
        """One attempt. None when it answered, and then the request is finished."""
        self._doing = _ON_ITS_WAY
        self._observation.admit(lease.key_alias, lease.admitted_ns, lease.lane, lease.limit)
        sending, sent = self._observation.sending, self._observation.attempts_sent
        self._flight.emit(Admitted(lease.admitted_ns, target.route, lease.key_alias, sent, sending))
        call = Call(
            route=target.route,
            spec=target.spec,
            messages=self._request.messages,
            params=self._request.params,
            key=lease.key,
            key_alias=lease.key_alias,
            deadlines=self._deadlines(until_ns),
            stream=self._order.stream,
            sending=sending,
        )
        attempt = self._attempt = Attempt(call, lease, passage, self._flight, self._observation, self._on.clock)
        try:
            await attempt.run(adapter)
        except ProviderError as error:
            return error
        self._end_answered(target, attempt)
        return None

    def _deadlines(self, until_ns: int) -> Deadlines:
        chosen = self._on.settings.timeouts
        now_ns = self._now_ns()
        # A microsecond at least: a deadline that has just passed must time out, not be refused as nonsense.
        left_s = max((self._deadline_ns - now_ns) / NS_PER_S, 1e-6)
        share_s = max((until_ns - now_ns) / NS_PER_S, 1e-6)
        return Deadlines(
            connect_s=min(chosen.connect_s, share_s),
            first_token_s=min(chosen.first_token_s, share_s),
            idle_s=chosen.idle_s,
            total_s=min(chosen.total_s, left_s),
        )

    # -- the end -------------------------------------------------------------------------------------------------------

    def _end_answered(self, target: Target, attempt: Attempt) -> None:
        assert attempt.end is not None, "a run that returns has seen its end mark"
        now_ns = self._now_ns()
        result = self._result(attempt.end.finish_reason, now_ns)
        self._recall.keep(self._cache_key(target), result)
        self._observation.finish(Population.ANSWERED, result)
        self._flight.emit(Finished(now_ns, result))

    def _end_failed(self, error: WorkbenchError) -> None:
        now_ns = self._now_ns()
        reason = FinishReason.TIMED_OUT if isinstance(error, TimedOut) else FinishReason.INCOMPLETE
        partial = self._result(reason, now_ns)
        population = Population.INCOMPLETE if self._flight.has_output else Population.FAILED
        self._observation.finish(population, partial, error)
        self._flight.emit(Failed(now_ns, error, partial))

    def _end_cancelled(self) -> None:
        """Nobody listens any more, unless the engine is being closed under them."""
        now_ns = self._now_ns()
        partial = self._result(FinishReason.CANCELLED, now_ns)
        error = EngineClosed("The engine was closed while this request was under way.")
        self._observation.finish(Population.CANCELLED, partial, error if self._flight.readers else None)
        self._flight.emit(Failed(now_ns, error, partial))

    def _result(self, reason: FinishReason, now_ns: int) -> Result:
        flight, attempt = self._flight, self._attempt
        opened = attempt.opened if attempt else None
        usage = attempt.usage if attempt else None
        return Result(
            text=flight.text(Channel.TEXT),
            reasoning=flight.text(Channel.REASONING),
            finish_reason=reason,
            usage=usage,
            cost_usd=self._on.cost_of(usage, self._route),
            prefix_saved_usd=self._on.prefix_saving_of(usage, self._route),
            timing=self._observation.timing(now_ns, self._on.stamp_error_ns(self._order.submitted_ns)),
            route=self._route,
            key_alias=self._observation.key_alias,
            attempts=self._observation.attempts_sent,
            request_id=opened.request_id if opened else None,
            tool_calls=flight.text(Channel.TOOL),
            notes=(*self._notes, *(opened.notes if opened else ())),
        )

    def _too_late(self) -> TimedOut:
        sending = self._observation.sending
        stage = Stage.UNTOLD if sending is None or self._doing != _ON_ITS_WAY else sending.stage
        doing = {Stage.CONNECTING: "before there was a connection", Stage.WRITING: "while it was being sent"}
        return TimedOut(
            f"The request's {self._budget_s:g} s were over {doing.get(stage, self._doing)}.",
            kind=TimeoutKind.TOTAL,
            provider=self._route.provider,
            model=self._route.wire_model,
            key_alias=self._observation.key_alias,
        )

    def _left_s(self) -> float:
        return max(0.0, (self._deadline_ns - self._now_ns()) / NS_PER_S)

    def _now_ns(self) -> int:
        return self._on.clock.monotonic_ns()


def _internal(exc: Exception) -> WorkbenchError:
    error = WorkbenchError(f"{type(exc).__name__}: {exc}", hint="This is a fault of the workbench; please report it.")
    error.__cause__ = exc
    return error
