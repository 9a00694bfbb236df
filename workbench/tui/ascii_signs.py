"""For terminals that have ASCII alone: what the screens are drawn with, replaced as the last thing before it is shown.

Borders, rules, dashes and the like come from everywhere, from Textual itself to the figures. What stands for them has
the same width, so that nothing moves. What people and models write is theirs: views of that say so by `as_written`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_CHOSEN = {
    "—–‐‑−─━┄┅┈┉╌╍═▔▀": "-",
    "│┃┆┇┊┋║▌▐▎▏▍▋▊▉╎╏": "|",
    "┌┐└┘├┤┬┴┼╭╮╯╰╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋": "+",
    "▁▂▃▄▅▆▇": "_",
    "█▓▒░■▪◼": "#",
    "·•∙◦●○◌": "*",
    "…⋯": ".",
    "≥▸▶→❯›»": ">",
    "≤◂◀←❮‹«": "<",
    "↑▴▲": "^",
    "↓▾▼": "v",
    "≈": "~",
    "×✗✕✖": "x",
    "✓✔": "+",
    "“”„": '"',
    "‘’‚": "'",
    "🔎": "> ",
    "⏎↵": "<",
}


class _Signs(dict[int, str]):
    """For `str.translate`: worked out once for every character that is met."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        self[code] = stand_in = _stand_in(sign)
        return stand_in


_SIGNS = _Signs({ord(sign): stand_in for signs, stand_in in _CHOSEN.items() for sign in signs})


def _stand_in(sign: str) -> str:
    """Letters and digits of any script are words, which no sign stands for."""
    if sign.isascii() or unicodedata.category(sign)[0] not in "PS":
        return sign
    plain = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return plain if cell_len(plain) == cell_len(sign) else "?" * cell_len(sign)


class AsciiSigns(LineFilter):
    """Draws with ASCII what was drawn with other signs."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.control or segment.text.isascii() else segment._replace(text=in_ascii(segment.text))
            for segment in segments
        ]


def in_ascii(text: str) -> str:
    """The same width in cells, with ASCII in place of every sign that is not."""
    return text.translate(_SIGNS)


def as_written(filters: Sequence[LineFilter]) -> list[LineFilter]:
    """For `get_line_filters` of what shows people's and models' own words."""
    return [one for one in filters if not isinstance(one, AsciiSigns)]
