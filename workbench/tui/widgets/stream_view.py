"""A streaming answer: takes text at any rate, draws it in frames, keeps the source beside what is drawn.

`append` only stores; `flush`, called by a `FrameClock`, draws. What is copied, searched and selected is always the
source text (minus control codes), never what the terminal shows. Positions of a selection are offsets into that source,
so it survives streaming, resizing and folding.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.message import Message
from textual.reactive import reactive
from textual.selection import Selection

from workbench.core.clock import Clock, SystemClock
from workbench.core.types import Channel
from workbench.tui.ascii_signs import as_written
from workbench.tui.markdown.answer import ANSWER, REASONING, TOOL, Answer, CodeBlock
from workbench.tui.markdown.inline import warm
from workbench.tui.markdown.painter import Mark
from workbench.tui.markdown.rows import ASCII, UNICODE, Roles, Row
from workbench.tui.markdown.search import Match, Matches
from workbench.tui.markdown.sheet import Sheet
from workbench.tui.widgets.sheet_view import SheetView
from workbench.tui.widgets.stream_view_styles import CSS, ROLES

FIRST_FRAME_S = 0.025
"""What the first frame of a new text may take: a person waits for it."""

_BASE: dict[int, Roles] = {REASONING: ("reasoning",), ANSWER: (), TOOL: ("code",)}
_PREFIX = "stream-view--"


class StreamView(SheetView, can_focus=True):
    """Shows one answer while it streams and after: reasoning folded on top, Markdown below, source kept beside.

    | call | cost |
    |---|---|
    | `append`, `finish` | stores and wakes the frame clock; nothing is drawn |
    | `flush` | draws what changed, for about the given time |
    | `set_text` | draws what is visible in the next frame, the rest over later ones |
    """

    HELP = """
    # An answer

    The end stays in view until you scroll up, and again when you come back to it (`G`). Copying, searching and
    selecting with the mouse work on the text as the model wrote it.
    """

    COMPONENT_PREFIX = _PREFIX

    COMPONENT_CLASSES: ClassVar[set[str]] = {_PREFIX + role for role in ROLES}
    """Their table stands beside `ROLES`."""

    DEFAULT_CSS = CSS

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "toggle_reasoning", "Thinking", id="answer.reasoning", tooltip="Fold or open the reasoning"),
        Binding("o", "toggle_raw", "Raw", id="answer.raw", tooltip="Show the source, or Markdown again"),
        Binding("c", "copy_code", "Copy code", id="answer.copy-code", tooltip="Copy a code block; again for the next"),
        Binding("J", "next_block", "Next block", id="answer.next-block", show=False),
        Binding("K", "previous_block", "Previous block", id="answer.previous-block", show=False),
    ]

    raw: reactive[bool] = reactive(False, init=False)
    """Source text instead of Markdown."""

    reasoning_open: reactive[bool] = reactive(False, init=False)
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
        self._glyphs = ASCII if ascii_only else UNICODE
        self._wake: Callable[[], None] | None = None
        self._hidden = False
        self._dirty = True
        self._start_over()

    def _start_over(self) -> None:
        """As before the first piece."""
        self._answer = Answer(self._glyphs, self._spawn, self._clock, raw=self.raw, is_open=self.reasoning_open)
        self._answer.set_width(max(1, self.text_size.width))
        self._spot = None
        self._matches = Matches()
        self._copied = -1
        self._is_new = True
        self._changed()

    # -- taking text -------------------------------------------------------------------------------------------------

    def append(self, channel: Channel, text: str) -> None:
        """Take a piece as it arrived, cut anywhere. Stores it and wakes the clock; draws nothing."""
        if text:
            self._answer.append(channel, text)
            self._changed()

    def finish(self) -> None:
        """No more is coming: the cursor goes, half-received sequences are settled."""
        self._answer.finish()
        self._changed()
        self.refresh()

    def clear(self) -> None:
        """Forget everything, as for the next question."""
        self._start_over()
        self.follow = True

    def set_text(self, text: str, reasoning: str = "", *, at_end: bool = False) -> None:
        """Show a finished answer from its beginning (or its end). Long ones are drawn where one looks first."""
        self._start_over()
        self._answer.load(text, reasoning)
        self.follow = at_end
        if not at_end:
            self.move_to(0)

    def add_note(self, text: str) -> None:
        """Put a remark of our own, as `stall 1.2s`, on a line by itself after the text so far. Not part of the text."""
        self._answer.add_note(text)
        self._changed()

    def time_reasoning(self, began_ns: int, ended_ns: int | None) -> None:
        """When it really began and ended, where pieces are handed over later than they came."""
        self._answer.thinking.began_ns, self._answer.thinking.ended_ns = began_ns, ended_ns

    def set_reasoning_facts(self, *, seconds: float | None = None, tokens: int | None = None) -> None:
        """What the provider says about the reasoning; without it, our own time and an estimate (~) are shown."""
        self._answer.thinking.seconds, self._answer.thinking.tokens = seconds, tokens
        self._answer.refresh_headlines()
        self._changed()

    # -- what is there -----------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The answer's source so far, without control codes: what is copied."""
        return self._answer.source(ANSWER)

    @property
    def reasoning(self) -> str:
        """The reasoning so far, without control codes."""
        return self._answer.source(REASONING)

    @property
    def is_streaming(self) -> bool:
        """Between the first `append` and `finish`."""
        return self._answer.is_streaming

    def code_blocks(self) -> tuple[CodeBlock, ...]:
        """The answer's code blocks in order, an unfinished one included."""
        return self._answer.code_blocks()

    # -- reading -----------------------------------------------------------------------------------------------------

    def toggle_reasoning(self) -> None:
        """Fold or open the reasoning; the reading place stays."""
        self.reasoning_open = not self.reasoning_open

    def find(self, query: str) -> int:
        """Mark every occurrence (case matters only if the query has capitals) and go to the next one below.

        Returns:
            How many there are. An empty query clears the marks.
        """
        self._matches = Matches(query, self._answer.search)
        section, row = self.row_at(self.scroll_offset.y)
        self._go_to(self._matches.go_below(section, row.start))
        self.refresh()
        return len(self._matches)

    def find_next(self, step: int = 1) -> tuple[int, int]:
        """Go on by so many occurrences, around the ends. Returns (which, of how many), from 1; (0, 0) when none."""
        # More may have arrived since.
        self._matches.look_again()
        self._go_to(self._matches.step(step))
        self.refresh()
        return self._matches.position

    def copy_code(self) -> None:
        """Ask for the next code block to be copied, starting with the first one in view; repeated calls go on."""
        blocks = self.code_blocks()
        if not blocks:
            return
        if self._copied < 0:
            self._copied = self._answer.code_block_below(*self.row_at(self.scroll_offset.y))
        else:
            self._copied = (self._copied + 1) % len(blocks)
        self._ask_copy(blocks[self._copied])

    def _ask_copy(self, block: CodeBlock) -> None:
        self.post_message(self.CopyRequested(self, block.text, block.what))

    def _go_to(self, match: Match | None) -> None:
        """Bring an occurrence into view, a third from the top if it is not there yet."""
        if match is None:
            return
        if match.section == REASONING:
            self.reasoning_open = True
        self.settle()
        top, section = self.sheet.top(match.section), self.sheet.sections[match.section]
        self.bring_into_view(top + section.document.find_source(match.start))

    # -- drawing -----------------------------------------------------------------------------------------------------

    def connect(self, wake: Callable[[], None] | None) -> None:
        """See `FrameView.connect`."""
        self._wake = wake

    def flush(self, budget_s: float) -> bool:
        """Draw what has changed, for about `budget_s` seconds. True if there is more to do later.

        A view that is not displayed keeps its text and does nothing else.
        """
        if self._hidden or not self.text_size.width:
            return False
        answer = self._answer
        now = time.perf_counter()
        deadline = now + (max(budget_s, FIRST_FRAME_S) if self._is_new else budget_s)
        if self._dirty or answer.has_more:
            self._dirty = self._is_new = False
            self.settle(answer.update(deadline))
        if answer.wants_colours and answer.colour(deadline):
            self.refresh()
        if not answer.sheet.is_exact:
            answer.sheet.fill(deadline)
            self.settle(answer.sheet.height)
        more = answer.has_more or answer.wants_colours or not answer.sheet.is_exact
        if not more and not answer.is_streaming:
            self.come_to_rest()
        return more

    def _changed(self) -> None:
        self._dirty = True
        if self._wake is not None:
            self._wake()

    @property
    def sheet(self) -> Sheet:
        return self._answer.sheet

    def lay_out(self, width: int) -> None:
        self._answer.set_width(width)
        self._changed()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """The marks have ASCII of their own; the rest is as the model wrote it."""
        return as_written(super().get_line_filters())

    def base_roles(self, section: int) -> Roles:
        return _BASE[section]

    def decoration(self) -> tuple[int, str] | None:
        """The cursor, after the last row of what is arriving, or after its headline when that is folded."""
        if not self._answer.is_streaming:
            return None
        active = self._answer.active
        return max(0, self.sheet.top(active) + self.sheet.sections[active].body - 1), self._glyphs.cursor

    def marks(self, section: int, row: Row) -> list[Mark]:
        return self._matches.marks(section, row) if self._matches.found else []

    def _spawn(self, function: Callable[[], None]) -> None:
        """Run a function in a thread and draw again after it."""

        async def run() -> None:
            await asyncio.to_thread(function)
            self._changed()

        self.run_worker(run(), group="colours", exit_on_error=True)

    # -- Textual's side ----------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._spawn(warm)

    def on_show(self) -> None:
        self._hidden = False
        self._changed()

    def on_hide(self) -> None:
        self._hidden = True

    def scrolled_by_hand(self) -> None:
        self._copied = -1
        self._changed()

    def watch_follow(self, follow: bool) -> None:
        self.post_message(self.FollowChanged(self, follow))
        self._changed()

    def watch_raw(self, raw: bool) -> None:
        place = self.reading_place()
        self._answer.set_raw(raw)
        self._answer.update(time.perf_counter() + FIRST_FRAME_S)
        self.go_back(place)
        self.settle()
        self._changed()

    def watch_reasoning_open(self, is_open: bool) -> None:
        self.remember_place()
        self.sheet.sections[REASONING].is_open = is_open
        self._answer.refresh_headlines()
        self._answer.update(time.perf_counter() + FIRST_FRAME_S)
        self.settle()
        self._changed()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        start = None if selection.start is None else selection.start.transpose
        end = None if selection.end is None else selection.end.transpose
        return self._answer.selected(start, end), "\n"

    def on_click(self, event: events.Click) -> None:
        """On the headline: fold or open the reasoning. On `[c] copy`: ask for that block to be copied."""
        if (offset := event.get_content_offset(self)) is None:
            return
        y = offset.y + self.scroll_offset.y
        section, row = self.row_at(y)
        if section == REASONING and row is self.sheet.sections[REASONING].headline:
            self.toggle_reasoning()
            event.stop()
        elif row.code >= 0 and row.has_role_at("code-button", offset.x):
            self._ask_copy(next(block for block in self.code_blocks() if block.start == row.code))
            event.stop()

    def action_toggle_reasoning(self) -> None:
        self.toggle_reasoning()

    def action_toggle_raw(self) -> None:
        """Source or Markdown; the reading place stays."""
        self.raw = not self.raw

    def action_copy_code(self) -> None:
        self.copy_code()

    def action_next_block(self) -> None:
        """Scroll so that the next block is at the top."""
        below = [y for y in self._answer.block_tops() if y > self.scroll_offset.y]
        if below:
            self.scroll_to(y=below[0], animate=False)

    def action_previous_block(self) -> None:
        """Scroll so that the previous block is at the top."""
        above = [y for y in self._answer.block_tops() if y < self.scroll_offset.y]
        self.scroll_to(y=above[-1] if above else 0, animate=False)
