"""Several lines to fill in, one below the other; what is wrong with them is said where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from workbench.core.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    value: str
    expected: str
    """Stands in its place while it is empty."""


class FieldsDialog(ModalScreen[T]):
    """Dismissed with what a subclass makes of the lines, or None."""

    CSS_PATH = "../styles/dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Cancel", id="fields.cancel"),
        Binding("down", "app.focus_next", "Next", id="fields.next", show=False),
        Binding("up", "app.focus_previous", "Previous", id="fields.previous", show=False),
    ]

    def __init__(self, title: str, fields: Sequence[Field], *, hint: str) -> None:
        super().__init__()
        self._heading = title
        self._fields = tuple(fields)
        self._hint = hint

    def accept(self, written: Mapping[str, str]) -> T:
        """What the lines come to, by their names. Raises UsageError for one that is wrong: the dialog stays open."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self._heading
            for number, field in enumerate(self._fields):
                with Horizontal(classes="field"):
                    yield Static(field.name, classes="field-name", markup=False)
                    yield Input(field.value, id=f"field-{number}", placeholder=field.expected, compact=True)
            yield Static("", id="fields-error", markup=False)
            yield Static(self._hint, classes="dialog-hint", markup=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        inputs = [self.query_one(f"#field-{number}", Input) for number in range(len(self._fields))]
        try:
            found = self.accept({field.name: line.value for field, line in zip(self._fields, inputs, strict=True)})
        except UsageError as error:
            self.query_one("#fields-error", Static).update(error.message)
        else:
            self.dismiss(found)
