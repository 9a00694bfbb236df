"""How many tokens a prompt has: an estimate at once, or the exact number from the model's own tokenizer.

An exact count that cannot be had becomes the estimate, and says so: a count is advice, never worth a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from workbench.core.pricing import ModelFacts
from workbench.core.types import Message
from workbench.providers.tokenizer import tokenizer_for
from workbench.session.preflight import estimate

_PER_MESSAGE: Final = 3
_BEFORE_THE_ANSWER: Final = 3
"""What OpenAI's chat format puts around a message, besides its role, and behind the last one."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    tokens: int
    is_exact: bool = False
    why: str = ""
    """Why it is an estimate although an exact count was asked for."""


def estimated(messages: Sequence[Message]) -> TokenCount:
    """Characters over four, and a little for each message."""
    return TokenCount(estimate(messages, ModelFacts()).input_tokens)


def counted(
    messages: Sequence[Message],
    wire_model: str,
    find: Callable[[str], Callable[[str], int] | None] = tokenizer_for,
) -> TokenCount:
    """With the model's own tokenizer, where it is public. Blocking, 0.5 s the first time: not on an event loop."""
    guess = estimated(messages).tokens
    try:
        count = find(wire_model)
    except (OSError, ValueError) as exc:
        return TokenCount(guess, why=f"The tokenizer of {wire_model} could not be loaded ({type(exc).__name__}).")
    if count is None:
        return TokenCount(guess, why=f"The tokenizer of {wire_model} is not public.")
    inside = sum(_PER_MESSAGE + count(message.role.value) + count(message.text) for message in messages)
    return TokenCount(inside + _BEFORE_THE_ANSWER, is_exact=True)
