"""A block while lines are still being added to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from workbench.tui.markdown.blocks import Block, Container, Kind, Line
from workbench.tui.markdown.starts import Fence


@dataclass(slots=True)
class Leaf:
    """The block that lines are being added to."""

    kind: Kind
    start: int
    containers: tuple[Container, ...]
    blank_before: bool
    lines: list[Line] = field(default_factory=list)
    line_starts: list[int] = field(default_factory=list)
    """Where each line of `lines` begins, prefixes included: where a part can begin."""
    chars: int = 0
    level: int = 0
    info: str = ""
    fence: Fence | None = None
    fence_indent: int = 0
    html_end: re.Pattern[str] | None = None
    maths_end: str = ""
    first: int = -1
    """-1: not a further part."""
    waiting: list[tuple[Line, int]] = field(default_factory=list)
    """Blank lines of indented code: they belong to it only if more code follows."""
    last_text: str = ""
    """A paragraph's last line, while it may still turn out to be the header of a table."""

    @property
    def is_verbatim(self) -> bool:
        return self.fence is not None or self.html_end is not None or bool(self.maths_end)

    @property
    def is_indented_code(self) -> bool:
        return self.kind is Kind.CODE and self.fence is None

    def copy(self) -> Leaf:
        """One that can grow without this one noticing."""
        return replace(self, lines=self.lines.copy(), line_starts=self.line_starts.copy(), waiting=self.waiting.copy())

    def block(self) -> Block:
        return Block(
            self.kind,
            self.start,
            self.containers,
            tuple(self.lines),
            self.level,
            self.info,
            self.start if self.first < 0 else self.first,
            self.blank_before,
        )

    def next_part(self, start: int) -> Leaf:
        """An empty leaf that goes on where this one stops."""
        first = self.start if self.first < 0 else self.first
        return replace(
            self, first=first, start=start, blank_before=False, lines=[], line_starts=[], chars=0, last_text=""
        )
