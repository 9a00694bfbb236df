"""A streaming answer: takes text at any rate, draws it in frames, keeps the source beside what is drawn.

`append` only stores; `flush`, called by a `FrameClock`, draws. What is copied, searched and selected is always the
source text (minus control codes), never what the terminal shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.core.clock import Clock, SystemClock
from workbench.core.types import Channel


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One fenced or indented block of an answer."""

    language: str
    """First word of the fence's info string; empty when there is none."""
    text: str
    """The code exactly as it stands in the source, without fences and container prefixes."""


class StreamView(ScrollView, can_focus=True):
    """Shows one answer while it streams and after: reasoning folded on top, Markdown below, source kept beside.

    | call | cost |
    |---|---|
    | `append`, `add_note`, `finish` | stores and wakes the frame clock; nothing is drawn |
    | `flush` | draws what changed, for at most the given time |
    | `set_text` | draws what is visible in the next frame, the rest over later ones |
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "toggle_reasoning", "Thinking", id="answer.reasoning", tooltip="Fold or open the reasoning"),
        Binding("o", "toggle_raw", "Raw", id="answer.raw", tooltip="Show the source, or Markdown again"),
        Binding("c", "copy_code", "Copy code", id="answer.copy-code", tooltip="Copy a code block; again for the next"),
        Binding("J", "next_block", "Next block", id="answer.next-block", show=False),
        Binding("K", "previous_block", "Previous block", id="answer.previous-block", show=False),
    ]

    follow: reactive[bool] = reactive(True)
    """Whether new text keeps the end in view. A person scrolling up clears it, coming back to the end sets it."""

    raw: reactive[bool] = reactive(False)
    """Source text instead of Markdown."""

    reasoning_open: reactive[bool] = reactive(False)
    """Whether the reasoning is unfolded."""

    @dataclass
    class CopyRequested(Message):
        """A person asked for text to be copied (key, or a click on `[c] copy`). The view itself copies nothing."""

        view: StreamView
        text: str
        what: str
        """For the notification: `sql, 3 lines`."""

        @property
        def control(self) -> StreamView:
            return self.view

    @dataclass
    class FollowChanged(Message):
        """`follow` changed, by a person's scrolling or by code."""

        view: StreamView
        follow: bool

        @property
        def control(self) -> StreamView:
            return self.view

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - Textual's own name for it
        classes: str | None = None,
        clock: Clock | None = None,
        ascii_only: bool = False,
    ) -> None:
        """
        Args:
            clock: Times the reasoning; the system's when not given.
            ascii_only: Draw marks and rules with ASCII characters.
        """
        super().__init__(id=id, classes=classes)
        self._clock = clock or SystemClock()
        self._ascii = ascii_only
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._rows: list[str] = []
        self._wake: Callable[[], None] | None = None
        self._streaming = False
        self._dirty = False

    # -- taking text -------------------------------------------------------------------------------------------------

    def append(self, channel: Channel, text: str) -> None:
        """Take a piece as it arrived, cut anywhere. Stores it and wakes the clock; draws nothing."""
        (self._reasoning if channel is Channel.REASONING else self._text).append(text)
        self._streaming = True
        self._changed()

    def finish(self) -> None:
        """No more is coming: the cursor goes, half-received sequences are settled."""
        self._streaming = False
        self._changed()

    def clear(self) -> None:
        """Forget everything, as for the next question."""
        self._text.clear()
        self._reasoning.clear()
        self._streaming = False
        self.follow = True
        self._changed()

    def set_text(self, text: str, reasoning: str = "", *, at_end: bool = False) -> None:
        """Show a finished answer from its beginning (or its end). Long ones are drawn where one looks first."""
        self.clear()
        self._text.append(text)
        self._reasoning.append(reasoning)
        self.follow = at_end
        self._changed()

    def add_note(self, text: str) -> None:
        """Put a remark of our own, as `stall 1.2s`, on a line by itself after the text so far. Not part of the text."""

    def set_reasoning_facts(self, *, seconds: float | None = None, tokens: int | None = None) -> None:
        """What the provider says about the reasoning; until then the header shows our own clock and an estimate (~)."""

    # -- what is there -----------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The answer's source so far, without control codes: what is copied."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """The reasoning so far, without control codes."""
        return "".join(self._reasoning)

    @property
    def is_streaming(self) -> bool:
        """Between the first `append` and `finish`."""
        return self._streaming

    def code_blocks(self) -> tuple[CodeBlock, ...]:
        """The answer's code blocks in order, an unfinished one included."""
        return ()

    # -- reading -----------------------------------------------------------------------------------------------------

    def toggle_reasoning(self) -> None:
        """Fold or open the reasoning; the reading place stays."""
        self.reasoning_open = not self.reasoning_open

    def toggle_raw(self) -> None:
        """Source or Markdown; the reading place stays."""
        self.raw = not self.raw

    def find(self, query: str) -> int:
        """Mark every occurrence (case matters only if the query has capitals) and go to the next one below.

        Returns:
            How many there are. An empty query clears the marks.
        """
        return 0

    def find_next(self) -> tuple[int, int]:
        """Go to the next occurrence, around the end. Returns (which, of how many), from 1; (0, 0) when none."""
        return 0, 0

    def find_previous(self) -> tuple[int, int]:
        """Like `find_next`, backwards."""
        return 0, 0

    def next_block(self) -> None:
        """Scroll so that the next block is at the top."""

    def previous_block(self) -> None:
        """Scroll so that the previous block is at the top."""

    def copy_code(self) -> None:
        """Ask for the next code block to be copied, starting with the first one in view; repeated calls go on."""

    # -- drawing -----------------------------------------------------------------------------------------------------

    def connect(self, wake: Callable[[], None] | None) -> None:
        """See `FrameView.connect`."""
        self._wake = wake

    def flush(self, budget_s: float) -> bool:
        """Draw what has changed, for at most about `budget_s` seconds. True if there is more to do later."""
        if not self._dirty:
            return False
        self._dirty = False
        width = max(1, self.scrollable_content_region.width)
        lines = self.text.split("\n")
        self._rows = [line[i : i + width] for line in lines for i in range(0, len(line) or 1, width)]
        self.virtual_size = Size(width, len(self._rows))
        if self.follow:
            self.scroll_end(animate=False, immediate=True)
        self.refresh()
        return False

    def render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        style = self.rich_style
        width = self.size.width
        if row >= len(self._rows):
            return Strip.blank(width, style)
        return Strip([Segment(self._rows[row], style)]).adjust_cell_length(width, style)

    def on_resize(self) -> None:
        self._changed()

    def _changed(self) -> None:
        self._dirty = True
        if self._wake is not None:
            self._wake()

    def action_toggle_reasoning(self) -> None:
        self.toggle_reasoning()

    def action_toggle_raw(self) -> None:
        self.toggle_raw()

    def action_copy_code(self) -> None:
        self.copy_code()

    def action_next_block(self) -> None:
        self.next_block()

    def action_previous_block(self) -> None:
        self.previous_block()
