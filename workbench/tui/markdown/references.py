"""What `[label]` stands for: the link reference definitions of a text, in the order in which they close."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from workbench.tui.markdown.blocks import Block
from workbench.tui.markdown.inline import InlineParser, normalise_label
from workbench.tui.markdown.starts import definition


class References:
    """The first definition of a label counts (CommonMark 4.7)."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}
        """Target and title by normalised label."""

    def learn(self, block: Block, text: str) -> list[str]:
        """Take over what a block of definitions says; the labels that were not known before, as they are written."""
        labels = []
        for line in block.lines:
            if (found := definition(text[line.start : line.end])) is not None:
                label = normalise_label(found.label)
                if label not in self._known:
                    self._known[label] = (found.target, found.title)
                    labels.append(found.label)
        return labels

    def parser(self) -> InlineParser:
        """That knows all of them, and none that is learned later."""
        return InlineParser(self._known)


def uses_of(labels: Sequence[str], text: str) -> Iterator[int]:
    """Where a text refers to one of these labels."""
    for use in re.finditer(rf"\[(?:{'|'.join(map(re.escape, labels))})\](?!:)", text, re.IGNORECASE):
        yield use.start()
