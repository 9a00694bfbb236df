"""Leaving while models answer: one line that asks."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static


class QuitBar(ModalScreen[bool]):
    """Dismissed with True to stop everything and leave."""

    CSS_PATH = "../styles/dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter,ctrl+q", "leave", "Stop and quit", id="quit.leave"),
        Binding("n,escape", "stay", "Stay", id="quit.stay"),
    ]

    def __init__(self, running: int) -> None:
        super().__init__()
        self._answering = running

    def compose(self) -> ComposeResult:
        who = "1 model is" if self._answering == 1 else f"{self._answering} models are"
        yield Static(
            Content.assemble(
                (f"{who} still answering.  ", "bold"),
                ("enter", "bold $text-accent"),
                " stop and quit   ",
                ("esc", "bold $text-accent"),
                " stay",
            ),
            id="quit-bar",
            markup=False,
        )

    def action_leave(self) -> None:
        self.dismiss(True)

    def action_stay(self) -> None:
        self.dismiss(False)
