"""Answers in panes: moving among them and taking them out is the same wherever they come from.

What stops an answer, asks for it again or changes what is asked is up to the screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.session import export
from workbench.tui.screens.area import AreaScreen

if TYPE_CHECKING:
    from workbench.session.lane import Lane
    from workbench.tui.widgets.lane_pane import LanePane
    from workbench.tui.widgets.pane_deck import PaneDeck
    from workbench.tui.widgets.stream_view import StreamView


class AnswersScreen(AreaScreen):
    """A screen with a deck. Panes send their wishes here."""

    deck: PaneDeck

    def stop_lane(self, lane: Lane) -> None:
        raise NotImplementedError

    def repeat_lane(self, lane: Lane) -> None:
        raise NotImplementedError

    def edit_lane(self, lane: Lane) -> None:
        raise NotImplementedError

    # What panes say is handled by name, since the first paint does without their module.

    def on_lane_pane_asked(self, event: LanePane.Asked) -> None:
        lane, turn = event.pane.lane, event.pane.turn
        match event.what:
            case "stop":
                self.stop_lane(lane)
            case "retry":
                self.repeat_lane(lane)
            case "edit":
                self.edit_lane(lane)
            case "copy":
                self.app.errands.copy_text(turn.text() if turn is not None else "", f"answer of {lane.target.name}")
            case "copy-conversation":
                self.app.errands.copy_text(export.conversation(lane) if lane.turns else "", "conversation")

    def on_stream_view_copy_requested(self, event: StreamView.CopyRequested) -> None:
        self.app.errands.copy_text(event.text, event.what)

    def action_focus_lane(self, index: int) -> None:
        if index < len(self.deck.panes):
            self.deck.focus_pane(index)

    def action_step_pane(self, step: int) -> None:
        self.deck.focus_pane(self.deck.current + step)

    def action_next_layout(self) -> None:
        self.deck.set_layout(self.deck.pane_layout.next)
        self.status.flash(f"Layout: {self.deck.pane_layout}")

    def action_zoom(self) -> None:
        self.deck.toggle_zoom()

    def action_pager(self) -> None:
        pane = self.deck.current_pane
        if pane is not None and pane.turn is not None:
            self.app.errands.show_in_pager(pane.turn.text())
