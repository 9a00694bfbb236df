"""A provider and a crowd of prompts made up by chance, and whether each prompt's end was right.

The real dispatcher, in virtual time. A prompt is lost rightly only if no key is left, or if it is larger than what any
key allows; it must never be refused more often than the engine is ready to try.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from limiter_virtual_time import SPEC, keyring, ticket

from workbench.bench.limits_paced import KINDS, header_pairs, refusal_pairs
from workbench.core.errors import (
    KeyRejected,
    LimitKind,
    QuotaSpent,
    RateLimited,
    RequestTooLarge,
    WorkbenchError,
)
from workbench.core.types import Priority, Usage
from workbench.engine.admission import Outcome
from workbench.engine.dispatcher import Dispatcher
from workbench.engine.lane_board import LaneBoard
from workbench.engine.lane_group import PendingClaim
from workbench.engine.lane_queue import ClaimState
from workbench.engine.lane_values import History
from workbench.engine.retry import RetryPolicy
from workbench.engine.window import Window
from workbench.simulator.quota import Dimension, DimensionState, Grant, Quota, Refusal

MOST_REFUSALS: Final = RetryPolicy().max_refusals


@dataclass(eq=False)
class Prompt:
    number: int
    input: int
    max_output: int
    output: int
    seconds: float
    born_s: float = 0.0
    poison: bool = False
    """Larger than what any key ever allows."""
    priority: Priority = Priority.BULK
    tries: int = 0
    refusals: int = 0
    end: str = ""
    end_s: float = 0.0
    claim: Claim | None = None

    @property
    def size(self) -> int:
        return self.input + self.max_output


class Claim(PendingClaim):
    def __init__(self, prompt: Prompt, soak: Soak) -> None:
        super().__init__(
            ticket(
                prompt.priority,
                tokens=prompt.input,
                max_output=prompt.max_output,
                spec=SPEC,
                attempt=prompt.tries + 1,
            )
        )
        self.prompt = prompt
        self.soak = soak

    def granted(self) -> None:
        self.soak.send(self)

    def failed(self, error: WorkbenchError) -> None:
        self.soak.fail(self.prompt, error)


@dataclass(eq=False)
class Soak:
    quotas: Sequence[Quota]
    """By key; keys of one account hold the same one."""
    prompts: Sequence[Prompt]
    seed: int
    until_s: float
    verdict_s: tuple[float, float] = (0.08, 0.18)
    """How long a refusal takes to come."""
    dead_from_s: Mapping[int, float] = field(default_factory=dict)
    cancelled_s: Mapping[int, float] = field(default_factory=dict)
    """By number of the prompt."""
    wrong: list[str] = field(default_factory=list)
    """Everything that must not be."""

    def run(self) -> Soak:
        self.now_s = 0.0
        self.refused = 0
        """Refusals of prompts that are no poison."""
        self._random = Random(self.seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._wake_s = math.inf
        names = [f"key-{index}" for index in range(len(self.quotas))]
        self._keys = {f"acme#{index + 1}": index for index in range(len(names))}
        self.board = LaneBoard(keyring(*names), lambda spec: Window(8, 512), Random(self.seed), History(64).add)
        self.dispatcher = Dispatcher(self.board, family=lambda t: t.route.wire_model, wall_s=lambda: 0.0)
        for prompt in self.prompts:
            self._at(prompt.born_s, lambda prompt=prompt: self._ask(prompt))
            if prompt.number in self.cancelled_s:
                self._at(self.cancelled_s[prompt.number], lambda prompt=prompt: self._cancel(prompt))
        while self._events:
            at_s, _, event = heapq.heappop(self._events)
            if at_s > self.until_s:
                break
            self.now_s = at_s
            event()
            self._rearm()
        self._look_back()
        return self

    def fail(self, prompt: Prompt, error: WorkbenchError) -> None:
        self._end(prompt, type(error).__name__)
        live = [index for index in range(len(self.quotas)) if not self._dead(index)]
        if isinstance(error, KeyRejected | QuotaSpent):
            right = not live
        else:
            right = isinstance(error, RequestTooLarge) and prompt.poison
        if not right:
            self.wrong.append(f"after {self.now_s:.0f} s, {prompt.tries} tries: {prompt.size} tokens: {error}")

    def send(self, claim: Claim) -> None:
        prompt, flight = claim.prompt, claim.flight
        assert flight is not None
        lane, index = flight.lane, self._keys[flight.key.label]
        prompt.tries += 1
        if lane.in_flight > lane.window.allowed:
            self.wrong.append(f"after {self.now_s:.0f} s: {lane.in_flight} in flight of {lane.window.allowed}")
        if self._dead(index):
            self._at(self.now_s + 0.1, lambda: self._reject(claim))
            return
        quota = self.quotas[index]
        answer = quota.admit(self.now_s, prompt.input, prompt.max_output)
        limits = quota.snapshot(self.now_s) if quota.spec.headers else None
        if isinstance(answer, Refusal):
            self.refused += not prompt.poison
            self._at(self.now_s + self._random.uniform(*self.verdict_s), lambda: self._refuse(claim, answer, limits))
        else:
            self._at(self.now_s + prompt.seconds, lambda: self._answer(claim, quota, answer, limits))

    # -- events -------------------------------------------------------------------------------------------------------

    def _ask(self, prompt: Prompt) -> None:
        if not prompt.end:
            prompt.claim = Claim(prompt, self)
            self.dispatcher.enqueue(prompt.claim, self.now_s)

    def _cancel(self, prompt: Prompt) -> None:
        if prompt.end:
            return
        self._end(prompt, "cancelled")
        if prompt.claim is not None and prompt.claim.state is ClaimState.WAITING:
            self.dispatcher.withdraw(prompt.claim, self.now_s)

    def _reject(self, claim: Claim) -> None:
        self.dispatcher.settle(claim, Outcome.KEY_DEAD, self.now_s, error=KeyRejected("no such key", status=401))
        self._ask(claim.prompt)

    def _refuse(self, claim: Claim, refusal: Refusal, limits: dict[Dimension, DimensionState] | None) -> None:
        prompt = claim.prompt
        prompt.refusals += 1
        error = RateLimited(
            "refused",
            limit=KINDS[refusal.kind] if refusal.named else LimitKind.UNKNOWN,
            retry_after_s=refusal.retry_after_s,
            headers=refusal_pairs(refusal, limits),
        )
        self.dispatcher.settle(claim, Outcome.REFUSED, self.now_s, error=error)
        if prompt.end:
            return
        if prompt.refusals < MOST_REFUSALS:
            self._ask(prompt)
            return
        self._end(prompt, "given up")
        if not prompt.poison:
            self.wrong.append(f"after {self.now_s:.0f} s: {prompt.size} tokens refused {prompt.refusals} times")

    def _answer(self, claim: Claim, quota: Quota, grant: Grant, limits: dict[Dimension, DimensionState] | None) -> None:
        prompt = claim.prompt
        quota.settle(grant, self.now_s, prompt.input, prompt.output)
        if limits is not None:
            self.dispatcher.observe(claim, header_pairs(limits), self.now_s)
        if prompt.end:
            self.dispatcher.settle(claim, Outcome.NEUTRAL, self.now_s)
            return
        usage = Usage(input=prompt.input, output=prompt.output)
        self.dispatcher.settle(claim, Outcome.SUCCESS, self.now_s, usage=usage)
        self._end(prompt, "answered")

    def _end(self, prompt: Prompt, how: str) -> None:
        prompt.end, prompt.end_s = how, self.now_s

    def _dead(self, index: int) -> bool:
        return self.dead_from_s.get(index, math.inf) <= self.now_s

    # -- time ---------------------------------------------------------------------------------------------------------

    def _at(self, at_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(at_s, self.now_s), next(self._order), event))

    def _rearm(self) -> None:
        wake_s = self.dispatcher.wake_s
        if wake_s < self._wake_s or self._wake_s <= self.now_s:
            self._wake_s = wake_s
            if wake_s < math.inf:
                self._at(wake_s, lambda: self._wake(wake_s))

    def _wake(self, wake_s: float) -> None:
        if wake_s == self._wake_s:
            self._wake_s = math.inf
        self.dispatcher.pump_due(self.now_s)

    def _look_back(self) -> None:
        waiting = [prompt for prompt in self.prompts if not prompt.end]
        if waiting:
            self.wrong.append(f"{len(waiting)} of {len(self.prompts)} prompts never ended")
            return
        self.wrong += [f"{lane.in_flight} calls left in {lane.name}" for _, lane in self.board if lane.in_flight]
        self.wrong += [f"{state.label} leaks" for _, state in self.board.key_states() if state.in_flight]
        self.wrong += [f"{name} is not empty" for name, group in self.dispatcher.groups.items() if group.queue.size]
