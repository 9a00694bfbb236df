"""What the screens of all areas have in common: the bars, the classes of sizes, and knowing whether one is in front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.screen import Screen

from workbench.tui.desk import Desk
from workbench.tui.monitor_line import MonitorLine
from workbench.tui.widgets.app_bar import AppBar
from workbench.tui.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from workbench.tui.app import WorkbenchApp

BAR_PERIOD_S = 0.25

TIMES_EVERY = 4
"""Looks between two at percentiles: a second. What changes oftener cannot be read."""


class AreaScreen(Screen[None]):
    """The lowest screen of an area. Subclasses yield `app_bar` first and `status` near the bottom."""

    app: WorkbenchApp

    HORIZONTAL_BREAKPOINTS = [(0, "-tiny-width"), (40, "-narrow"), (80, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny-height"), (12, "-short"), (30, "-tall")]  # noqa: RUF012

    def __init__(self, desk: Desk, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.desk = desk
        self.app_bar = AppBar()
        self.status = StatusBar()
        self._monitor_line = MonitorLine(desk.glyphs)
        self._looks = 0
        # Its widgets get the styles of now when they are mounted. Textual would style every widget there is once more,
        # twice, if it were not told.
        self._css_update_count = self.app._css_update_count

    def fit_first_frame(self) -> None:
        """Textual sets the classes of breakpoints with the first resize, a frame too late: the prompt would jump."""
        width, height = self.app.size
        for breakpoints, extent in ((self.HORIZONTAL_BREAKPOINTS, width), (self.VERTICAL_BREAKPOINTS, height)):
            self.add_class(next(name for least, name in reversed(breakpoints) if extent >= least))

    @property
    def is_in_front(self) -> bool:
        """Whether this area is the one on screen, be it under a dialog."""
        # Screens of other areas still tick when those of this one are gone already, at the end of the program.
        return self.app.screen_stack[:1] == [self]

    def refresh_chrome(self, *, question: str = "", turn: int = 0, turns: int = 0) -> None:
        """The app bar and the status line; unchanged bars are not drawn again."""
        self.refresh_app_bar(question=question, turn=turn, turns=turns)
        snapshot = self.desk.engine.statistics(times=self._looks % TIMES_EVERY == 0)
        self._looks += 1
        self.status.show_figures(
            *self._monitor_line.figures(snapshot, width=self.status.size.width, trouble=self.desk.engine.trouble)
        )

    def refresh_app_bar(self, *, question: str = "", turn: int = 0, turns: int = 0) -> None:
        desk = self.desk
        self.app_bar.show_session(
            areas=self.app.area_names,
            question=question,
            turn=turn,
            turns=turns,
            tally=desk.comparison.tally(),
            budget=self.app.spend_cap.spending.statistics(),
            demo=desk.engine.is_demo,
            glyphs=desk.glyphs,
        )
