"""Themes with a live preview: moving the highlight changes the app, Enter keeps it, Esc goes back."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option


class ThemePicker(ModalScreen[str]):
    """Dismissed with the name of the theme that was kept, or None."""

    CSS_PATH = "../styles/dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", id="themes.cancel")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -side") as dialog:
            dialog.border_title = "Theme"
            yield OptionList(id="themes")
            yield Static("enter keeps · esc goes back", classes="dialog-hint", markup=False)

    def on_mount(self) -> None:
        self._before = self.app.theme
        names = sorted(self.app.available_themes, key=lambda name: (not name.startswith("workbench"), name))
        themes = self.query_one(OptionList)
        for name in names:
            kind = "dark" if self.app.available_themes[name].dark else "light"
            themes.add_option(Option(Content.assemble(f"{name:24}", (kind, "$foreground-muted")), id=name))
        themes.highlighted = names.index(self._before) if self._before in names else 0

    @on(OptionList.OptionHighlighted)
    def _preview(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_id is not None and event.option_id != self.app.theme:
            self.app.theme = event.option_id

    @on(OptionList.OptionSelected)
    def _kept(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_id)

    def action_cancel(self) -> None:
        self.app.theme = self._before
        self.dismiss(None)
