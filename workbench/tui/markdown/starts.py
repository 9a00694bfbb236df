"""How a line can begin a block: the line-level grammar of CommonMark and GFM, one small recogniser each.

They look at a line whose containers have been taken off; indentation has been judged already. The splitter decides
when to ask them, they only answer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_ATX = re.compile(r"(#{1,6})(?:[ \t]+|$)")
_ATX_CLOSE = re.compile(r"(?:^|[ \t]+)#+[ \t]*$")
_FENCE = re.compile(r"(`{3,})([^`]*)$|(~{3,})(.*)$")
_SETEXT = re.compile(r"(=+|-+)[ \t]*$")
_RULE = re.compile(r"(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_MARKER = re.compile(r"([-+*])(?=[ \t]|$)|(\d{1,9})([.)])(?=[ \t]|$)")
_DEFINITION = re.compile(
    r"\[((?:[^\[\]\\]|\\.)*[^\[\]\\\s](?:[^\[\]\\]|\\.)*)\]:[ \t]*(<[^<>]*>|[^\s<]\S*)"
    r"""(?:[ \t]+("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\)))?[ \t]*$"""
)

_BLANK = re.compile(r"^\s*$")


@lru_cache(maxsize=1)
def _html_starts() -> tuple[tuple[re.Pattern[str], re.Pattern[str], bool], ...]:
    """Start, end, and whether it may interrupt a paragraph: the seven conditions of CommonMark 4.6.

    Made when first needed: importing markdown-it takes 100 ms, which a first paint does not have.
    """
    from markdown_it.common.html_blocks import block_names
    from markdown_it.common.html_re import HTML_OPEN_CLOSE_TAG_STR

    verbatim = "script|pre|style|textarea"
    return (
        (
            re.compile(rf"<(?:{verbatim})(?=\s|>|$)", re.IGNORECASE),
            re.compile(rf"</(?:{verbatim})>", re.IGNORECASE),
            True,
        ),
        (re.compile(r"<!--"), re.compile(r"-->"), True),
        (re.compile(r"<\?"), re.compile(r"\?>"), True),
        (re.compile(r"<![A-Za-z]"), re.compile(r">"), True),
        (re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>"), True),
        (re.compile(rf"</?(?:{'|'.join(block_names)})(?=\s|/?>|$)", re.IGNORECASE), _BLANK, True),
        (re.compile(HTML_OPEN_CLOSE_TAG_STR + r"\s*$"), _BLANK, False),
    )


class Heading(NamedTuple):
    level: int
    start: int
    end: int


class Fence(NamedTuple):
    char: str
    length: int
    info: str


class Marker(NamedTuple):
    char: str
    """`-`, `+`, `*`, or the delimiter `.` or `)` of an ordered one."""
    number: int | None
    length: int


class Definition(NamedTuple):
    label: str
    target: str
    title: str


def heading(line: str) -> Heading | None:
    """An ATX heading with the span of its content, closing `#`s and spaces taken off."""
    if not (found := _ATX.match(line)):
        return None
    start = found.end()
    closing = _ATX_CLOSE.search(line, start)
    end = closing.start() if closing else len(line.rstrip(" \t"))
    return Heading(len(found[1]), start, max(start, end))


def setext_level(line: str) -> int | None:
    if not (found := _SETEXT.match(line)):
        return None
    return 1 if found[1][0] == "=" else 2


def fence(line: str) -> Fence | None:
    if not (found := _FENCE.match(line)):
        return None
    marks, info = (found[1], found[2]) if found[1] else (found[3], found[4])
    return Fence(marks[0], len(marks), info.strip())


def closes_fence(line: str, char: str, length: int) -> bool:
    marks = line.rstrip(" \t")
    return len(marks) >= length and marks.strip(char) == ""


def is_rule(line: str) -> bool:
    return _RULE.match(line) is not None


def marker(line: str) -> Marker | None:
    if not (found := _MARKER.match(line)):
        return None
    if found[1]:
        return Marker(found[1], None, 1)
    return Marker(found[3], int(found[2]), found.end())


def html_end(line: str, in_paragraph: bool) -> re.Pattern[str] | None:
    """The pattern whose line ends the HTML block that this line begins; None if it begins none."""
    for start, end, interrupts in _html_starts():
        if start.match(line):
            return end if interrupts or not in_paragraph else None
    return None


def maths_end(line: str) -> str | None:
    """What ends the display maths that this line begins, `$$` or `\\]`; None if it begins none.

    `$$` counts only alone on its line or as `$$ … $$`: prices are more common than formulas.
    """
    text = line.rstrip()
    if text.startswith("$$"):
        return "$$" if len(text) == 2 or (text.endswith("$$") and len(text) > 4) else None
    return "\\]" if text.startswith("\\[") and (len(text) == 2 or text.endswith("\\]")) else None


def definition(line: str) -> Definition | None:
    """A link reference definition that stands on one line."""
    if not (found := _DEFINITION.match(line)):
        return None
    target = found[2]
    return Definition(found[1], target[1:-1] if target[0] == "<" else target, (found[3] or "")[1:-1])
