"""What screens to come need, fetched before somebody opens them, perhaps while answers stream.

Opening the Monitor for the first time took 150 ms of the loop's time, in steps of up to 100 ms: its modules, its style
sheet, and every widget there is styled anew because of that.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from textual.app import App

_STYLES = ("dialogs", "batches", "monitor")
_SCREENS = ("monitor", "batches", "model_picker", "help")


def read_styles(app: App[object]) -> None:
    """Every style sheet that a screen would bring with it."""
    # Textual looks for them under the names that links lead to.
    folder = Path(__file__).resolve().parent / "styles"
    for name in _STYLES:
        app.stylesheet.read(folder / f"{name}.tcss")
    app.stylesheet.reparse()
    app.stylesheet.update(app)


def import_screens() -> None:
    """For a thread: a tenth of a second in all, with Textual's widgets that nothing on the first screen is made of."""
    for name in _SCREENS:
        import_module(f"workbench.tui.screens.{name}")
