"""Set a lane's limits by hand: how many calls in flight, how many requests and tokens a minute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from workbench.engine.limiter_stats import LaneStats
from workbench.session.monitor_limits import LimitChange, changes, limit_lines
from workbench.tui.screens.fields_dialog import Field, FieldsDialog


class LimitsDialog(FieldsDialog[Sequence[LimitChange]]):
    """Dismissed with what was changed, or None."""

    HELP = """
    # A lane's limits

    What stands in a line holds from now on, whatever the provider says or refuses; it is written into the lane's
    history as done by hand. An empty line leaves its limit to itself: calls in flight adapt again, and requests and
    tokens a minute go back to what the provider states or to what was learned from its refusals.

    Numbers may be short: `30k`, `2M`. Calls that are in flight are never stopped by a smaller limit.
    """

    def __init__(self, lane: LaneStats, apply: Callable[[Sequence[LimitChange]], None]) -> None:
        """`apply` does it, or raises UsageError, which is shown."""
        self._lines = limit_lines(lane)
        self._apply = apply
        super().__init__(
            f"Limits of {lane.name}",
            [Field(line.name, line.value, line.expected) for line in self._lines],
            hint="enter sets them · an empty line adapts by itself · esc leaves them",
        )

    def accept(self, written: Mapping[str, str]) -> Sequence[LimitChange]:
        found = changes(self._lines, written)
        self._apply(found)
        return found
