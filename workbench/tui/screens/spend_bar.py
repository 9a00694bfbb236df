"""The cap on money is reached and models wait: one line that asks."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from workbench.session import figures

if TYPE_CHECKING:
    from workbench.engine.budget import BudgetStats


class SpendChoice(StrEnum):
    RAISE = "raise"
    STOP = "stop"


class SpendBar(ModalScreen[SpendChoice]):
    """Dismissed with what to do; with None to leave everything paused."""

    CSS_PATH = "../styles/dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "answer('raise')", "Raise the cap", id="spend.raise"),
        Binding("x", "answer('stop')", "Stop all", id="spend.stop"),
        Binding("escape", "dismiss", "Keep paused", id="spend.keep"),
    ]

    def __init__(self, statistics: BudgetStats) -> None:
        super().__init__()
        self._statistics = statistics

    def compose(self) -> ComposeResult:
        spent = figures.money(self._statistics.spent_usd)
        cap = figures.money(self._statistics.limit_usd or 0.0)
        yield Static(
            Content.assemble(
                (f"{spent} of {cap} spent, {self._statistics.waiting} waiting.  ", "bold"),
                ("r", "bold $text-accent"),
                " raise   ",
                ("esc", "bold $text-accent"),
                " keep paused   ",
                ("x", "bold $text-accent"),
                " stop all",
            ),
            id="spend-bar",
            markup=False,
        )

    def action_answer(self, choice: str) -> None:
        self.dismiss(SpendChoice(choice))
