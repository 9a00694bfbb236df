"""Unfinished inline Markdown as it will most likely look: `**bo` is the beginning of something bold.

Only for the end of a text that is still arriving. Without it every emphasis, code span and link would first show its
marks and then swallow them, and the words after it would jump.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from workbench.tui.markdown.inline import Run

_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\1(?!`)).)*?(?<!`)\1(?!`)", re.DOTALL)
_BACKTICKS = re.compile(r"`+")
_LINK_TARGET = re.compile(r"\]\([^()\s]*\Z")
_DELIMITER = re.compile(r"\\.|\*\*|\*|__|_|~~", re.DOTALL)
_TRAILING = re.compile(r"(?<!\\)(?:\*{1,3}|_{1,3}|~{1,2}|`+|\[|!\[?)\Z")
_UNDECIDED = re.compile(
    r"[ >]*(?:[-=*_+#`~]{1,3}|\d{1,9}[.)]?|\|[ \t:|-]*|[-*+]\s\[[ xX]?|\$\$?|\\\[?|<[/!]?\w{0,10})\Z"
)


def missing_end(content: str) -> tuple[str, str]:
    """What to show of `content`, and the marks that close what is open in it.

    A mark at the very end may open or close; until the next character tells, it is not shown.
    """
    shown = _TRAILING.sub("", content)
    rest = _CODE_SPAN.sub(lambda span: " " * len(span[0]), shown)
    if ticks := _BACKTICKS.search(rest):
        return shown, ticks[0]
    closing = ")" if _LINK_TARGET.search(rest) else ""
    opened: list[str] = []
    for found in _DELIMITER.finditer(rest):
        mark = found[0]
        if mark[0] == "\\":
            continue
        before, after = rest[found.start() - 1 : found.start()], rest[found.end() : found.end() + 1]
        if mark in opened and before.strip():
            del opened[opened.index(mark) :]
        elif after.strip() and not (mark[0] == "_" and before.isalnum()):
            opened.append(mark)
    return shown, closing + "".join(reversed(opened))


def guessing(parse: Callable[[str], tuple[Run, ...]]) -> Callable[[str], tuple[Run, ...]]:
    """`parse` for a content that is not complete yet."""

    def parse_unfinished(content: str) -> tuple[Run, ...]:
        shown, closing = missing_end(content)
        if not closing:
            return parse(shown)
        length = len(shown)
        runs = []
        for run in parse(shown + closing):
            if run.start >= length:
                break
            surplus = run.end - length
            if surplus > 0:
                # The guess was wrong: the marks came out as text.
                run = run._replace(text=run.text[:-surplus], end=length)
            runs.append(run)
        return tuple(runs)

    return parse_unfinished


def is_certain(content: str) -> bool:
    """Nothing in `content` is a guess."""
    return missing_end(content) == (content, "")


def is_undecided(line: str) -> bool:
    """The beginning of a line that may still become something else: `-` a list, an underline or a rule."""
    return len(line) < 40 and _UNDECIDED.match(line) is not None
