"""The product's own limiter as a policy: the real dispatcher, fed and settled in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from workbench.bench.limits_world import Reply, Work, World
from workbench.core.errors import LimitKind, RateLimited, WorkbenchError
from workbench.core.types import Priority, Route, Usage
from workbench.engine.admission import Outcome, Ticket, TokenCost
from workbench.engine.dispatcher import Dispatcher
from workbench.engine.keyring import Keyring
from workbench.engine.lane import Lane
from workbench.engine.lane_board import LaneBoard, LaneName
from workbench.engine.lane_file import LaneFile
from workbench.engine.lane_group import PendingClaim
from workbench.engine.lane_values import History
from workbench.engine.window import Window
from workbench.providers.base import ProviderSpec, WireFamily
from workbench.simulator.quota import Dimension, DimensionState, Refusal

SPEC: Final = ProviderSpec(
    name="bench",
    prefix="bench",
    family=WireFamily.OPENAI_CHAT,
    base_url="http://bench.invalid/v1",
    base_url_variables=(),
    key_variables=("BENCH_KEYS",),
)
ROUTE: Final = Route("bench/model", "bench", "model", SPEC.base_url)
KINDS: Final = {
    Dimension.REQUESTS: LimitKind.REQUESTS,
    Dimension.TOKENS: LimitKind.TOKENS,
    Dimension.INPUT_TOKENS: LimitKind.INPUT_TOKENS,
    Dimension.OUTPUT_TOKENS: LimitKind.OUTPUT_TOKENS,
    Dimension.IN_FLIGHT: LimitKind.CONCURRENCY,
}
BACKLOG: Final = 4
"""Requests kept in the queue; more of the same would only cost memory."""


class _Claim(PendingClaim):
    __slots__ = ("policy", "work")

    def __init__(self, ticket: Ticket, work: Work, policy: Paced) -> None:
        super().__init__(ticket)
        self.work = work
        self.policy = policy

    def granted(self) -> None:
        self.policy.send(self)

    def failed(self, error: WorkbenchError) -> None:
        self.policy.lose(self)


class Paced:
    """Runs over the keys with these indices. `whole_backlog` queues everything at once, as a finite batch does."""

    def __init__(
        self,
        keys: Sequence[int],
        *,
        seed: int = 0,
        sender: int = 0,
        whole_backlog: bool = False,
        lanes_dir: Path | None = None,
    ) -> None:
        self._sender = sender
        self._whole_backlog = whole_backlog
        self._random = Random(seed + 1000 * sender)
        self._by_alias = {f"bench#{n + 1}": key for n, key in enumerate(keys)}
        ring = Keyring.from_sources(SPEC, {"BENCH_KEYS": ",".join(f"key-{key}" for key in keys)})
        self.history = History(4096)
        self._lanes_dir = lanes_dir
        self._files: list[LaneFile] = []
        self.board = LaneBoard(
            lambda spec: ring.keys, lambda spec: Window(8, 512), self._random, self.history.add, self._share
        )
        self.dispatcher = Dispatcher(self.board, family=lambda t: t.route.wire_model, wall_s=lambda: 0.0)
        self.errors: list[WorkbenchError] = []
        self._wake_s = float("inf")

    def start(self, world: World) -> None:
        self._world = world
        self._refill()

    def _share(self, name: LaneName, lane: Lane) -> None:
        if self._lanes_dir is not None:
            path = self._lanes_dir / f"{name[2]}.lane"
            now_s = lambda: self._world.now_s  # noqa: E731 - one clock for both
            self._files.append(LaneFile(path, lane, now_s, now_s))

    def close(self) -> None:
        for file in self._files:
            file.close()

    def arrive(self, work: Work) -> None:
        self._enqueue(work)
        self._rearm()

    def lose(self, claim: _Claim) -> None:
        self._world.lost += 1

    def send(self, claim: _Claim) -> None:
        assert claim.flight is not None
        key = self._by_alias[claim.flight.key.label]
        self._world.send(
            key, claim.work, lambda reply: self._headers(claim, reply), lambda reply: self._end(claim, reply)
        )

    def _enqueue(self, work: Work) -> None:
        ticket = Ticket(
            route=ROUTE,
            spec=SPEC,
            cost=TokenCost(work.input_tokens, work.max_output),
            priority=Priority.INTERACTIVE if work.interactive else Priority.BULK,
            deadline_ns=2**62,
            attempt=work.attempts + 1,
        )
        self.dispatcher.enqueue(_Claim(ticket, work, self), self._world.now_s)

    def _headers(self, claim: _Claim, reply: Reply) -> None:
        if reply.limits:
            self.dispatcher.observe(claim, header_pairs(reply.limits), self._world.now_s)

    def _end(self, claim: _Claim, reply: Reply) -> None:
        now_s, work = self._world.now_s, claim.work
        if reply.refusal is None:
            usage = Usage(input=work.input_tokens, output=work.output_tokens)
            self.dispatcher.settle(claim, Outcome.SUCCESS, now_s, usage=usage)
        else:
            error = RateLimited(
                "refused",
                limit=KINDS[reply.refusal.kind] if reply.refusal.named else LimitKind.UNKNOWN,
                retry_after_s=reply.refusal.retry_after_s,
                headers=refusal_pairs(reply.refusal, reply.limits),
            )
            self.dispatcher.settle(claim, Outcome.REFUSED, now_s, error=error)
            self._enqueue(work)
        self._refill()

    def _refill(self) -> None:
        groups = self.dispatcher.groups.values()
        while self._whole_backlog or sum(group.queue.size for group in groups) < BACKLOG:
            work = self._world.next_work(self._sender)
            if work is None:
                break
            self._enqueue(work)
        self._rearm()

    def _rearm(self) -> None:
        wake_s = self.dispatcher.wake_s
        if wake_s < self._wake_s or self._wake_s <= self._world.now_s:
            self._wake_s = wake_s
            if wake_s < float("inf"):
                self._world.at(wake_s, lambda: self._wake(wake_s))

    def _wake(self, wake_s: float) -> None:
        if wake_s == self._wake_s:
            self._wake_s = float("inf")
        self.dispatcher.pump_due(self._world.now_s)
        self._refill()


def refusal_pairs(refusal: Refusal, limits: dict[Dimension, DimensionState] | None) -> tuple[tuple[str, str], ...]:
    """All headers of a 429."""
    wait = () if refusal.retry_after_s is None else (("retry-after", str(refusal.retry_after_s)),)
    return (*header_pairs(limits or {}), *wait)


def header_pairs(limits: dict[Dimension, DimensionState]) -> tuple[tuple[str, str], ...]:
    """The way OpenAI writes them."""
    pairs: list[tuple[str, str]] = []
    for dimension, state in limits.items():
        pairs.append((f"x-ratelimit-limit-{dimension}", str(state.limit)))
        pairs.append((f"x-ratelimit-remaining-{dimension}", str(state.remaining)))
        pairs.append((f"x-ratelimit-reset-{dimension}", f"{state.reset_s * 1000:.0f}ms"))
    return tuple(pairs)
