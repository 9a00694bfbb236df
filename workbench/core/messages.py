"""Conversations from what a caller wrote: a string, our own messages, or dictionaries with role and content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from workbench.core.errors import UsageError
from workbench.core.types import Json, Message, Role

Prompt: TypeAlias = "str | Sequence[Message | Mapping[str, Json]]"
"""A user's words, or a conversation: `[{"role": "user", "content": "…"}]`."""

_ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}


def messages_from(prompt: Prompt, system: str | None = None, *, where: str = "") -> tuple[Message, ...]:
    """`where` begins the complaint, such as `prompt 3: `. A system text goes before the rest, or in its place.

    Raises UsageError for None, for nothing at all, for an unknown role, and for content that is not text.
    """
    if isinstance(prompt, str):
        messages = [Message.user(prompt)]
    elif isinstance(prompt, Sequence):
        messages = [_message(item, f"{where}message {place}: ") for place, item in enumerate(prompt)]
    else:
        raise UsageError(f"{where}expected text or a list of messages, got {_kind(prompt)}.")
    if not any(message.text.strip() for message in messages):
        raise UsageError(f"{where}the prompt is empty.")
    if system:
        messages = [Message.system(system), *(message for message in messages if message.role is not Role.SYSTEM)]
    return tuple(messages)


def prompts_from(prompts: Prompt | Sequence[Prompt]) -> Sequence[Prompt]:
    """One prompt or many: a string is one, and so is a list that begins with a message."""
    if isinstance(prompts, str):
        return [prompts]
    if len(prompts) and isinstance(prompts[0], Message | Mapping):
        return [cast("Prompt", prompts)]
    return cast("Sequence[Prompt]", prompts)


def _message(item: object, where: str) -> Message:
    if isinstance(item, Message):
        return item
    if not isinstance(item, Mapping):
        raise UsageError(f"{where}expected a message with role and content, got {_kind(item)}.")
    role = _ROLES.get(str(item.get("role")))
    if role is None:
        raise UsageError(f"{where}role {item.get('role')!r} is not one of {', '.join(_ROLES)}.")
    return Message(role, _text(item.get("content"), where))


def _text(content: object, where: str) -> str:
    """Content as a string, or as a list of `{"type": "text", "text": …}` parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        texts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        if len(texts) == len(content) and all(isinstance(text, str) for text in texts):
            return "".join(str(text) for text in texts)
    raise UsageError(f"{where}content must be text, not {_kind(content)}.")


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
