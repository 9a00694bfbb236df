"""What stands where the answers will be while there is no model to ask: four ways to begin.

Nothing here swallows typing: a printable key goes on into the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from workbench.tui.glyphs import Glyphs


class Beginning(StrEnum):
    DEMO = "demo"
    FOUND = "found"
    KEY = "key"
    FILE = "file"


class StartPanel(Vertical):
    HELP = """
    # To begin

    Choose a row with the arrows and Enter, or simply type: a prompt without any model chosen goes to the simulated
    ones of the demo, which need no key and no network.
    """

    DEFAULT_CSS = """
    StartPanel {
        align: center middle;
        height: 1fr;
        #start-box { width: 90%; max-width: 76; height: auto; border: round $border-blurred; padding: 1 2; }
        #start-title { text-style: bold; color: $text-primary; height: auto; margin-bottom: 1; }
        #start-hint { color: $text-muted; height: auto; margin-top: 1; }
        OptionList { height: auto; background: transparent; border: none; padding: 0; }
    }
    """

    @dataclass
    class Chosen(Message):
        beginning: Beginning

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="start")
        self._glyphs = glyphs
        self._found: Sequence[str] | None = None
        self._options = OptionList(*(Option(self._row(beginning), id=beginning) for beginning in Beginning), id="ways")

    def compose(self) -> ComposeResult:
        with Vertical(id="start-box"):
            yield Static("Compare language models, side by side", id="start-title", markup=False)
            yield self._options
            yield Static(
                "enter chooses · or simply type a prompt: the demo's models answer it", id="start-hint", markup=False
            )

    def show_found(self, found: Sequence[str]) -> None:
        """What was found by looking at variables and local ports, as short phrases; none is an answer too."""
        self._found = found
        self._options.replace_option_prompt(Beginning.FOUND, self._row(Beginning.FOUND))

    def focus_rows(self) -> None:
        self._options.focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(Beginning(event.option_id or "")))

    def _row(self, beginning: Beginning) -> Content:
        title, said = {
            Beginning.DEMO: ("Watch the demo", "five simulated models, no key, no network"),
            Beginning.FOUND: ("Use what I found", self._found_words()),
            Beginning.KEY: ("Paste a key", "kept where only you can read it, tried at once"),
            Beginning.FILE: ("Open a file", "a text or Markdown file becomes the prompt"),
        }[beginning]
        return Content.assemble((f"{title:18}", "bold"), (said, "$foreground-muted"))

    def _found_words(self) -> str:
        if self._found is None:
            return "looking for keys and local servers…"
        return f" {self._glyphs.dot} ".join(self._found) or "no key in the environment, no local server answers"
