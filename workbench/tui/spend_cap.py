"""The session's cap on money: when it is reached, what still waits is paused and a line asks what to do.

Real and simulated money are two budgets: a demo spends nothing of the cap, and the cap counts for it from zero.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.core.types import Request
from workbench.engine.budget import Budget
from workbench.session import figures
from workbench.session.spending import Spending

if TYPE_CHECKING:
    from workbench.engine.budget import BudgetStats
    from workbench.tui.app import WorkbenchApp

FIRST_CAP_USD = 1.0
"""Proposed where there was none, or one of nothing, which cannot be doubled."""


class SpendCap:
    def __init__(self, app: WorkbenchApp, limit_usd: float | None) -> None:
        self._app = app
        self._limit_usd = limit_usd
        self._worlds: dict[bool, Spending] = {}
        self._asking = False
        self._left_waiting = 0
        """How many a person left paused: nobody is asked about them again."""
        self.enter_world()

    @property
    def spending(self) -> Spending:
        """Of the world in use."""
        return self._worlds[self._app.desk.engine.is_demo]

    def enter_world(self) -> None:
        """The app has gone over to the demo, or back: from here on the money of that world counts."""
        demo = self._app.desk.engine.is_demo
        if demo not in self._worlds:
            self._worlds[demo] = Spending(Budget(self._limit_usd), self._expected_usd, self._app.desk.clock)
        self._app.desk.comparison.spending = self.spending
        self._left_waiting = 0

    def look(self) -> None:
        """Ask if the cap is reached and somebody waits for it, unless a person is busy with something else."""
        statistics = self.spending.statistics()
        self._left_waiting = min(self._left_waiting, statistics.waiting)
        if statistics.is_spent and statistics.waiting > self._left_waiting and not self._person_is_busy():
            self._ask(statistics)

    def choose(self) -> None:
        """A person sets the cap; nothing changes when they leave without an answer."""
        from workbench.tui.screens.name_dialog import NameDialog

        def chosen(text: str | None) -> None:
            if text is not None:
                self._set(text)

        statistics = self.spending.statistics()
        hint = f"USD for this session, or none · {figures.money(statistics.spent_usd)} spent · esc leaves it"
        self._app.push_screen(NameDialog("Spend cap", f"{proposal(statistics):g}", hint=hint), chosen)

    def _set(self, text: str) -> None:
        try:
            limit_usd = cap_of(text)
        except ValueError as error:
            self._app.notify(str(error), title="Spend cap not changed", severity="error", markup=False)
            return
        self._left_waiting = 0
        self.spending.raise_to(limit_usd)
        said = "No spend cap." if limit_usd is None else f"Spend cap: {figures.money(limit_usd)}."
        self._app.flash(said)
        self._app.compare.refresh_bars()

    def _ask(self, statistics: BudgetStats) -> None:
        from workbench.tui.screens.spend_bar import SpendBar, SpendChoice

        def answered(choice: SpendChoice | None) -> None:
            match choice:
                case SpendChoice.RAISE:
                    self.choose()
                case SpendChoice.STOP:
                    self._app.compare.action_stop_all()
                case _:
                    self._left_waiting = self.spending.statistics().waiting
                    self._app.flash("Paused. The palette (ctrl+p) has Spend cap.")
            # Last: a look between the bar's end and the next dialog would ask again.
            self._asking = False

        self._asking = True
        self._app.push_screen(SpendBar(statistics), answered)

    def _person_is_busy(self) -> bool:
        """Writing, or in a dialog: the bar's letters must not be taken from the middle of a sentence."""
        compare = self._app.compare
        writing = compare.is_in_front and compare.editor.has_focus_within and not compare.editor.draft.is_empty
        return self._asking or self._app.screen is not self._app.area_screen or writing

    def _expected_usd(self, request: Request) -> float | None:
        # With the first request, not with the first paint.
        from workbench.session.preflight import estimate

        directory = self._app.desk.engine.directory
        if directory is None:
            return None
        return estimate(request.messages, directory.facts(request.model), request.params.max_tokens).high_usd


def proposal(statistics: BudgetStats) -> float:
    """Twice the cap, or as many times as it takes to leave room; what holds now while there is room."""
    limit_usd = statistics.limit_usd or FIRST_CAP_USD
    if statistics.limit_usd == 0.0 or not statistics.is_spent:
        return limit_usd
    while limit_usd <= statistics.spent_usd or limit_usd == statistics.limit_usd:
        limit_usd *= 2
    return limit_usd


def cap_of(text: str) -> float | None:
    """`5`, `$0.25`, or `none`. Raises ValueError, which says what was expected, for anything else."""
    written = text.strip().lower().removeprefix("$").strip()
    if written == "none":
        return None
    try:
        limit_usd = float(written)
    except ValueError:
        limit_usd = math.nan
    if not 0 <= limit_usd < math.inf:
        raise ValueError(f"{text!r} is no amount: write USD, such as 0.50, or none for no cap.")
    return limit_usd
