"""The code blocks of a document: which blocks are their parts, and the colours of their lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from workbench.tui.markdown.blocks import Block, Kind
from workbench.tui.markdown.code_colours import CodeColours, Spawn
from workbench.tui.markdown.layout import Colours


class CodeBook:
    """Told of every part that closes; has a block coloured when no further part of it can come."""

    def __init__(self, spawn: Spawn) -> None:
        self._colours = CodeColours(spawn)
        self._parts: dict[int, list[int]] = {}
        """Block numbers of each code block's parts, by its start."""
        self._lines_above: dict[int, int] = {}
        """Lines of the same code block in the parts before this block number."""
        self._uncoloured: set[int] = set()

    def close(self, index: int, blocks: Sequence[Block]) -> None:
        """Block number `index` is one of code, and final."""
        first = blocks[index].first
        parts = self._parts.setdefault(first, [])
        self._lines_above[index] = self._lines_above[parts[-1]] + len(blocks[parts[-1]].lines) if parts else 0
        parts.append(index)
        self._uncoloured.add(first)

    def colour_finished(self, growing: int, blocks: Sequence[Block], text: str) -> None:
        """Colour what is complete: all but the code block that starts at `growing`."""
        for first in sorted(self._uncoloured - {growing}):
            self._uncoloured.discard(first)
            parts = [blocks[index] for index in self._parts[first]]
            code = "\n".join([part.content(text) for part in parts if part.lines])
            self._colours.add(first, parts[0].language, code)

    def colours(self, index: int, block: Block) -> Colours | None:
        """For `lay_out`; None while they are not known."""
        tokens = self._colours.tokens(block.first)
        if tokens is None:
            return None
        above = self._lines_above[index]
        return lambda line: tokens[above + line] if above + line < len(tokens) else None

    @property
    def is_busy(self) -> bool:
        return self._colours.is_busy

    def step(self, deadline_s: float) -> list[int]:
        """Go on colouring until the deadline; numbers of the blocks that look different now."""
        return [index for first in self._colours.step(deadline_s) for index in self._parts[first]]


def code_blocks(blocks: Iterable[Block], text: str) -> Iterator[tuple[int, str, str]]:
    """Start, language and code of each code block, whose parts become one again."""
    first, language, parts = -1, "", list[str]()
    for block in blocks:
        if block.kind is not Kind.CODE:
            continue
        if block.first != first:
            if first >= 0:
                yield first, language, "\n".join(parts)
            first, language, parts = block.first, block.language, []
        if block.lines:
            parts.append(block.content(text))
    if first >= 0:
        yield first, language, "\n".join(parts)
