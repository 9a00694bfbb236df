"""A comparison's line to the history: what was asked together is one run, however and whenever its answers end."""

from __future__ import annotations

from collections import OrderedDict

from workbench.core.types import Result
from workbench.session.lane import Lane, Turn
from workbench.session.recorder import Recorder

_REMEMBERED = 64
"""Rounds whose run is known. A lane that was stopped ends in the next turn of the loop, so few would do."""


class Chronicle:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._runs: OrderedDict[int, str | None] = OrderedDict()

    def note(self, lane: Lane, turn: Turn, result: Result) -> None:
        """For `Comparison.on_ended`."""
        if turn.round not in self._runs:
            self._runs[turn.round] = self._recorder.open_run(turn.request.messages, turn.request.params)
            while len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)
        self._recorder.add(self._runs[turn.round], lane.target.slot, turn.request, result, turn.error)
