"""A comparison's line to the history: what was asked together is one run, however and whenever its answers end.

Where a lane has been asked more than once, its conversation is kept as well, each answer in it being one of a run.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import takewhile

from workbench.core.types import Message, Result, Role
from workbench.session.lane import Lane, Turn
from workbench.session.recorder import Recorder

_REMEMBERED = 64
"""Rounds whose run is known. A lane that was stopped ends in the next turn of the loop, so few would do."""


@dataclass(slots=True)
class _Line:
    """One lane's conversation, from its first turn on."""

    first: Turn
    id: str | None = None
    """None until it is kept."""
    answers: dict[int, str | None] = field(default_factory=dict)
    """Ids of answers by the identity of their turn, which the lane holds."""


class Chronicle:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._runs: OrderedDict[int, str | None] = OrderedDict()
        self._lines: dict[int, _Line] = {}
        """By the lane's slot."""

    def note(self, lane: Lane, turn: Turn, result: Result) -> None:
        """For `Comparison.on_ended`."""
        if turn.round not in self._runs:
            self._runs[turn.round] = self._recorder.open_run(turn.request.messages, turn.request.params)
            while len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)
        answer_id = self._recorder.add(self._runs[turn.round], lane.target.slot, turn.request, result, turn.error)
        if any(kept is turn for kept in lane.turns):
            self._go_on(lane, turn, result, answer_id)

    def _go_on(self, lane: Lane, turn: Turn, result: Result, answer_id: str | None) -> None:
        line = self._lines.get(lane.target.slot)
        if line is None or line.first is not lane.turns[0]:
            line = self._lines[lane.target.slot] = _Line(lane.turns[0])
        line.answers[id(turn)] = answer_id
        asked = turn.request.messages
        if sum(message.role is Role.USER for message in asked) < 2:
            return
        # The answers that were sent along are those of earlier turns that have any text, in their order.
        before = takewhile(lambda kept: kept is not turn, lane.turns)
        earlier = iter([line.answers.get(id(kept)) for kept in before if kept.has_text])
        ids = [next(earlier, None) if message.role is Role.ASSISTANT else None for message in asked]
        said = (*asked, Message.assistant(result.text))
        line.id = self._recorder.keep_conversation(
            said, lane.target.model, answer_ids=(*ids, answer_id), conversation_id=line.id
        )
