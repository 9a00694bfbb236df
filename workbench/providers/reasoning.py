"""Splitting `<think>…</think>` out of a text stream, piece by piece.

Open models that are served without a reasoning parser write their reasoning into the answer, between tags. Here it
goes to its own channel as it arrives. Only a tag that opens the answer counts: a model that writes *about* `<think>`
later on is quoted, not cut. The invariant, which a property test holds: however the text is cut into pieces, the two
channels come out the same, and nothing but the tags themselves is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from workbench.core.types import Channel


@dataclass(frozen=True, slots=True)
class ThinkTags:
    """How a model marks its reasoning."""

    opening: str = "<think>"
    closing: str = "</think>"
    prefilled: bool = False
    """The chat template has already written the opening tag, so the answer starts inside it."""


class _Where(Enum):
    BEFORE = auto()
    """Nothing but white space so far: what is held may still become the opening tag."""
    INSIDE = auto()
    AFTER = auto()
    """Between the closing tag and the first visible character of the answer."""
    ANSWER = auto()


class ThinkSplitter:
    """One answer's splitter: `feed` it text, `close` it at the end."""

    __slots__ = ("_held", "_tags", "_where")

    def __init__(self, tags: ThinkTags | None = None) -> None:
        self._tags = tags or ThinkTags()
        self._held = ""
        """Received and not given out: a tag or a run of white space that the next piece may complete."""
        self._where = _Where.BEFORE

    @property
    def is_settled(self) -> bool:
        """True once everything that follows is answer text and feeding it through changes nothing."""
        return self._where is _Where.ANSWER and not self._held

    def feed(self, text: str) -> list[tuple[Channel, str]]:
        """The pieces that are certain after this text, in order, none of them empty."""
        pieces: list[tuple[Channel, str]] = []
        held = self._held + text
        if self._where is _Where.BEFORE:
            held = self._before(held)
        if self._where is _Where.INSIDE:
            held = self._inside(held, pieces)
        if self._where is _Where.AFTER and held.strip():
            # White space after the tag waits for the answer's first visible character: by itself it would stop the
            # time-to-first-answer clock.
            self._where = _Where.ANSWER
        if self._where is _Where.ANSWER and held:
            pieces.append((Channel.TEXT, held))
            held = ""
        self._held = held
        return pieces

    def close(self) -> list[tuple[Channel, str]]:
        """What was still held when the stream ended."""
        held, self._held = self._held, ""
        if not held:
            return []
        return [(Channel.REASONING if self._where is _Where.INSIDE else Channel.TEXT, held)]

    def _before(self, held: str) -> str:
        opening = self._tags.opening
        start = held.lstrip()
        if start.startswith(opening):
            self._where = _Where.INSIDE
            return held[: len(held) - len(start)] + start[len(opening) :]
        if opening.startswith(start):
            return held
        self._where = _Where.INSIDE if self._tags.prefilled else _Where.ANSWER
        return held

    def _inside(self, held: str, pieces: list[tuple[Channel, str]]) -> str:
        closing = self._tags.closing
        reasoning, found, rest = held.partition(closing)
        if not found:
            keep = _overlap(held, closing)
            reasoning, rest = held[: len(held) - keep], held[len(held) - keep :]
        if reasoning:
            pieces.append((Channel.REASONING, reasoning))
        if found:
            self._where = _Where.AFTER
        return rest


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of `text` that is a proper beginning of `tag`."""
    for size in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-size:]):
            return size
    return 0
