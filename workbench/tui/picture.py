"""A screen as SVG that looks the same in every viewer.

Rich writes each run of one style as one text with its blanks and the length that it should have. Browsers keep both;
other viewers and converters trim the blanks at the ends or ignore the length, and columns run out of line. So blanks
become places: words that are more than a space apart are texts of their own, each at the cell where it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape

from rich.cells import cell_len

_BLANK = "\N{NO-BREAK SPACE}"
_TEXT = re.compile(
    r'<text class="(?P<style>[^"]*)" x="(?P<x>[^"]*)" y="(?P<y>[^"]*)" textLength="(?P<length>[^"]*)"'
    r' clip-path="(?P<clip>[^"]*)">(?P<text>[^<]*)</text>'
)
_LINES = "\u2500-\u259f\u2800-\u28ff"
"""Frames, bars and charts."""
_WORDS = re.compile(rf"[{_LINES}]{{1,8}}|[^{_BLANK}{_LINES}]+(?:{_BLANK}[^{_BLANK}{_LINES}]+)*")
"""What has single blanks between it; lines in short pieces, so that none ends visibly early."""


def aligned(svg: str) -> str:
    """The same picture, with every word at its own place."""
    return _TEXT.sub(lambda found: "".join(_placed(found)), svg)


def _placed(found: re.Match[str]) -> Iterator[str]:
    text = unescape(found["text"])
    if not text.strip("\n"):
        yield found[0]
        return
    # Rich takes every sign for one cell here, so that what is wide is squeezed; where it stands it counts cells.
    cell = float(found["length"]) / len(text)
    for words in _WORDS.finditer(text):
        x = float(found["x"]) + cell_len(text[: words.start()]) * cell
        said = escape(words[0]).replace(_BLANK, "&#160;")
        yield (
            f'<text class="{found["style"]}" x="{x:g}" y="{found["y"]}" textLength="{cell_len(words[0]) * cell:g}"'
            f' clip-path="{found["clip"]}">{said}</text>'
        )
