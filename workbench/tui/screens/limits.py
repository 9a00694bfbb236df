"""Keys and limits, live: what each key and lane is doing, and why something waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from workbench.session.limits_report import Section

_EVERY_S = 0.5
"""Countdowns are in whole seconds; more often only flickers."""


class LimitsScreen(ModalScreen[None]):
    """Every key that is in use and every lane: a provider, a key and the models that share a limit.

    A lane's window is how many calls it lets be in flight at once; its ceiling is the most that is known to work. The
    bars are what was used of each limit in the last minute: stated by the provider, learned from refusals, or pinned.
    """

    CSS_PATH = "../styles/dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss", "Close", id="limits.close")]

    def __init__(self, report: Callable[[], list[Section]]) -> None:
        super().__init__()
        self._report = report
        self._shown: list[Section] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -wide") as dialog:
            dialog.border_title = "Keys and limits"
            with VerticalScroll(can_focus=True):
                yield Static(id="limits", markup=False)
            yield Static("esc closes", classes="dialog-hint", markup=False)

    def on_mount(self) -> None:
        self._refresh_report()
        self.set_interval(_EVERY_S, self._refresh_report)

    def _refresh_report(self) -> None:
        sections = self._report()
        if sections == self._shown:
            return
        self._shown = sections
        parts: list[Content] = []
        for title, lines in sections:
            parts += [Content.styled(title, "bold $text-primary"), *(Content(line) for line in lines), Content("")]
        self.query_one("#limits", Static).update(Content("\n").join(parts))
