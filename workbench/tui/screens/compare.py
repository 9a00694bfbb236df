"""The Compare screen: one prompt, many models, side by side.

Thin: it maps keys and messages to the comparison, the deck and the editor, and keeps the bars current. What runs
belongs to the comparison; what is drawn belongs to the panes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Input, Static, TextArea

from workbench.session import export
from workbench.session.draft import Draft
from workbench.session.lane import Lane
from workbench.session.remedies import Action
from workbench.tui.arrangement import PaneLayout
from workbench.tui.desk import Desk
from workbench.tui.screens.answers import AnswersScreen
from workbench.tui.screens.area import BAR_PERIOD_S
from workbench.tui.turn_cursor import TurnCursor
from workbench.tui.widgets.find_bar import FindBar
from workbench.tui.widgets.key_bar import KeyBar
from workbench.tui.widgets.line_up_strip import LineUpStrip
from workbench.tui.widgets.pane_deck import PaneDeck
from workbench.tui.widgets.prompt_editor import PromptArea, PromptEditor, SendKey
from workbench.tui.widgets.results_table import results
from workbench.tui.widgets.start_panel import Beginning, StartPanel

if TYPE_CHECKING:
    from workbench.tui.widgets.lane_pane import LanePane

DEMO_PROMPT = "Write a Python function that merges overlapping intervals."

STOP_ARMED_S = 2.0


class CompareScreen(AnswersScreen):
    AUTO_FOCUS = "#prompt"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+r,ctrl+enter", "run", "Run", id="compare.run", key_display="^r", tooltip="Ask every model"),
        Binding("f8", "stop_all", "Stop", id="compare.stop-all", tooltip="Stop every answer; what has arrived stays"),
        Binding("X", "stop_all", "Stop all", id="compare.stop-all-letter", show=False),
        Binding("R", "retry_failed", "Retry failed", id="compare.retry-failed", tooltip="Ask again where it failed"),
        Binding("f2", "models", "Models", id="compare.models", tooltip="Choose models and line-ups"),
        Binding("B,ctrl+b", "batch", "Batch", id="compare.batch", show=False, tooltip="Submit this as a batch"),
        Binding("ctrl+n", "start_over", "New", id="compare.start-over", tooltip="Start a new conversation"),
        Binding("u", "bring_back", "Undo new", id="compare.bring-back", tooltip="Back to the conversation before"),
        Binding("ctrl+g", "next_layout", "Layout", id="compare.layout", tooltip="Auto, columns, grid, stack, single"),
        Binding("ctrl+f", "find", "Find", id="compare.find", tooltip="Search all answers"),
        Binding("n", "find_next(1)", "Next match", id="compare.find-next", show=False),
        Binding("N", "find_next(-1)", "Previous match", id="compare.find-previous", show=False),
        Binding("f4", "edit_prompt", "Editor", id="compare.editor", show=False, tooltip="Write in your $EDITOR"),
        Binding("ctrl+l,i", "focus_prompt", "Prompt", id="compare.prompt", show=False, tooltip="To the prompt"),
        Binding("h,left", "step_pane(-1)", "Previous pane", id="compare.previous-pane", show=False),
        Binding("l,right", "step_pane(1)", "Next pane", id="compare.next-pane", show=False),
        Binding("[", "step_turn(-1)", "Earlier turn", id="compare.earlier-turn", show=False),
        Binding("]", "step_turn(1)", "Later turn", id="compare.later-turn", show=False),
        Binding("escape", "walk_out", "Back", id="compare.escape", show=False),
        *(
            Binding(str(n), f"focus_lane({n - 1})", f"Pane {n}", id=f"compare.pane-{n}", show=False)
            for n in range(1, 10)
        ),
    ]

    def __init__(self, desk: Desk, send_key: SendKey = "auto") -> None:
        super().__init__(desk, id="compare")
        self.comparison = desk.comparison
        self.strip = LineUpStrip()
        self.deck = PaneDeck(frames=desk.frames, clock=desk.clock, glyphs=desk.glyphs)
        self.start_panel = StartPanel(desk.glyphs)
        self.find_bar = FindBar()
        self.editor = PromptEditor(desk.glyphs, send_key)
        self._turn = TurnCursor(self.comparison)
        self._stop_armed_ns = 0
        self._tally = self.comparison.tally()

    def compose(self) -> ComposeResult:
        # Before there are children: every change of a class later styles all of them again.
        self.fit_first_frame()
        self.set_class(not self.comparison.lanes, "-no-models")
        yield self.app_bar
        yield self.strip
        with Container(id="body"):
            yield self.editor
            with Container(id="answers"):
                yield self.deck
                # The start panel and the search line are mounted when they are needed.
                if not self.comparison.lanes:
                    yield self.start_panel
        yield self.status
        yield KeyBar(self.desk.glyphs)
        yield Static("The terminal is too small: 40 by 12 cells at least.", id="too-small", markup=False)

    async def on_mount(self) -> None:
        self.editor.prompt_area.earlier = lambda: self.desk.memory.history
        self.editor.load(self.desk.memory.draft)
        if (layout := self.desk.memory.layout) in set(PaneLayout):
            self.deck.pane_layout = PaneLayout(layout)
        self.comparison.on_activity = self._activity
        await self.show_line_up()
        self._offer_beginnings()
        self.set_interval(BAR_PERIOD_S, self.refresh_bars, name="bars")
        self.app.mode_change_signal.subscribe(self, self._area_changed)

    def _offer_beginnings(self) -> None:
        if not self.comparison.lanes and self.editor.draft.is_empty:
            self.start_panel.focus()

    # What is on screen

    async def show_line_up(self) -> None:
        """The comparison's lanes have changed: panes, strip and estimate follow."""
        lanes = self.comparison.lanes
        had_models = not self.has_class("-no-models")
        self.set_class(not lanes, "-no-models")
        self.editor.show_answers(bool(lanes))
        if not lanes and not self.start_panel.is_attached:
            await self.query_one("#answers").mount(self.start_panel)
        if had_models:
            self._offer_beginnings()
        await self.deck.show_lanes(lanes)
        for pane in self.deck.panes:
            pane.ready_text = self.desk.engine.describe(pane.lane.target.model, self.desk.glyphs.dot)
        self.refresh_bars()

    def show_estimate(self) -> None:
        """What sending the draft would take and cost; while nothing is written, how the answers compare."""
        draft, summary = self.editor.draft, ""
        if draft.is_empty:
            rows = results(self.comparison, self._turn.index, self.desk.clock.monotonic_ns(), self.desk.glyphs)
        else:
            # With the first letter typed, not with the first paint: prices and what stands behind them take 10 ms.
            from workbench.tui.widgets.preflight_table import preflight

            summary, rows = preflight(self.comparison, draft, self.desk.engine.directory)
        self.editor.show_table(summary, rows)

    def refresh_bars(self) -> None:
        """Everything that changes while models answer, at 4 Hz; unchanged bars are not drawn again."""
        # What models cost goes on being watched while another area is looked at.
        self.app.spend_cap.look()
        if not self.is_in_front:
            return
        desk, comparison = self.desk, self.comparison
        now_ns = desk.clock.monotonic_ns()
        self.refresh_chrome(question=self._turn.question, turn=self._turn.index + 1, turns=comparison.turn_number)
        self.strip.show_lanes(comparison.lanes, self.deck.arrangement, now_ns, desk.glyphs)
        if self.desk.engine.directory is not None:
            self.show_estimate()
        if (tally := comparison.tally()) != self._tally:
            self._tally = tally
            self.refresh_bindings()

    def _area_changed(self, mode: str) -> None:
        """Panes that nobody can see are not drawn; what they missed they draw when they are seen again."""
        self.deck.set_away(not self.is_in_front)
        self.refresh_bars()

    def _activity(self) -> None:
        self.desk.frames.wake()
        self.refresh_bars()

    @on(StartPanel.Chosen)
    def _begin(self, event: StartPanel.Chosen) -> None:
        match event.beginning:
            case Beginning.DEMO:
                self.app.choices.start_demo(Draft(DEMO_PROMPT))
            case Beginning.FOUND:
                self.app.choices.use_what_was_found()
            case Beginning.KEY:
                self.app.choices.paste_key()
            case Beginning.FILE:
                self.app.errands.open_file()

    @on(PaneDeck.Rearranged)
    def _rearranged(self) -> None:
        self.refresh_bars()

    # Asking

    @on(PromptArea.Submitted)
    def _submitted(self) -> None:
        if not self.editor.draft.is_empty:
            self.action_run()

    @on(PromptEditor.Changed)
    def _draft_changed(self, event: PromptEditor.Changed) -> None:
        self.desk.autosave.keep(event.draft)
        self.show_estimate()

    def action_run(self) -> None:
        draft = self.editor.draft
        if not self.comparison.lanes:
            self._ask_the_demo(draft)
        elif self.comparison.is_running:
            self.status.flash("Still answering. F8 stops, then send again.")
        elif not draft.is_empty:
            self._send(draft)
        elif not self._ask_again(self.comparison.lanes):
            self.status.flash("Write a prompt first.")

    def _ask_the_demo(self, draft: Draft) -> None:
        """Nobody has been chosen: what was written still gets an answer."""
        if draft.is_empty:
            self.status.flash("Write a prompt, or choose models with F2.")
        else:
            self.app.choices.start_demo(draft)
            self.editor.clear_prompt()

    def _send(self, draft: Draft) -> None:
        self._follow_latest()
        self.comparison.send(draft)
        self.editor.clear_prompt()
        self.app.choices.remember_sent(draft)

    def action_batch(self) -> None:
        """What is written, or else what was asked last, for all rows of a file and every model."""
        draft, before = self.editor.draft, self._turn.index + 1
        if draft.is_empty and (asked := self._turn.question):
            draft, before = replace(draft, prompt=asked), before - 1
        note = "It is asked alone, without the conversation before it." if before > 0 else ""
        self.app.batches.propose(draft, tuple(self.comparison.line_up), note)

    def action_stop_all(self) -> None:
        stopped = self.comparison.stop_all()
        self.status.flash(f"Stopped {stopped}." if stopped else "Nothing is running.")
        self.refresh_bars()

    def action_retry_failed(self) -> None:
        self._follow_latest()
        self.app.choices.try_keys_again(self.comparison.lanes)
        self.comparison.retry_failed()

    def action_start_over(self) -> None:
        self._follow_latest()
        if self.comparison.start_over():
            self.status.flash("New conversation. u in the answers, or the palette, brings the last one back.")
        self._touch_panes()
        self.action_focus_prompt()

    def action_bring_back(self) -> None:
        if not self.comparison.bring_back():
            self.status.flash("There is no earlier conversation to go back to.")
        self._touch_panes()

    def action_copy_comparison(self) -> None:
        self.app.errands.copy_text(export.comparison(self.comparison.lanes), "comparison")

    def on_lane_pane_fix_chosen(self, event: LanePane.FixChosen) -> None:
        lane, remedy = event.pane.lane, event.remedy
        if remedy.params is not None:
            self.app.choices.change_line_up(self.comparison.line_up.update(lane.target.slot, params=remedy.params))
        match remedy.action:
            case Action.RETRY | Action.RAISE_MAX_TOKENS | Action.DROP_PARAMETER:
                self.repeat_lane(lane)
            case Action.CHOOSE_MODEL:
                self.action_models()
            case Action.ADD_KEY:
                self.app.choices.paste_key(lane.target.model)
            case Action.START_OVER:
                self.action_start_over()
            case Action.DEMO:
                self.app.choices.start_demo()

    def stop_lane(self, lane: Lane) -> None:
        if not self.comparison.stop(lane):
            self.status.flash(f"{lane.target.name} is not answering.")
        self.refresh_bars()

    def edit_lane(self, lane: Lane) -> None:
        self.app.choices.edit_target(lane.target)

    def repeat_lane(self, lane: Lane) -> None:
        self._follow_latest()
        if lane.state.is_running:
            self.status.flash(f"{lane.target.name} is still answering: x stops it.")
        elif not self._ask_again([lane]):
            self.status.flash("Nothing has been asked yet.")

    def _ask_again(self, lanes: Sequence[Lane]) -> list[Lane]:
        self.app.choices.try_keys_again(lanes)
        return self.comparison.repeat(lanes)

    # Moving about

    def action_focus_prompt(self) -> None:
        self.editor.prompt_area.focus()

    def action_focus_system(self) -> None:
        # It may be hidden to save a row, and a hidden widget takes no focus.
        self.editor.system_area.add_class("-in-use")
        self.editor.system_area.focus()

    def action_next_layout(self) -> None:
        super().action_next_layout()
        self.desk.memory.remember_looks(layout=self.deck.pane_layout)

    def action_step_turn(self, step: int) -> None:
        if self._turn.step(step):
            self.deck.show_turn(self._turn.earlier)
            self.refresh_bars()

    def _follow_latest(self) -> None:
        if self._turn.follow():
            self.deck.show_turn(None)

    def _touch_panes(self) -> None:
        self.deck.touch()
        self.refresh_bars()

    def action_walk_out(self) -> None:
        """Esc, one step at a time: the zoom, then the prompt, then (armed first) the focused answer."""
        pane = self.deck.focused_pane
        if pane is None:
            if self.deck.panes:
                self.deck.focus_pane(self.deck.current)
            else:
                self.start_panel.focus()
        elif self.deck.zoomed:
            self.deck.toggle_zoom()
        elif pane.lane.state.is_running:
            now_ns = self.desk.clock.monotonic_ns()
            if now_ns < self._stop_armed_ns:
                self._stop_armed_ns = 0
                self.stop_lane(pane.lane)
            else:
                self._stop_armed_ns = now_ns + int(STOP_ARMED_S * 1e9)
                self.status.flash(f"Esc again stops {pane.lane.target.name}.")

    def on_key(self, event: events.Key) -> None:
        """On the start panel whatever is typed is the beginning of a prompt: nothing swallows it."""
        if self.start_panel.has_focus_within and event.is_printable and event.character:
            event.stop()
            event.prevent_default()
            self.editor.insert_typed(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """Text pasted where nothing takes text is meant for the prompt."""
        if not isinstance(self.focused, TextArea | Input):
            event.stop()
            self.editor.insert_typed(event.text)

    # Searching

    async def action_find(self) -> None:
        if not self.find_bar.is_attached:
            await self.query_one("#answers").mount(self.find_bar)
        self.find_bar.open()

    @on(FindBar.Searched)
    def _searched(self, event: FindBar.Searched) -> None:
        self.find_bar.show_count(self.deck.find(event.query, then_go=event.done), event.query)

    @on(FindBar.Closed)
    def _find_closed(self) -> None:
        self.deck.find("")
        self.deck.focus_pane(self.deck.current)

    def action_find_next(self, step: int) -> None:
        which, count = self.deck.find_next(step)
        self.status.flash(f"{which} of {count}" if count else "Nothing to find here: ctrl+f searches.")

    # Other screens

    def action_models(self) -> None:
        self.app.choices.choose_models()

    def action_edit_prompt(self) -> None:
        self.app.errands.edit_prompt(self.editor)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing now are not offered."""
        match action:
            case "stop_all":
                return self.comparison.is_running
            case "retry_failed":
                return any(lane.state.wants_retry for lane in self.comparison.lanes)
            case "bring_back":
                return self.comparison.can_bring_back
            case "batch":
                return bool(self.comparison.lanes) and self.app.has_area("batches")
            case "next_layout" | "find":
                return bool(self.comparison.lanes)
            case _:
                return True
