"""All panes of a comparison: arranges those that fit, keeps the others alive and undrawn.

The deck decides nothing about running; it maps lanes to panes, moves its window to the pane that has the focus, and
gives the frame clock exactly the panes that are on screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from textual import events
from textual.containers import Container
from textual.message import Message

from workbench.core.clock import Clock
from workbench.session.lane import Lane
from workbench.session.targets import titles
from workbench.tui.arrangement import Arrangement, PaneLayout, arrange
from workbench.tui.frame import FIRST_FRAME_S, FrameClock
from workbench.tui.glyphs import Glyphs

if TYPE_CHECKING:
    from workbench.tui.widgets.lane_pane import LanePane

PANES = "workbench.tui.widgets.lane_pane"
"""Panes bring the reader of Markdown with them, a tenth of the time to the first paint, which mostly shows none."""


class PaneDeck(Container):
    DEFAULT_CSS = """
    PaneDeck { layout: grid; width: 1fr; height: 1fr; }
    PaneDeck LanePane { display: none; }
    PaneDeck LanePane.-on-screen { display: block; }
    """

    @dataclass
    class Rearranged(Message):
        """Other panes are on screen now, or in another grid."""

        arrangement: Arrangement

    def __init__(self, *, frames: FrameClock, clock: Clock, glyphs: Glyphs) -> None:
        super().__init__(id="deck")
        self.panes: list[LanePane] = []
        self.pane_layout = PaneLayout.AUTO
        self.zoomed = False
        self.arrangement = Arrangement()
        self.current = 0
        """Index of the pane that has, or last had, the focus."""
        self._frames = frames
        self._clock = clock
        self._glyphs = glyphs
        self._away = False

    def on_mount(self) -> None:
        self.call_after_refresh(self.set_timer, FIRST_FRAME_S, self._import_panes)

    def _import_panes(self) -> None:
        self.run_worker(partial(import_module, PANES), thread=True, name="import panes")

    async def show_lanes(self, lanes: Sequence[Lane]) -> None:
        """A pane per lane, in this order; panes of lanes that stay are kept with all that they show."""
        known = {id(pane.lane): pane for pane in self.panes}
        focused = self.panes[self.current].lane if self.current < len(self.panes) else None
        panes = []
        for lane in lanes:
            pane = known.pop(id(lane), None)
            panes.append(pane or self._pane(lane))
        new = [pane for pane in panes if not pane.is_attached]
        self.panes = panes
        for pane in known.values():
            self._frames.remove(pane)
            await pane.remove()
        await self.mount_all(new)
        for index, pane in enumerate(panes[1:], 1):
            if self.children[index] is not pane:
                self.move_child(pane, after=panes[index - 1])
        for number, (pane, heading) in enumerate(zip(panes, titles([lane.target for lane in lanes]), strict=True), 1):
            pane.number, pane.heading = number, heading
            pane.touch()
        self.current = next((index for index, lane in enumerate(lanes) if lane is focused), 0)
        if len(panes) < 2:
            self.zoomed = False
        self.rearrange()

    def _pane(self, lane: Lane) -> LanePane:
        from workbench.tui.widgets.lane_pane import LanePane

        return LanePane(lane, clock=self._clock, glyphs=self._glyphs)

    @property
    def focused_pane(self) -> LanePane | None:
        """The pane that has the focus at this moment."""
        return next((pane for pane in self.panes if pane.has_focus_within), None)

    @property
    def current_pane(self) -> LanePane | None:
        """The focused pane, or the one that was focused last."""
        return self.panes[self.current] if self.current < len(self.panes) else None

    def focus_pane(self, index: int) -> None:
        """Bring a pane on screen and give it the focus; indexes beyond the ends stop there."""
        if not self.panes:
            return
        self.current = max(0, min(len(self.panes) - 1, index))
        self.rearrange()
        self.panes[self.current].key_target().focus(scroll_visible=False)

    def set_layout(self, layout: PaneLayout) -> None:
        self.pane_layout = layout
        self.zoomed = False
        self.rearrange()

    def toggle_zoom(self) -> None:
        self.zoomed = not self.zoomed and len(self.panes) > 1
        self.rearrange()

    def set_away(self, away: bool) -> None:
        """Whether the deck as a whole is out of sight: then its panes take text and draw none of it."""
        self._away = away
        self.rearrange()

    def find(self, query: str, *, then_go: bool = False) -> int:
        """How often it occurs in all answers. `then_go`: to the current pane if it does there, else to another."""
        found = [pane.view.find(query) for pane in self.panes]
        if then_go and any(found):
            hits = [index for index, count in enumerate(found) if count]
            self.focus_pane(self.current if self.current in hits else hits[0])
        return sum(found)

    def find_next(self, step: int) -> tuple[int, int]:
        """Which occurrence of how many the current pane has gone to, from 1; (0, 0) where there is none."""
        if (pane := self.current_pane) is None:
            return 0, 0
        return pane.view.find_next(step)

    def show_turn(self, index: int | None) -> None:
        """In every pane; None follows the latest."""
        for pane in self.panes:
            pane.show_turn(-1 if index is None else index)

    def touch(self) -> None:
        """Draw everything anew with the next frame."""
        for pane in self.panes:
            pane.touch()

    def rearrange(self) -> None:
        """Fit the panes into the space there is."""
        width, height = self.size
        if width == 0 or height == 0:
            return
        arrangement = arrange(
            self.pane_layout,
            width=width,
            height=height,
            total=len(self.panes),
            focused=self.current,
            first=self.arrangement.first,
            zoomed=self.zoomed,
        )
        self.styles.grid_size_columns = arrangement.columns
        self.styles.grid_size_rows = arrangement.rows
        for index, pane in enumerate(self.panes):
            visible = arrangement.shows(index)
            pane.set_class(visible, "-on-screen")
            if visible and not self._away:
                self._frames.add(pane)
            else:
                self._frames.remove(pane)
        if arrangement != self.arrangement:
            self.arrangement = arrangement
            self.post_message(self.Rearranged(arrangement))

    def on_resize(self) -> None:
        self.rearrange()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        for index, pane in enumerate(self.panes):
            if pane in event.widget.ancestors_with_self and index != self.current:
                self.current = index
                self.rearrange()
