"""Which turn of a comparison is on screen: the latest, or an earlier one that a person went back to. Draws nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.session.comparison import Comparison


class TurnCursor:
    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self.earlier: int | None = None
        """The turn that was gone back to, from 0; None follows the latest."""

    @property
    def index(self) -> int:
        """From 0; -1 before the first."""
        return self._comparison.turn_number - 1 if self.earlier is None else self.earlier

    @property
    def question(self) -> str:
        """What was asked in it; empty before the first."""
        lanes = self._comparison.lanes
        return next((lane.turns[self.index].prompt for lane in lanes if 0 <= self.index < len(lane.turns)), "")

    def step(self, by: int) -> bool:
        """Earlier or later, as far as there are turns; False where there are none."""
        turns = self._comparison.turn_number
        if not turns:
            return False
        index = max(0, min(turns - 1, self.index + by))
        self.earlier = None if index == turns - 1 else index
        return True

    def follow(self) -> bool:
        """Back to the latest; False if it was on screen."""
        went, self.earlier = self.earlier is not None, None
        return went
