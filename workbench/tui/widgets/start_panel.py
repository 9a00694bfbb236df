"""What stands where the answers will be while there is no model to ask: four ways to begin.

One widget, since it is part of the first paint. Nothing here swallows typing: a printable key goes on to the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.style import Style
from textual.widgets import Static

from workbench.tui.glyphs import Glyphs

TITLE_WIDTH = 18


class Beginning(StrEnum):
    DEMO = "demo"
    FOUND = "found"
    KEY = "key"
    FILE = "file"


class StartPanel(Static, can_focus=True):
    HELP = """
    # To begin

    Choose a row with the arrows and Enter, or simply type: a prompt without any model chosen goes to the simulated
    ones of the demo, which need no key and no network.
    """

    DEFAULT_CSS = """
    StartPanel {
        width: 90%;
        max-width: 78;
        height: auto;
        border: round $border-blurred;
        padding: 1 2;
        &:focus { border: round $border; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", id="start.choose"),
        Binding("down", "move(1)", "Next", id="start.next", show=False),
        Binding("up", "move(-1)", "Previous", id="start.previous", show=False),
    ]

    @dataclass
    class Chosen(Message):
        beginning: Beginning

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="start", markup=False)
        self.auto_links = False
        self._glyphs = glyphs
        self._found: Sequence[str] | None = None
        self._index = 0
        self.update(self._rows())

    def show_found(self, found: Sequence[str]) -> None:
        """What was found by looking at variables and local ports, as short phrases; none is an answer too."""
        self._found = found
        self.update(self._rows())

    @property
    def plain(self) -> str:
        return self._rows().plain

    def on_focus(self) -> None:
        self.update(self._rows(), layout=False)

    def on_blur(self) -> None:
        self.update(self._rows(), layout=False)

    def action_move(self, step: int) -> None:
        self._index = (self._index + step) % len(Beginning)
        self.update(self._rows(), layout=False)

    def action_choose(self, index: int | None = None) -> None:
        self.post_message(self.Chosen(list(Beginning)[self._index if index is None else index]))

    def _rows(self) -> Content:
        lines = [Content.styled("Compare language models, side by side", "bold $text-primary"), Content()]
        lines += [self._row(index, beginning) for index, beginning in enumerate(Beginning)]
        hint = "enter chooses · or simply type a prompt: the demo's models answer it"
        return Content("\n").join([*lines, Content(), Content.styled(hint, "$foreground-muted")])

    def _row(self, index: int, beginning: Beginning) -> Content:
        title, said = {
            Beginning.DEMO: ("Watch the demo", "five simulated models, no key, no network"),
            Beginning.FOUND: ("Use what I found", self._found_words()),
            Beginning.KEY: ("Paste a key", "kept where only you can read it, tried at once"),
            Beginning.FILE: ("Open a file", "a text or Markdown file becomes the prompt"),
        }[beginning]
        chosen = index == self._index and self.has_focus
        mark = self._glyphs.prompt if chosen else " "
        row = Content.assemble(
            (f"{mark} ", "$text-accent"),
            (f"{title:{TITLE_WIDTH}}", "bold $text-accent" if chosen else "bold"),
            (said, "$foreground-muted"),
        )
        return row.stylize(Style.from_meta({"@click": f"choose({index})"}))

    def _found_words(self) -> str:
        if self._found is None:
            return "looking for keys and local servers…"
        return f" {self._glyphs.dot} ".join(self._found) or "no key in the environment, no local server answers"
