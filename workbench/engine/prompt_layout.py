"""Whether prompts are laid out so that a provider's prefix cache can help: what stays the same must come first.

Compared are two prompts that go to one model one after the other. A finding is told once per model: as a note of the
answer that it was found with, and as a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from workbench.core.types import CHARACTERS_PER_TOKEN, Message, Route
from workbench.engine.router import Target
from workbench.providers.capabilities import traits_of

LOOKED_AT: Final = 65_536
"""Characters at either end of a prompt: four times the largest minimum, so a ten-megabyte prompt costs no more."""

_NEARLY: Final = 0.5
"""Of the minimum: a shared beginning that is shorter is no accident of layout."""

_KNOWN: Final = frozenset({"openai", "anthropic", "gemini"})
"""The providers that say how long a prefix must be. Others cache nothing, or cache without a minimum."""


def layout_hint(before: str, now: str, minimum: int) -> str | None:
    """What to change, in words, or None when two prompts share what they share at their beginning.

    Args:
        minimum: tokens below which the provider caches no prefix.
    """
    start = _shared(before, now)
    if start == min(len(before), len(now)):
        return None  # The same prompt again, or a conversation that goes on.
    end = min(_shared(before[::-1], now[::-1]), min(len(before), len(now)) - start)
    start_tokens, end_tokens = start // CHARACTERS_PER_TOKEN, end // CHARACTERS_PER_TOKEN
    if start_tokens >= minimum:
        return None
    if start_tokens + end_tokens >= minimum:
        return (
            f"layout: the last ~{end_tokens:,} tokens are the same as in the prompt before, behind what changes. Put "
            f"what stays the same first, for example into the system message: from {minimum:,} tokens on the provider "
            "caches it."
        )
    if start_tokens >= _NEARLY * minimum:
        return (
            f"layout: the first ~{start_tokens:,} tokens are the same as in the prompt before, and the provider caches "
            f"from {minimum:,} on. A longer beginning, with examples for instance, may cost less."
        )
    return None


class LayoutWatch:
    """Remembers each model's last prompt until there is something to say about it."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        """`tell(topic, text)` is called once per model; see NoticeBoard."""
        self._tell = tell
        self._last: dict[Route, str] = {}
        self._done: set[Route] = set()

    def look(self, target: Target, messages: Sequence[Message]) -> str | None:
        """The hint, the first time that there is one for this model."""
        route = target.route
        if route in self._done or target.spec.name not in _KNOWN:
            return None
        # Providers put the system text in front, wherever it stood.
        ordered = sorted(messages, key=lambda message: message.role.value != "system")
        now = "\x1e".join(message.text for message in ordered)
        if len(now) > 2 * LOOKED_AT:
            now = f"{now[:LOOKED_AT]}\x1e{now[-LOOKED_AT:]}"
        before = self._last.get(route)
        self._last[route] = now
        hint = (
            None if before is None else layout_hint(before, now, traits_of(target.spec, route.wire_model).cache_minimum)
        )
        if hint is not None:
            self._done.add(route)
            del self._last[route]
            self._tell(f"layout {route.spec}", f"{route.spec}: {hint}")
        return hint


def _shared(first: str, second: str) -> int:
    """Length of the common beginning, by halving: slices compare at memory speed, characters one by one do not."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
