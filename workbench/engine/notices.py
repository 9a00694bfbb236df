"""Things a person should be told once: the cache is read-only, a key was retired, this machine is the bottleneck.

Not events of a request: they concern everything that follows. May be raised from any thread; whoever listens is
called on the loop the board belongs to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from workbench.core.clock import Clock


@dataclass(frozen=True, slots=True)
class Notice:
    at_ns: int
    topic: str
    """What it is about; one topic is told once."""
    text: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.hint}".strip()


class NoticeBoard:
    """Keeps what was said, and says nothing twice."""

    __slots__ = ("_clock", "_listener", "_loop", "_said")

    def __init__(self, clock: Clock, listener: Callable[[Notice], None] | None = None) -> None:
        self._clock = clock
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._said: dict[str, Notice] = {}

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on listeners are called on this loop."""
        self._loop = loop

    def tell(self, topic: str, text: str, hint: str = "") -> None:
        notice = Notice(self._clock.monotonic_ns(), topic, text, hint)
        # setdefault is atomic, so two threads with one topic still tell it once.
        if self._said.setdefault(topic, notice) is not notice or self._listener is None:
            return
        if self._loop is None or self._loop.is_closed():
            self._listener(notice)
        else:
            self._loop.call_soon_threadsafe(self._listener, notice)

    def all(self) -> tuple[Notice, ...]:
        """Everything said so far, oldest first."""
        return tuple(self._said.values())

    def forget(self, topic: str) -> None:
        """The trouble is over: should it come back, it is worth telling again."""
        self._said.pop(topic, None)
