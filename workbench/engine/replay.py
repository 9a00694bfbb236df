"""A stored answer said again at the pace of the first time: for demonstrations, and for looking at a pace twice.

The cache keeps when the first and the last token came and not every one between, so words are spread evenly over that
time; what was thought comes before what was said, each in its own part of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from workbench.core.clock import NS_PER_S
from workbench.core.types import Channel
from workbench.engine.stored_answer import StoredAnswer

_WORD = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    at_s: float
    """Since the request was made."""
    channel: Channel
    text: str


def pieces(stored: StoredAnswer, speed: float) -> Iterator[Piece]:
    """Every word at its time, `speed` times as fast as recorded. Joined by channel they are the stored texts."""
    timing = stored.timing
    last_ns = timing.last_token_ns or timing.done_ns or 0
    # An answer that came in one piece comes in one piece again, when it came.
    first_ns = timing.first_token_ns if timing.first_token_ns is not None else last_ns
    answer_ns = timing.first_answer_ns if timing.first_answer_ns is not None else first_ns
    spans = (
        (Channel.REASONING, stored.reasoning, first_ns, answer_ns if stored.text else last_ns),
        (Channel.TEXT, stored.text, answer_ns, last_ns),
        (Channel.TOOL, stored.tool_calls, last_ns, last_ns),
    )
    for channel, text, start_ns, end_ns in spans:
        words = _WORD.findall(text) if end_ns > start_ns else [text] if text else []
        for place, word in enumerate(words):
            at_ns = start_ns + (end_ns - start_ns) * place / max(1, len(words) - 1)
            yield Piece(at_ns / NS_PER_S / speed, channel, word)
