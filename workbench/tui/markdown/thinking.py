"""How long a model thought and how much: the one line that stands for its reasoning while that is folded."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.core.clock import NS_PER_S
from workbench.core.types import CHARACTERS_PER_TOKEN


@dataclass(slots=True)
class Thinking:
    """Times the reasoning from its first piece to the first piece of the answer, and words the headline."""

    began_ns: int | None = None
    ended_ns: int | None = None
    seconds: float | None = None
    """As the provider or the record says; then our own clock is not asked."""
    tokens: int | None = None

    @property
    def is_going_on(self) -> bool:
        return self.began_ns is not None and self.ended_ns is None

    def piece(self, now_ns: int) -> None:
        if self.began_ns is None:
            self.began_ns = now_ns

    def end(self, now_ns: int) -> None:
        if self.is_going_on:
            self.ended_ns = now_ns

    def headline(self, now_ns: int, characters: int, *, live: bool) -> str:
        """`thinking 4.1s` while it streams, then `thought 2.3s (412 tok)`; `thought` alone when nothing is known."""
        if live and self.is_going_on:
            assert self.began_ns is not None
            return f"thinking {(now_ns - self.began_ns) / NS_PER_S:.1f}s"
        words = ["thought"]
        if self.seconds is not None:
            words.append(f"{self.seconds:.1f}s")
        elif self.began_ns is not None and self.ended_ns is not None:
            words.append(f"{(self.ended_ns - self.began_ns) / NS_PER_S:.1f}s")
        if self.tokens is not None:
            words.append(f"({self.tokens:,} tok)")
        elif characters:
            words.append(f"(~{max(1, characters // CHARACTERS_PER_TOKEN):,} tok)")
        return " ".join(words)
