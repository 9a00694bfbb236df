"""The keys that work here, in one line: the footer.

One widget instead of one per key. Shows the bindings of the focus chain, most local first, as many as fit; help and the
palette always stand at the right. Each entry can be clicked.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import App
from textual.binding import ActiveBinding
from textual.content import Content
from textual.screen import Screen
from textual.style import Style

from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.bar import Bar

_ALWAYS = ("help", "command_palette")
"""Actions whose keys stand at the right, whatever else does not fit."""


class KeyBar(Bar):
    DEFAULT_CSS = """
    KeyBar { background: $footer-background; color: $footer-description-foreground; padding: 0 1; }
    """

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__()
        self._glyphs = glyphs

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)
        self._bindings_changed(self.screen)

    def on_resize(self) -> None:
        self._bindings_changed(self.screen)

    def _bindings_changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen.is_active:
            self.show_bindings(screen.active_bindings.values())

    def show_bindings(self, bindings: Iterable[ActiveBinding]) -> None:
        shown: dict[str, ActiveBinding] = {}
        fixed: dict[str, ActiveBinding] = {}
        for active in bindings:
            binding = active.binding
            action = binding.action
            if any(action.endswith(name) for name in _ALWAYS):
                fixed.setdefault(action, active)
            elif binding.show:
                shown.setdefault(action, active)
        wide = self.size.width >= 60
        right = self._right_part(fixed.values(), wide=wide)
        room = self.size.width - right.cell_length - 1
        left = Content()
        for active in shown.values():
            entry = _entry(self.app, active)
            if left.cell_length + entry.cell_length + 2 > room:
                break
            left = Content.assemble(left, "  " if left.cell_length else "", entry)
        self.show(left, right)

    def _right_part(self, bindings: Iterable[ActiveBinding], *, wide: bool) -> Content:
        entries = [_entry(self.app, active, described=wide) for active in bindings]
        if not entries:
            return Content()
        return Content.assemble((f"{self._glyphs.separator} ", "dim"), Content("  ").join(entries))


def _entry(app: App[object], active: ActiveBinding, *, described: bool = True) -> Content:
    key = app.get_key_display(active.binding)
    name = f" {active.binding.description}" if described else ""
    style = "" if active.enabled else "dim"
    entry = Content.assemble((key, f"bold $footer-key-foreground {style}".strip()), (name, style))
    return entry.stylize(Style.from_meta({"@click": f"app.simulate_key({active.binding.key!r})"}))
