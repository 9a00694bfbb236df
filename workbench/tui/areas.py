"""The top-level areas of the workbench: which there are, in what order, and what opens each.

An area is a mode of the app with a stack of screens of its own: going elsewhere leaves its work, its focus and its
dialogs as they are. Screens are imported shortly after the first paint, or when their area is opened before that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style

if TYPE_CHECKING:
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.screens.area import AreaScreen


@dataclass(frozen=True, slots=True)
class Area:
    """One line of the table below is all that an area needs to be reached by key, by click and from the palette."""

    key: str
    """The digit that follows ctrl+t."""
    name: str
    about: str
    """For the palette: what one goes there for."""
    open: Callable[[WorkbenchApp], AreaScreen]
    count: Callable[[WorkbenchApp], int] = lambda app: 0
    """What is under way there, for its name in the app bar; nothing is said of none."""

    @property
    def mode(self) -> str:
        return self.name.lower()


def _compare(app: WorkbenchApp) -> AreaScreen:
    from workbench.tui.screens.compare import CompareScreen

    return CompareScreen(app.desk, app.settings.ui.send_key)


COMPARE = Area("1", "Compare", "One prompt, many models, side by side", _compare)


def _batches(app: WorkbenchApp) -> AreaScreen:
    from workbench.tui.screens.batches import BatchesScreen

    return BatchesScreen(app.desk)


BATCHES = Area("2", "Batches", "Many prompts at half the price, within a day", _batches, lambda app: app.open_jobs)


def _monitor(app: WorkbenchApp) -> AreaScreen:
    from workbench.tui.screens.monitor import MonitorScreen

    return MonitorScreen(app.desk)


MONITOR = Area("3", "Monitor", "What runs, keys and limits, and why it is slow", _monitor)

AREAS: tuple[Area, ...] = (COMPARE, BATCHES, MONITOR)
"""In the order in which they are shown."""


def names(areas: Sequence[Area], current: str, counts: Mapping[str, int], dot: str) -> Content:
    """The areas' names for the app bar, each a link, with its count; nothing where there is only one."""
    if len(areas) < 2:
        return Content()
    return Content("  ").join(
        _name(area, f"{dot}{count}" if (count := counts.get(area.mode)) else "", current=area.mode == current)
        for area in areas
    )


def _name(area: Area, count: str, *, current: bool) -> Content:
    # Underlined and bold, not only coloured: it must be told apart in a terminal without colours.
    style = "bold underline $text-primary" if current else "$foreground-muted"
    return Content.styled(area.name + count, style).stylize(Style.from_meta({"@click": f"app.go_to({area.mode!r})"}))
