"""A lane: one target, its conversation, and the answer that is being written.

A lane is filled by events and read by whoever draws it. Nothing is pushed: a reader keeps its own position in
`Turn.pieces` and compares `Lane.revision`, so a lane that nobody looks at costs the append of one tuple per event.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from workbench.core.errors import WorkbenchError
from workbench.core.events import Admitted, Delta, Failed, Finished, Queued, Retrying, StreamEvent
from workbench.core.sending import Stage
from workbench.core.types import STALL_S, CacheMode, Channel, Message, Request, Result
from workbench.session.lane_state import LaneState, state_after
from workbench.session.numbers import Meter, Numbers, TokenHabits
from workbench.session.targets import Target


@dataclass(frozen=True, slots=True)
class Stall:
    position: int
    """Index of the piece that came after it."""
    seconds: float


@dataclass(slots=True)
class Turn:
    """One question to one target and what came back, as it comes."""

    prompt: str
    request: Request
    meter: Meter
    state: LaneState = LaneState.QUEUED
    pieces: list[tuple[Channel, str]] = field(default_factory=list)
    """Every delta in order. Only appended to: a reader's position in it stays valid."""
    stalls: list[Stall] = field(default_factory=list)
    """Pauses of a second or more, in order."""
    waiting: Queued | Retrying | None = None
    """Why it is not on the wire; None once it is."""
    admitted: Admitted | None = None
    """When and whereto it was let go the last time."""
    result: Result | None = None
    error: WorkbenchError | None = None
    round: int = 0
    """Turns that were asked together, of several lanes, have the same number."""

    def apply(self, event: StreamEvent) -> None:
        self.state = state_after(self.state, event)
        match event:
            case Delta(at_ns=at_ns, channel=channel, text=text):
                pause_s = self.meter.since_last_token_s(at_ns)
                if pause_s is not None and pause_s >= STALL_S:
                    self.stalls.append(Stall(len(self.pieces), pause_s))
                self.pieces.append((channel, text))
            case Queued() | Retrying():
                self.waiting = event
            case Admitted():
                self.admitted = event
            case Finished(result=result):
                self.result = result
            case Failed(error=error, partial=partial):
                self.error = error
                self.result = partial
            case _:
                pass
        self.meter.observe(event)
        if self.state is not LaneState.QUEUED:
            self.waiting = None

    def stop(self, at_ns: int) -> None:
        """A person stopped it: what has arrived stays."""
        if self.state.is_final:
            return
        self.state = LaneState.CANCELLED
        self.waiting = None
        self.meter.stop(at_ns)

    def text(self, channel: Channel = Channel.TEXT) -> str:
        """What has arrived so far on one channel."""
        return "".join(text for piece_channel, text in self.pieces if piece_channel is channel)

    @property
    def is_sent(self) -> bool:
        """The whole request is out: what is waited for from here on is the model, as far as anybody tells."""
        sending = None if self.admitted is None else self.admitted.sending
        return sending is not None and sending.stage is Stage.WRITTEN

    @property
    def has_text(self) -> bool:
        return any(channel is Channel.TEXT for channel, _ in self.pieces)

    def numbers(self, now_ns: int) -> Numbers:
        return self.meter.numbers(now_ns)


class Lane:
    """A target with its conversation. One request at a time."""

    def __init__(self, target: Target, habits: TokenHabits | None = None) -> None:
        self.target = target
        self.turns: list[Turn] = []
        self.revision = 0
        """Grows with every change; a reader that has seen this number has seen everything."""
        self._habits = habits or TokenHabits()

    @property
    def turn(self) -> Turn | None:
        return self.turns[-1] if self.turns else None

    @property
    def state(self) -> LaneState:
        return self.turns[-1].state if self.turns else LaneState.READY

    def begin(self, prompt: str, system: str, at_ns: int, *, sample: int = 0) -> Turn:
        """Ask the next question of this conversation."""
        if self.state.is_running:
            raise RuntimeError(f"{self.target.name} is still answering")
        request = Request(
            self.target.model,
            (*self.conversation(system), Message.user(prompt)),
            self.target.params,
            sample=sample,
        )
        return self._open(Turn(prompt, request, self._meter(at_ns)))

    def again(self, at_ns: int) -> Turn:
        """Ask the last question once more, with the parameters as they are now; the earlier answer is dropped.

        An answer that was complete would come out of the cache again, so it is asked for afresh.
        """
        if not self.turns or self.state.is_running:
            raise RuntimeError(f"{self.target.name} has nothing to repeat")
        last = self.turns.pop()
        cache = CacheMode.REFRESH if last.state.is_success else CacheMode.USE
        request = replace(last.request, model=self.target.model, params=self.target.params, cache=cache)
        return self._open(Turn(last.prompt, request, self._meter(at_ns)))

    def apply(self, turn: Turn, event: StreamEvent) -> None:
        """Fold in one event. A turn that has been stopped or replaced takes no more."""
        if turn.state.is_final:
            return
        turn.apply(event)
        self.revision += 1
        if isinstance(event, Finished) and not event.result.cached and turn.meter.output_tokens is not None:
            self._habits.learn(self.target.model, turn.meter.output_tokens, turn.meter.events)

    def stop(self, at_ns: int, turn: Turn | None = None) -> None:
        """End a turn, the last one unless told otherwise, where it is."""
        ending = turn or self.turn
        if ending is not None:
            ending.stop(at_ns)
            self.revision += 1

    def forget(self) -> tuple[Turn, ...]:
        """Start a new conversation; returns the old one for `restore`."""
        old = tuple(self.turns)
        self.turns.clear()
        self.revision += 1
        return old

    def restore(self, turns: tuple[Turn, ...]) -> None:
        self.turns[:] = turns
        self.revision += 1

    def retarget(self, target: Target) -> None:
        """Other parameters or another label; the conversation stays, the next question uses them."""
        self.target = target
        self.revision += 1

    def conversation(self, system: str = "") -> tuple[Message, ...]:
        """What the model is told before the next question: the system prompt and every question that got an answer.

        A question without any answer is left out, since a provider takes two questions in a row for one. Reasoning is
        never sent back.
        """
        messages = [Message.system(system)] if system.strip() else []
        for turn in self.turns:
            if turn.has_text:
                messages += [Message.user(turn.prompt), Message.assistant(turn.text())]
        return tuple(messages)

    def _meter(self, at_ns: int) -> Meter:
        return Meter(at_ns, self._habits.per_event(self.target.model))

    def _open(self, turn: Turn) -> Turn:
        self.turns.append(turn)
        self.revision += 1
        return turn
