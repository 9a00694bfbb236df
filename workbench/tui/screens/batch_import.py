"""Take up a batch that was made elsewhere: its id, and for whose rows it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from workbench.tui.aside import aside

if TYPE_CHECKING:
    from workbench.jobs.desk import JobDesk


class BatchImport(ModalScreen[tuple[str, str]]):
    """Dismissed with the batch's id and a model, which may be empty; or None."""

    CSS_PATH = "../styles/batches.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Leave it", id="import.leave")]

    def __init__(self, desk: JobDesk) -> None:
        super().__init__()
        self._desk = desk
        self._support = Static(id="import-support", classes="dialog-text", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Take up a batch made elsewhere"
            with Horizontal(classes="field"):
                yield Static("batch id", classes="field-name", markup=False)
                yield Input(
                    id="import-id", compact=True, placeholder="batch_…, msgbatch_…, batches/…, or openai:1:batch_…"
                )
            with Horizontal(classes="field"):
                yield Static("model", classes="field-name", markup=False)
                yield Input(
                    id="import-model", compact=True, placeholder="what its rows were for, to price them; optional"
                )
            yield self._support
            hint = "provider:n:id names the provider and the number of its key · enter takes it up · esc leaves it"
            yield Static(hint, classes="dialog-hint", markup=False)

    def on_mount(self) -> None:
        aside(self, self._read_support)

    async def _read_support(self) -> None:
        found = await self._desk.supported()
        lines = [
            Content.assemble(
                ("a key is there  " if one.has_key else "no key          ", "" if one.has_key else "$text-warning"),
                (one.sentence, "$foreground-muted"),
            )
            for one in found
        ]
        self._support.update(Content("\n").join(lines))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        batch_id = self.query_one("#import-id", Input).value.strip()
        if batch_id:
            self.dismiss((batch_id, self.query_one("#import-model", Input).value.strip()))
