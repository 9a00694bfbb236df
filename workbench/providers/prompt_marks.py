"""Where Anthropic is told to keep a prompt: `cache_control` marks, which cost 25 % more once and save 90 % after.

Marked is only what the next request is likely to begin with: the system text, and in a conversation everything up to
the model's own last words. The newest question is not, since nobody knows yet whether another one follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workbench.core.types import CHARACTERS_PER_TOKEN, Message, Role

MARK: Final = {"type": "ephemeral"}

_TURNS: Final = 2
"""The last words of the model's before this question, where this request's prefix ends, and those before them, where
the previous request's ended. With the system text that makes three of the four marks that a request may have."""


def worth_marking(messages: Sequence[Message], minimum: int) -> frozenset[int]:
    """Places of the messages whose end is to be marked. The system messages count as one, marked at the last of them.

    Args:
        minimum: tokens below which the model keeps nothing.
    """
    # An empty text may carry no mark.
    system = [place for place, message in enumerate(messages) if message.role is Role.SYSTEM and message.text.strip()]
    turns = [place for place, message in enumerate(messages) if message.role is not Role.SYSTEM]
    tokens = sum(_tokens(messages[place]) for place in system)
    marked = {system[-1]} if system and tokens >= minimum else set[int]()
    said = []
    for place in turns[:-1]:
        tokens += _tokens(messages[place])
        if messages[place].role is Role.ASSISTANT and tokens >= minimum and messages[place].text.strip():
            said.append(place)
    return frozenset(marked.union(said[-_TURNS:]))


def _tokens(message: Message) -> int:
    # An estimate will do: a mark on too little is ignored and costs nothing.
    return len(message.text) // CHARACTERS_PER_TOKEN
