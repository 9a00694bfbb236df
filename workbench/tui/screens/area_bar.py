"""Where to go: one line that lists the areas, between ctrl+t and a digit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.style import Style
from textual.widgets import Static

from workbench.tui.areas import Area


class AreaBar(ModalScreen[str | None]):
    """Dismissed with the mode of the area to go to, or None to stay."""

    CSS_PATH = "../styles/dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "next", "Next area", id="areas.next"),
        Binding("escape", "stay", "Stay", id="areas.stay"),
    ]

    def __init__(self, areas: Sequence[Area], current: str) -> None:
        super().__init__()
        self._areas = areas
        self._current = current

    def compose(self) -> ComposeResult:
        entries = [_entry(area, current=area.mode == self._current) for area in self._areas]
        keys = Content.assemble(("^t", "bold $text-accent"), " next   ", ("esc", "bold $text-accent"), " stay")
        yield Static(Content("   ").join([*entries, keys]), id="area-bar", markup=False)

    def on_key(self, event: events.Key) -> None:
        """A digit goes there."""
        for area in self._areas:
            if event.character == area.key:
                event.stop()
                self.dismiss(area.mode)

    def action_go(self, mode: str) -> None:
        self.dismiss(mode)

    def action_next(self) -> None:
        modes = [area.mode for area in self._areas]
        self.dismiss(modes[(modes.index(self._current) + 1) % len(modes)])

    def action_stay(self) -> None:
        self.dismiss(None)


def _entry(area: Area, *, current: bool) -> Content:
    name = (area.name, "bold underline" if current else "")
    content = Content.assemble((area.key, "bold $text-accent"), " ", name)
    return content.stylize(Style.from_meta({"@click": f"screen.go({area.mode!r})"}))
