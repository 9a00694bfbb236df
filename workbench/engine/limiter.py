"""`Admission` for one event loop: futures, one timer and deadlines around the dispatcher, which decides everything.

One waiter is woken per send, however many wait. Of those who wait, only the ones at the front are told when the reason
or the estimate changes, at most four times a second: with 100,000 queued the others learn it when they get there.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from workbench.core.clock import NS_PER_S, Clock, SystemClock
from workbench.core.errors import EngineClosed, LimitKind, ProviderError
from workbench.core.events import Queued
from workbench.core.types import Usage
from workbench.engine.admission import Outcome, Ticket, Waiter
from workbench.engine.dispatcher import Dispatcher
from workbench.engine.keyring import Key
from workbench.engine.lane import Lane
from workbench.engine.lane_board import LaneBoard, LaneName
from workbench.engine.lane_file import FORMAT, LaneFile
from workbench.engine.lane_group import Group
from workbench.engine.lane_queue import ClaimState
from workbench.engine.lane_values import Change, History
from workbench.engine.limiter_stats import LimiterStats, Snapshots
from workbench.engine.limiter_waiter import LimiterWaiter
from workbench.engine.lock_file import CannotLock
from workbench.engine.slots import LocalSlots, SharedSlots
from workbench.engine.window import Window
from workbench.engine.window_latency import LatencyWindow
from workbench.providers.base import ProviderSpec

if TYPE_CHECKING:
    from workbench.core.settings import LaneLimits

FRONT: Final = 32
"""Waiters that are told of changes."""
TELL_EVERY_S: Final = 0.25
"""As often as a screen is drawn."""


@dataclass(frozen=True, slots=True)
class LimiterOptions:
    initial_window: int = 8
    max_window: int = 512
    """No lane ever has more calls in flight than this."""
    lanes: Mapping[str, LaneLimits] = field(default_factory=dict)
    """A person's own limits, by provider or `provider/model`; the longer name wins."""
    families: Mapping[str, str] = field(default_factory=dict)
    """Wire models that share one limit: model to the name of its family. Others are a family each."""
    global_concurrency: int | None = None
    """Hard cap per provider over all processes (`LLM_GLOBAL_CONCURRENCY`); needs `state_dir`."""
    state_dir: Path | None = None
    """Where lanes are shared with other processes and remembered; None keeps everything in this one."""
    history: int = 512
    on_change: Callable[[Change], None] | None = None
    """Called for every change of a limit, a pause or a key, on the loop; must be quick."""


class Limiter:
    """Paced lanes behind the admission seam. Belongs to the event loop in which it is used."""

    def __init__(
        self,
        *,
        keys: Callable[[ProviderSpec], tuple[Key, ...]],
        clock: Clock | None = None,
        rng: Random | None = None,
        options: LimiterOptions | None = None,
    ) -> None:
        self.options = options or LimiterOptions()
        self._clock = clock or SystemClock()
        self._history = History(self.options.history, self.options.on_change)
        self._rng = rng or Random()
        self._board = LaneBoard(keys, self._make_window, self._rng, self._history.add, self._prepare)
        self._dispatcher = Dispatcher(
            self._board,
            family=self._family if self.options.families else attrgetter("route.wire_model"),
            wall_s=self._wall_s,
            slots=self._slots_for,
            blocked=self._tell_soon,
        )
        self._snapshots = Snapshots()
        self._files: list[LaneFile] = []
        self._slots: dict[str, SharedSlots | LocalSlots] = {}
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where it runs; None until something was asked for."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = math.inf
        self._untold: dict[Group, None] = {}
        self._teller: asyncio.TimerHandle | None = None
        self._told_s = -math.inf

    # -- admission ------------------------------------------------------------------------------------------------

    def enqueue(self, ticket: Ticket) -> Waiter:
        """A place in the queue. Whatever is wrong is raised by the waiter's `next`."""
        waiter = LimiterWaiter(ticket, self)
        if self._closed:
            waiter.failed(EngineClosed("The engine is closed."))
        else:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._dispatcher.enqueue(waiter, self._clock.monotonic_ns() / NS_PER_S)
            if self._dispatcher.wake_s < self._timer_s:
                self._rearm()
        return waiter

    async def aclose(self) -> None:
        """Every waiter fails with `EngineClosed`. Leases that are out may still be settled. Idempotent."""
        self._closed = True
        for timer in (self._timer, self._teller):
            if timer is not None:
                timer.cancel()
        for group in self._dispatcher.groups.values():
            for claim in self._dispatcher.drain(group):
                claim.state = ClaimState.GONE
                claim.failed(EngineClosed("The engine was closed while this request was waiting."))
        for shared in (*self._files, *self._slots.values()):
            shared.close()
        self._files.clear()

    # -- looking at it, and taking it by hand ---------------------------------------------------------------------

    def statistics(self) -> LimiterStats:
        """How everything stands. Changes nothing, and may be asked for from any thread."""
        return self._snapshots.take(self._dispatcher, self._history.latest(), self._clock.monotonic_ns())

    def attend(self, present: bool) -> None:
        """Whether a person is at the screen: then bulk work leaves a tenth of every limit alone."""
        self._check_loop()
        self._dispatcher.person_present = present
        self._pump_all()

    def weigh(self, job: str, weight: float) -> None:
        """Give a job that many times the share of an ordinary one."""
        self._check_loop()
        for group in self._dispatcher.groups.values():
            group.queue.weigh(job, weight)

    def pin_window(self, lane: str, size: int | None) -> None:
        """Fix how many calls of a lane may be in flight; None lets it adapt again. Raises KeyError, ValueError."""
        if size is not None and not 1 <= size <= self.options.max_window:
            raise ValueError(f"a window must lie between 1 and {self.options.max_window}, not {size}")
        self._by_hand(lane, lambda found: found.pin_window(size, self.now_s))

    def pin_limit(self, lane: str, kind: LimitKind, per_minute: float | None) -> None:
        """Fix a lane's limit per minute; None goes back to what the provider says, or to what had been learned.

        Raises KeyError, ValueError.
        """
        if per_minute is not None and not 0 < per_minute < math.inf:
            raise ValueError(f"a limit must be a positive number per minute, not {per_minute!r}")
        self._by_hand(lane, lambda found: found.pin_limit(kind, per_minute, self.now_s))

    def pause(self, lane: str) -> None:
        """Send nothing over this lane until `resume`; calls in flight go on. Raises KeyError."""
        self._by_hand(lane, lambda found: found.hold(True, self.now_s))

    def resume(self, lane: str) -> None:
        """End every pause of this lane, its own and the provider's. Raises KeyError."""
        self._by_hand(lane, lambda found: found.hold(False, self.now_s))

    def revive(self, alias: str) -> None:
        """Use a retired key again. Raises KeyError."""
        self._check_loop()
        self._board.revive(alias, self.now_s)
        self._pump_all()

    def reload_keys(self) -> None:
        """Ask for the keys again: new ones get lanes, missing ones are used no more."""
        self._check_loop()
        self._dispatcher.reload_keys(self.now_s)
        self._rearm()

    def _check_loop(self) -> None:
        """Raises RuntimeError on another thread, before anything is half changed."""
        if self._loop is not None and self._loop is not _running_loop():
            raise RuntimeError("A limiter is set on the loop it runs on: use loop.call_soon_threadsafe for that.")

    def _by_hand(self, name: str, change: Callable[[Lane], None]) -> None:
        lane = self._board.named(name)
        self._check_loop()
        with lane.books:
            change(lane)
        self._pump_all()

    # -- the loop -------------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_S

    def observe(self, waiter: LimiterWaiter, headers: tuple[tuple[str, str], ...]) -> None:
        self._dispatcher.observe(waiter, headers, self._clock.monotonic_ns() / NS_PER_S)
        if self._dispatcher.wake_s < self._timer_s:
            self._rearm()

    def settle(self, waiter: LimiterWaiter, outcome: Outcome, usage: Usage | None, error: ProviderError | None) -> None:
        self._dispatcher.settle(waiter, outcome, self._clock.monotonic_ns() / NS_PER_S, usage=usage, error=error)
        if self._dispatcher.wake_s < self._timer_s:
            self._rearm()

    def withdraw(self, waiter: LimiterWaiter) -> None:
        self._dispatcher.withdraw(waiter, self.now_s)
        self._rearm()

    def queued(self, waiter: LimiterWaiter) -> Queued:
        """Why this one is waiting, as far as it is known."""
        now_ns = self._clock.monotonic_ns()
        assert waiter.group is not None
        standing = waiter.group.standing(waiter, now_ns / NS_PER_S)
        until_ns = None if standing.until_s is None else max(now_ns, round(standing.until_s * NS_PER_S))
        return Queued(now_ns, standing.reason, until_ns, standing.ahead, standing.detail)

    def _pump_all(self) -> None:
        for group in self._dispatcher.groups.values():
            self._dispatcher.pump(group, self.now_s)
        self._rearm()

    def _rearm(self) -> None:
        """Keep one timer, at the earliest moment at which somebody could go."""
        wake_s = self._dispatcher.wake_s
        if wake_s >= self._timer_s or self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = wake_s
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wake_s - self.now_s), self._wake)

    def _wake(self) -> None:
        self._timer, self._timer_s = None, math.inf
        self._dispatcher.pump_due(self.now_s)
        self._rearm()

    def _tell_soon(self, group: Group) -> None:
        self._untold[group] = None
        if self._teller is None and not self._closed:
            delay_s = max(0.0, self._told_s + TELL_EVERY_S - self.now_s)
            self._teller = asyncio.get_running_loop().call_later(delay_s, self._tell)

    def _tell(self) -> None:
        self._teller, self._told_s = None, self.now_s
        groups, self._untold = self._untold, {}
        for group in groups:
            group.told = group.blocked
            for claim in group.queue.front(FRONT):
                assert isinstance(claim, LimiterWaiter)
                claim.look_again()

    def _family(self, ticket: Ticket) -> str:
        return self.options.families.get(ticket.route.wire_model, ticket.route.wire_model)

    def _wall_s(self) -> float:
        return self._clock.wall().timestamp()

    def _slots_for(self, provider: str) -> SharedSlots | LocalSlots | None:
        cap = self.options.global_concurrency
        if cap is None:
            return None
        if provider not in self._slots:
            self._slots[provider] = self._open_slots(provider, cap)
        return self._slots[provider]

    def _open_slots(self, provider: str, cap: int) -> SharedSlots | LocalSlots:
        if self.options.state_dir is None:
            return LocalSlots(cap)
        path = self.options.state_dir / "locks" / f"{_file_name(provider)}.slots"
        try:
            return SharedSlots(path, cap, self._rng)
        except CannotLock as exc:
            self._on_its_own(provider, exc)
            return LocalSlots(cap)

    def _on_its_own(self, what: str, reason: CannotLock) -> None:
        self._history.add(Change(self.now_s, what, "sharing", None, None, f"only within this process: {reason}"))

    def _make_window(self, spec: ProviderSpec) -> Window:
        kind = LatencyWindow if spec.queues_instead_of_refusing else Window
        return kind(min(self.options.initial_window, self.options.max_window), self.options.max_window)

    def _prepare(self, name: LaneName, lane: Lane) -> None:
        """Share a new lane with other processes, and put a person's own limits on it."""
        provider, _, _, family = name
        if self.options.state_dir is not None:
            digest = hashlib.sha256("\0".join(name).encode()).hexdigest()[:24]
            path = self.options.state_dir / "lanes" / f"{_file_name(provider)}-{digest}.{FORMAT:.0f}"
            try:
                self._files.append(LaneFile(path, lane, lambda: self.now_s, self._wall_s))
            except CannotLock as exc:
                self._on_its_own(lane.name, exc)
        chosen = self.options.lanes.get(f"{provider}/{family}") or self.options.lanes.get(provider)
        if chosen is None:
            return
        if chosen.max_in_flight is not None:
            lane.pin_window(min(chosen.max_in_flight, self.options.max_window), self.now_s)
        for kind, per_minute in (
            (LimitKind.REQUESTS, chosen.requests_per_minute),
            (LimitKind.TOKENS, chosen.tokens_per_minute),
            (LimitKind.INPUT_TOKENS, chosen.input_tokens_per_minute),
            (LimitKind.OUTPUT_TOKENS, chosen.output_tokens_per_minute),
        ):
            if per_minute is not None:
                lane.pin_limit(kind, per_minute, self.now_s)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _file_name(provider: str) -> str:
    """A provider's name as part of a file's: rows may be called anything."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", provider)[:40]
