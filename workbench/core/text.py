"""What a model wrote, made harmless for a terminal: no escape sequences, no control codes, no hidden reordering.

Everything a model or a provider says passes through here once, before it is stored for showing. Removed are

- whole escape sequences: CSI, OSC and the other control strings, and two-character escapes, in 7-bit and 8-bit form,
- every other C0 and C1 control except newline and tab,
- bidirectional embeddings, overrides and isolates, with which shown text can differ from copied text.

A surrogate pair becomes its character, a lone surrogate U+FFFD: neither can be written to a terminal as it is. Nothing
else is touched. A control string that does not end within its line and `LONGEST_STRING` characters loses its introducer
only: a stray `ESC ]` must not swallow an answer. A CSI sequence cut off by the end of the text goes as if complete.
"""

from __future__ import annotations

import re

LONGEST_STRING = 4096
"""Characters of a control string's payload. OSC 8 links and titles stay far below; longer ones are shown as text."""

_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}"
_STRING = rf"(?:\x1b[PX\]^_]|[\x90\x98\x9d\x9e\x9f])[^\x00-\x08\x0a-\x1f\x7f-\x9f]{{0,{LONGEST_STRING}}}"
_COMPLETE = rf"{_CSI}[@-~]|{_STRING}(?:\x1b\\|[\x07\x9c])"
_PARTIAL = rf"(?P<partial>(?:{_CSI}|{_STRING}\x1b?|\x1b[ -/]{{0,4}}|[\ud800-\udbff])\Z)"
_REST = (
    r"\x1b[ -/]{0,4}[0-OQ-WYZ\\`-~]|\x1b[PX\[\]^_]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
    r"|(?P<pair>[\ud800-\udbff][\udc00-\udfff])|(?P<lone>[\ud800-\udfff])"
)

_SUSPECT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_WHOLE = re.compile(rf"{_COMPLETE}|{_CSI}\Z|{_REST}")
_STREAM = re.compile(f"{_COMPLETE}|{_PARTIAL}|{_REST}")


def _replacement(match: re.Match[str]) -> str:
    match match.lastgroup:
        case "pair":
            return match[0].encode("utf-16", "surrogatepass").decode("utf-16")
        case "lone":
            return "\ufffd"
        case _:
            return ""


def strip_control(text: str) -> str:
    """`text` without control codes, as described at the top of this module."""
    return _WHOLE.sub(_replacement, text) if _SUSPECT.search(text) else text


class ControlStripper:
    """`strip_control` for text that arrives in pieces cut anywhere, also inside a sequence or a surrogate pair.

    The results of all `feed` calls and of `finish`, joined, equal `strip_control` of all pieces joined.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown now. The start of a possible sequence at the end is held back for the next piece."""
        if not self._held and not _SUSPECT.search(piece):
            return piece
        text = self._held + piece
        self._held = ""
        return _STREAM.sub(self._replace, text)

    def finish(self) -> str:
        """No more pieces: what was held back, settled."""
        held, self._held = self._held, ""
        return strip_control(held)

    def _replace(self, match: re.Match[str]) -> str:
        if match.lastgroup == "partial":
            self._held = match[0]
            return ""
        return _replacement(match)
