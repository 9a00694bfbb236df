"""A line to search the answers with; n and N go on from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class FindBar(Horizontal):
    DEFAULT_CSS = """
    FindBar {
        dock: bottom; height: 1; display: none; background: $panel; padding: 0 1;
        &.-shown { display: block; }
        Static { width: auto; color: $text-muted; }
        Input { width: 1fr; border: none; height: 1; padding: 0 1; background: $panel; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="find.close", show=True),
    ]

    @dataclass
    class Searched(Message):
        query: str
        done: bool
        """True when the person pressed Enter and wants to read on."""

    @dataclass
    class Closed(Message):
        pass

    def compose(self) -> ComposeResult:
        yield Static("Find ", markup=False)
        yield Input(id="find", compact=True, select_on_focus=True)
        yield Static("", id="found", markup=False)

    def open(self) -> None:
        self.add_class("-shown")
        self.query_one(Input).focus()

    @property
    def is_open(self) -> bool:
        return self.has_class("-shown")

    def show_count(self, count: int, query: str) -> None:
        said = "" if not query else f"{count} found" if count else "nothing found"
        self.query_one("#found", Static).update(said)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.is_open:
            self.post_message(self.Searched(event.value, done=False))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Searched(event.value, done=True))

    def action_close(self) -> None:
        self.remove_class("-shown")
        self.post_message(self.Closed())
