"""One answer as it streams: reasoning, text and tool calls, each a document, on one sheet. Knows no terminal.

Text comes in as the wire cut it and is cleaned on the way; everything that is asked for afterwards (copies, code
blocks, searches, selections) is answered from the cleaned source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workbench.core.clock import NS_PER_S, Clock
from workbench.core.text import ControlStripper
from workbench.core.types import Channel
from workbench.tui.markdown.code_colours import Spawn
from workbench.tui.markdown.document import Document
from workbench.tui.markdown.flow import cells
from workbench.tui.markdown.rows import Glyphs, Piece, Row
from workbench.tui.markdown.search import Match, search_pattern
from workbench.tui.markdown.sheet import Section, Sheet
from workbench.tui.markdown.thinking import Thinking

REASONING, ANSWER, TOOL = range(3)
"""Sections of the sheet, from the top."""

HEADLINE_PERIOD_NS = NS_PER_S // 4
"""How often the time in the headline changes while a model thinks: faster cannot be read."""

_SECTION_OF = {Channel.REASONING: REASONING, Channel.TEXT: ANSWER, Channel.TOOL: TOOL}


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One fenced or indented block of an answer."""

    language: str
    """First word of the fence's info string; empty when there is none."""
    text: str
    """The code exactly as it stands in the source, without fences and container prefixes."""
    start: int
    """Offset of the block in the answer's text."""

    @property
    def what(self) -> str:
        """For a notification: `sql, 3 lines`."""
        lines = self.text.count("\n") + 1
        return f"{self.language or 'code'}, {lines} {'line' if lines == 1 else 'lines'}"


class Answer:
    def __init__(self, glyphs: Glyphs, spawn: Spawn, clock: Clock, *, raw: bool = False, is_open: bool = False) -> None:
        """
        Args:
            spawn: Runs a function off the loop.
            raw: Show the source instead of Markdown.
            is_open: Show the reasoning unfolded.
        """
        self._glyphs = glyphs
        self._spawn = spawn
        self._clock = clock
        self._raw = raw
        self._width = 80
        self._pending: list[tuple[int, str]] = []
        self._strippers = [ControlStripper() for _ in _SECTION_OF]
        self._headline_due_ns = 0
        self.active = ANSWER
        """The section that text is arriving in."""
        self.is_streaming = False
        self.thinking = Thinking()
        self.sheet = Sheet(
            [
                Section("reasoning", Document(glyphs, spawn, raw=raw), is_open=is_open),
                Section("answer", Document(glyphs, spawn, raw=raw)),
                Section("tool", Document(glyphs, spawn, raw=True)),
            ]
        )

    # -- text --------------------------------------------------------------------------------------------------------

    def append(self, channel: Channel, text: str) -> None:
        """Store a piece as it arrived."""
        section = _SECTION_OF[channel]
        if section == REASONING:
            self.thinking.piece(self._clock.monotonic_ns())
        else:
            self.thinking.end(self._clock.monotonic_ns())
        self._pending.append((section, text))
        self.is_streaming = True

    def finish(self) -> None:
        """No more is coming; half-received sequences are settled."""
        self.thinking.end(self._clock.monotonic_ns())
        self._take_pending()
        for section, stripper in zip(self.sheet.sections, self._strippers, strict=True):
            if rest := stripper.finish():
                section.document.append(rest)
            section.document.finish()
        self.is_streaming = False
        self._headline_due_ns = 0

    def load(self, text: str, reasoning: str) -> None:
        """Take a finished answer."""
        self._pending = [(REASONING, reasoning), (ANSWER, text)]
        self.finish()

    def add_note(self, text: str) -> None:
        """A remark of our own after what has arrived so far."""
        self._take_pending()
        self.sheet.sections[self.active].document.add_note(text)

    def source(self, section: int) -> str:
        """All text of a section so far, without control codes."""
        self._take_pending()
        return self.sheet.sections[section].document.text

    def _take_pending(self) -> None:
        if not self._pending:
            return
        pieces: list[list[str]] = [[] for _ in _SECTION_OF]
        for number, piece in self._pending:
            pieces[number].append(piece)
        self.active = self._pending[-1][0]
        self._pending = []
        for section, stripper, parts in zip(self.sheet.sections, self._strippers, pieces, strict=True):
            if parts and (text := stripper.feed("".join(parts))):
                section.document.append(text)

    # -- rows --------------------------------------------------------------------------------------------------------

    def set_width(self, width: int) -> None:
        self._width = width
        for section in self.sheet.sections:
            section.document.set_width(width)

    def set_raw(self, raw: bool) -> None:
        """Source or Markdown. Rows are those of new documents; offsets stay what they are."""
        if raw == self._raw:
            return
        self._raw = raw
        for section in self.sheet.sections[:TOOL]:
            document = Document(self._glyphs, self._spawn, raw=raw)
            document.set_width(self._width)
            document.take_over(section.document)
            section.document = document

    def update(self, deadline_s: float) -> int:
        """Bring rows up to date with what has arrived. The first row of the sheet that changed."""
        self._take_pending()
        changed = self._update_headlines()
        for index, section in enumerate(self.sheet.sections):
            first = section.document.update(deadline_s)
            if section.is_open and first < section.document.height:
                changed = min(changed, self.sheet.top(index) + first)
        return min(changed, self.sheet.height)

    @property
    def has_more(self) -> bool:
        """`update` ran into its deadline, or a headline goes on changing."""
        waits = any(section.document.has_unfed for section in self.sheet.sections)
        return waits or (self.is_streaming and self.thinking.is_going_on)

    def colour(self, deadline_s: float) -> bool:
        """Colour finished code, until the deadline. True when rows have changed."""
        return any(section.document.colour(deadline_s) for section in self.sheet.sections)

    @property
    def wants_colours(self) -> bool:
        return any(section.document.wants_colours for section in self.sheet.sections)

    def _update_headlines(self) -> int:
        """Word the headlines anew where they are due. The first row that changed."""
        reasoning, _, tool = self.sheet.sections
        changed = 1 << 60
        if reasoning.document.text:
            glyph = self._glyphs.unfolded if reasoning.is_open else self._glyphs.folded
            now_ns = self._clock.monotonic_ns()
            if now_ns >= self._headline_due_ns or reasoning.headline is None:
                self._headline_due_ns = now_ns + HEADLINE_PERIOD_NS
                words = self.thinking.headline(now_ns, len(reasoning.document.text), live=self.is_streaming)
                headline = _headline(f"{glyph} {words}")
                if headline != reasoning.headline:
                    reasoning.headline = headline
                    changed = 0
        if tool.document.text and tool.headline is None:
            tool.headline = _headline("tool call")
            changed = min(changed, self.sheet.top(TOOL) - 1)
        return changed

    def refresh_headlines(self) -> None:
        """Let the next `update` word them anew."""
        self._headline_due_ns = 0

    # -- questions ---------------------------------------------------------------------------------------------------

    def code_blocks(self) -> tuple[CodeBlock, ...]:
        """The answer's code blocks in order, an unfinished one included."""
        self._take_pending()
        document = self.sheet.sections[ANSWER].document
        if self._raw:
            source, document = document, Document(self._glyphs, self._spawn)
            document.take_over(source)
        return tuple(CodeBlock(language, text, start) for start, language, text in document.code_blocks())

    def code_block_below(self, section: int, row: Row) -> int:
        """Number of the first one that does not end above a row; the very first where all do."""
        offset = row.start if section == ANSWER else 0 if section < ANSWER else len(self.source(ANSWER))
        below = (n for n, block in enumerate(self.code_blocks()) if block.start + len(block.text) >= offset)
        return next(below, 0)

    def selected(self, start: tuple[int, int] | None, end: tuple[int, int] | None) -> str:
        """Source between two (section, offset) positions; None: the beginning, the end. Folded text is left out."""
        first, begin = start or (REASONING, 0)
        last, stop = end or (TOOL, len(self.source(TOOL)))
        parts = []
        for index in range(first, last + 1):
            section = self.sheet.sections[index]
            text = section.document.text
            part = text[begin if index == first else 0 : stop if index == last else len(text)]
            if section.is_open and part:
                parts.append(part)
        return "\n\n".join(parts)

    def search(self, query: str) -> list[Match]:
        """Occurrences in what the model wrote, the reasoning first."""
        if (pattern := search_pattern(query)) is None:
            return []
        return [
            Match(index, *found.span())
            for index in range(len(self.sheet.sections))
            for found in pattern.finditer(self.source(index))
        ]

    def block_tops(self) -> Iterator[int]:
        """Rows at which blocks begin, from the top of the sheet."""
        for index, section in enumerate(self.sheet.sections):
            if section.is_open:
                top = self.sheet.top(index)
                yield from (top + y for y in section.document.block_tops())


def _headline(text: str) -> Row:
    return Row((Piece(text, ("headline",), 0, 0),), cells(text), 0)
