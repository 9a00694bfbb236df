"""One line that asks before something that cannot be undone."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static


class ConfirmBar(ModalScreen[bool]):
    """Dismissed with True to go ahead."""

    CSS_PATH = "../styles/batches.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "go_ahead", "Go ahead", id="confirm.yes"),
        Binding("n,escape", "leave", "Leave it", id="confirm.no"),
    ]

    def __init__(self, question: str, verb: str) -> None:
        super().__init__()
        self._question = question
        self._verb = verb

    def compose(self) -> ComposeResult:
        yield Static(
            Content.assemble(
                (f"{self._question}  ", "bold"),
                ("enter", "bold $text-accent"),
                f" {self._verb}   ",
                ("esc", "bold $text-accent"),
                " leave it",
            ),
            id="confirm-bar",
            markup=False,
        )

    def action_go_ahead(self) -> None:
        self.dismiss(True)

    def action_leave(self) -> None:
        self.dismiss(False)
