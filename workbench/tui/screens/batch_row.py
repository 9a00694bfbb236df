"""One row of a batch: what every model of the same submission made of it, side by side in panes.

The panes are those of Compare and the answers are lanes like any others, so a row that failed can be asked again live,
and the whole can be taken to Compare and gone on with. What is asked here changes nothing in the job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from workbench.core.errors import WorkbenchError
from workbench.core.text import strip_control
from workbench.jobs.job import Job, JobRow
from workbench.session import job_words
from workbench.session.comparison import Comparison
from workbench.session.job_lanes import fill, line_up_of, question
from workbench.session.lane import Lane
from workbench.session.remedies import Action
from workbench.session.targets import LineUp
from workbench.tui.aside import aside
from workbench.tui.desk import Desk
from workbench.tui.screens.answers import AnswersScreen
from workbench.tui.screens.area import BAR_PERIOD_S
from workbench.tui.widgets.key_bar import KeyBar
from workbench.tui.widgets.line_up_strip import LineUpStrip
from workbench.tui.widgets.pane_deck import PaneDeck

if TYPE_CHECKING:
    from workbench.tui.widgets.lane_pane import LanePane

_QUESTION = 2_000
"""Characters of the prompt that stand above the answers."""


class BatchRowScreen(AnswersScreen):
    HELP = """
    # One row, every model

    The answers that the models of one submission gave to this row. **[** and **]** go to the row before and after.
    **r** asks a model again, live and at the live price; **C** takes the row to Compare, to go on from there.
    """

    CSS_PATH = "../styles/batches.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "step_row(-1)", "Row before", id="row.before", key_display="[", show=False),
        Binding(
            "right_square_bracket", "step_row(1)", "Next row", id="row.next", key_display="]", tooltip="[ goes back"
        ),
        Binding("C", "to_compare", "To Compare", id="row.compare", tooltip="Go on with this row in Compare"),
        Binding("h,left", "step_pane(-1)", "Previous pane", id="row.previous-pane", show=False),
        Binding("l,right", "step_pane(1)", "Next pane", id="row.next-pane", show=False),
        Binding("ctrl+g", "next_layout", "Layout", id="row.layout", tooltip="Auto, columns, grid, stack, single"),
        Binding("escape,q", "walk_out", "Back", id="row.leave", tooltip="To the rows"),
        *(Binding(str(n), f"focus_lane({n - 1})", f"Pane {n}", id=f"row.pane-{n}", show=False) for n in range(1, 10)),
    ]

    def __init__(self, desk: Desk, jobs: Sequence[Job], index: int) -> None:
        """`jobs` were submitted together: their rows number `index` are the same question."""
        super().__init__(desk, id="batch-row")
        self.comparison = Comparison(desk.engine.host.engine, desk.clock)
        self.deck = PaneDeck(frames=desk.frames, clock=desk.clock, glyphs=desk.glyphs)
        self.strip = LineUpStrip()
        self.index = index
        self._jobs = tuple(jobs)
        self._found: list[tuple[Job, JobRow]] = []
        self._question = Static(id="row-question", markup=False)

    @property
    def is_in_front(self) -> bool:
        return self.app.front is self

    def compose(self) -> ComposeResult:
        yield self.app_bar
        yield self._question
        yield self.strip
        with Container(id="row-answers"):
            yield self.deck
        yield self.status
        yield KeyBar(self.desk.glyphs)
        yield Static("The terminal is too small: 40 by 12 cells at least.", id="too-small", markup=False)

    def on_mount(self) -> None:
        self.comparison.spending = self.app.spend_cap.spending
        self.comparison.on_activity = self.desk.frames.wake
        aside(self, self._serve, group="asking again")
        self._go_to(self.index)
        self.set_interval(BAR_PERIOD_S, self._refresh, name="row")

    def on_unmount(self) -> None:
        for pane in self.deck.panes:
            self.desk.frames.remove(pane)

    async def _serve(self) -> None:
        """Run what is asked again, for as long as this screen is there."""
        async with self.comparison:
            await asyncio.Event().wait()

    def _refresh(self) -> None:
        if self.is_in_front:
            self.refresh_chrome()
            now_ns = self.desk.clock.monotonic_ns()
            self.strip.show_lanes(self.comparison.lanes, self.deck.arrangement, now_ns, self.desk.glyphs)

    # Which row

    def _go_to(self, index: int) -> None:
        aside(self, partial(self._show, index), group="row", exclusive=True)

    async def _show(self, index: int) -> None:
        desk = self.app.batches.desk
        if desk is None:
            return
        found = []
        try:
            for job in self._jobs:
                found += [(job, row) for row in await desk.rows(job.id, offset=index, limit=1)]
        except WorkbenchError as error:
            self.status.flash(str(error), style="$text-error")
            return
        if not found:
            self.status.flash("There is no further row.")
            return
        self.index, self._found = index, found
        await self._show_found()

    async def _show_found(self) -> None:
        self.comparison.stop_all()
        # Through an empty one: the lanes of the row before must not become this one's.
        self.comparison.set_line_up(LineUp())
        self.comparison.set_line_up(line_up_of(self._found))
        fill(self.comparison.lanes, self._found)
        self._question.update(self._heading())
        await self.deck.show_lanes(self.comparison.lanes)
        for pane, (_, row) in zip(self.deck.panes, self._found, strict=True):
            pane.ready_text = "" if row.answer is not None else "No result yet: this row is still at the provider."
            pane.touch()
        self.deck.focus_pane(min(self.deck.current, len(self.deck.panes) - 1))
        self._refresh()

    def _heading(self) -> Content:
        job, row = self._found[0]
        asked = strip_control(question(row)[:_QUESTION]).strip() or "The prompts of an imported batch are not known."
        where = f"row {self.index + 1:,} of {job.counts.total:,}"
        head = (f"{job_words.name_of(job)}  ", "bold")
        return Content.assemble(head, (f"{where}  {job_words.clean(row.id)}", "$foreground-muted"), "\n", asked)

    def action_step_row(self, step: int) -> None:
        if self.index + step < 0:
            self.status.flash("This is the first row.")
        else:
            self._go_to(self.index + step)

    # Panes

    def action_walk_out(self) -> None:
        if self.deck.zoomed:
            self.deck.toggle_zoom()
        else:
            self.dismiss()

    def on_lane_pane_fix_chosen(self, event: LanePane.FixChosen) -> None:
        lane, remedy = event.pane.lane, event.remedy
        if remedy.params is not None:
            self.comparison.set_line_up(self.comparison.line_up.update(lane.target.slot, params=remedy.params))
        if remedy.asks_again:
            self.repeat_lane(lane)
        elif remedy.action is Action.ADD_KEY:
            self.app.choices.paste_key(lane.target.model)
        else:
            self.status.flash("C takes this row to Compare: other models can be asked there.")

    def stop_lane(self, lane: Lane) -> None:
        self.comparison.stop(lane)

    def edit_lane(self, lane: Lane) -> None:
        self.status.flash("A row's parameters are the job's. C takes it to Compare, where they can be changed.")

    def repeat_lane(self, lane: Lane) -> None:
        """Live, with what the row asked; a lane that is still answering, or was never answered, is left alone."""
        self.app.choices.try_keys_again([lane])
        if not self.comparison.repeat([lane]):
            self.status.flash(
                "It is still at the provider." if not lane.turns else "It is still answering: x stops it."
            )

    def action_to_compare(self) -> None:
        self.app.batches.go_on_in_compare(self._found)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "to_compare":
            return any(row.messages for _, row in self._found)
        return True
