"""One prompt, many lanes: starts, stops and repeats requests, and owns every task that runs one.

Tasks belong to the comparison, not to a widget: a pane that is closed, hidden or redrawn changes nothing about what is
running. Each lane has at most one request under way. An exception that the engine should have translated becomes that
lane's failure and stays there; the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from workbench.core.clock import Clock
from workbench.core.errors import WorkbenchError
from workbench.core.events import Failed, StreamEvent
from workbench.core.types import Channel, FinishReason, Request, Result, Route, Timing
from workbench.session.draft import Draft
from workbench.session.lane import Lane, Turn
from workbench.session.lane_state import LaneState
from workbench.session.numbers import TokenHabits
from workbench.session.targets import LineUp

if TYPE_CHECKING:
    from workbench.session.spending import Spending


class Streams(Protocol):
    """What a comparison needs of an engine."""

    def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        """Every event of one request, the terminal one last. Closing the generator cancels the request."""


class Unexpected(WorkbenchError):
    """A fault of ours that escaped: shown in its pane with the class, so that it can be reported."""

    title = "internal error"

    @classmethod
    def wrap(cls, error: Exception) -> Unexpected:
        return cls(f"{type(error).__name__}: {error}", hint="This is a fault of the workbench; please report it.")


@dataclass(frozen=True, slots=True)
class Tally:
    """How many lanes are in what kind of state."""

    total: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    stopped: int = 0
    cost_usd: float | None = None
    """Of every answer of this conversation whose price is known; None when none is."""
    cost_is_partial: bool = False
    """Some answers have no known price."""


class Comparison:
    """The lanes of one line-up. What is asked before it is entered runs as soon as it is."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Streams]],
        clock: Clock,
        line_up: LineUp | None = None,
        *,
        spending: Spending | None = None,
    ) -> None:
        """Args:
        connect: gives the engine, waiting for one that is still being opened; what it raises is each lane's failure.
        spending: what each request asks for room before it is sent; None sends everything.
        """
        self._connect = connect
        self._clock = clock
        self.spending = spending
        """May be put in the place of another: what is under way is counted where it began."""
        self._habits = TokenHabits()
        self._group = asyncio.TaskGroup()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._early: list[tuple[Lane, Turn]] | None = []
        """What was asked before this was entered, to be run then; None once it has been."""
        self._forgotten: dict[int, tuple[Turn, ...]] = {}
        self.lanes: tuple[Lane, ...] = ()
        self.on_activity: Callable[[], None] | None = None
        """Called when a lane goes from rest to running, never per event: whoever draws starts to look then."""
        self.on_ended: Callable[[Lane, Turn, Result], None] | None = None
        """Called once for each turn when it is over, however it ended, with what it came to."""
        self._round = 0
        self.line_up = LineUp()
        self.set_line_up(line_up or LineUp())

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        early, self._early = self._early or [], None
        for lane, turn in early:
            if not turn.state.is_final:
                self._run_in_task(lane, turn)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop_all()
        await self._group.__aexit__(kind, error, traceback)

    # What is compared

    def set_line_up(self, line_up: LineUp) -> None:
        """Keep the lane of every target that stays, in the new order; stop and drop those that left."""
        known = {lane.target.slot: lane for lane in self.lanes}
        lanes = []
        for target in line_up:
            lane = known.get(target.slot)
            if lane is not None and lane.target.model == target.model:
                del known[target.slot]
                if lane.target != target:
                    lane.retarget(target)
            else:
                lane = Lane(target, self._habits)
            lanes.append(lane)
        for lane in known.values():
            self.stop(lane)
        self.lanes = tuple(lanes)
        self.line_up = line_up

    # Running

    def send(self, draft: Draft) -> list[Lane]:
        """Ask every lane that is not still answering; each goes on with its own conversation. Returns those asked."""
        asked = [lane for lane in self.lanes if not lane.state.is_running]
        self._round += 1
        for lane in asked:
            lane.begin(draft.prompt, draft.system, self._clock.monotonic_ns(), sample=self._sample(lane))
            self._start(lane)
        return asked

    def repeat(self, lanes: Iterable[Lane] | None = None) -> list[Lane]:
        """Ask the last question again, in all lanes or in those given that are at rest."""
        asked = [lane for lane in (self.lanes if lanes is None else lanes) if lane.turns and not lane.state.is_running]
        self._round += 1
        for lane in asked:
            lane.again(self._clock.monotonic_ns())
            self._start(lane)
        return asked

    def retry_failed(self) -> list[Lane]:
        return self.repeat([lane for lane in self.lanes if lane.state.wants_retry])

    def stop(self, lane: Lane) -> bool:
        """True if it was running. The lane is `stopped` at once; its connection closes in the next turn of the loop."""
        if not lane.state.is_running:
            return False
        lane.stop(self._clock.monotonic_ns())
        task = self._running.pop(id(lane), None)
        if task is not None:
            task.cancel()
        return True

    def stop_all(self) -> int:
        return sum(self.stop(lane) for lane in self.lanes)

    async def settle(self) -> None:
        """Stop everything and wait until no request is left that could still use the engine."""
        self.stop_all()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def start_over(self) -> bool:
        """Stop everything and begin new conversations; False if there was nothing to leave behind."""
        self.stop_all()
        forgotten = {lane.target.slot: lane.forget() for lane in self.lanes if lane.turns}
        if forgotten:
            self._forgotten = forgotten
        return bool(forgotten)

    @property
    def can_bring_back(self) -> bool:
        return bool(self._forgotten) and not any(lane.turns for lane in self.lanes)

    def bring_back(self) -> bool:
        """Undo `start_over`, as long as nothing new has been asked."""
        if not self.can_bring_back:
            return False
        for lane in self.lanes:
            lane.restore(self._forgotten.pop(lane.target.slot, ()))
        self._forgotten = {}
        return True

    @property
    def is_running(self) -> bool:
        return any(lane.state.is_running for lane in self.lanes)

    @property
    def turn_number(self) -> int:
        return max((len(lane.turns) for lane in self.lanes), default=0)

    def tally(self) -> Tally:
        states = [lane.state for lane in self.lanes]
        now_ns = self._clock.monotonic_ns()
        numbers = [turn.numbers(now_ns) for lane in self.lanes for turn in lane.turns if turn.state.is_final]
        costs = [one.cost_usd for one in numbers if one.cost_usd is not None]
        return Tally(
            total=len(states),
            running=sum(state.is_running for state in states),
            done=sum(state.is_success for state in states),
            failed=sum(
                state.is_final and not state.is_success and state is not LaneState.CANCELLED for state in states
            ),
            stopped=states.count(LaneState.CANCELLED),
            cost_usd=sum(costs) if costs else None,
            cost_is_partial=len(costs) < len(numbers),
        )

    def _sample(self, lane: Lane) -> int:
        """How many equal targets stand before this one: they are samples of one question, not one shared answer."""
        asked = (lane.target.model, lane.target.params)
        before = self.lanes[: self.lanes.index(lane)]
        return sum((other.target.model, other.target.params) == asked for other in before)

    # One lane's request

    def _start(self, lane: Lane) -> None:
        turn = lane.turns[-1]
        turn.round = self._round
        if self._early is None:
            self._run_in_task(lane, turn)
        else:
            self._early.append((lane, turn))
        if self.on_activity is not None:
            self.on_activity()

    def _run_in_task(self, lane: Lane, turn: Turn) -> None:
        task = self._group.create_task(self._run(lane, turn), name=f"lane {lane.target.slot} {lane.target.name}")
        self._running[id(lane)] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, lane: Lane, turn: Turn) -> None:
        try:
            engine = await self._connect()
            if (spending := self.spending) is None:
                await self._stream(engine, lane, turn)
            else:
                room = await spending.room(lane, turn)
                try:
                    await self._stream(engine, lane, turn)
                finally:
                    spending.settle(room, turn)
            if not turn.state.is_final:
                lane.apply(turn, self._failure(lane, turn, Unexpected("The answer ended without saying how.")))
        except asyncio.CancelledError:
            lane.stop(self._clock.monotonic_ns(), turn)
            raise
        except Exception as error:  # the boundary of a task: one lane's fault must not end the others
            lane.apply(turn, self._failure(lane, turn, error))
        finally:
            if self._running.get(id(lane)) is asyncio.current_task():
                del self._running[id(lane)]
            if self.on_ended is not None:
                self.on_ended(lane, turn, turn.result or self._partial(lane, turn, FinishReason.CANCELLED))

    async def _stream(self, engine: Streams, lane: Lane, turn: Turn) -> None:
        async with aclosing(engine.stream(turn.request)) as events:
            async for event in events:
                lane.apply(turn, event)

    def _failure(self, lane: Lane, turn: Turn, error: Exception) -> Failed:
        now_ns = self._clock.monotonic_ns()
        known = error if isinstance(error, WorkbenchError) else Unexpected.wrap(error)
        return Failed(now_ns, known, self._partial(lane, turn, FinishReason.INCOMPLETE))

    def _partial(self, lane: Lane, turn: Turn, finish_reason: FinishReason) -> Result:
        """What has arrived of an answer whose engine could not say so itself."""
        return Result(
            text=turn.text(),
            reasoning=turn.text(Channel.REASONING),
            finish_reason=finish_reason,
            usage=None,
            cost_usd=None,
            timing=Timing(turn.meter.submitted_ns, done_ns=self._clock.monotonic_ns()),
            route=Route(lane.target.model, "", lane.target.model, ""),
        )
