"""Answers as text for the clipboard: one answer, a conversation, code blocks, a whole comparison as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from workbench.core.types import Channel
from workbench.session.lane import Lane

_FENCE = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<code>.*?)(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)


def answer(lane: Lane) -> str:
    """The last turn's answer as the model wrote it, without reasoning; empty if there is none."""
    return lane.turn.text() if lane.turn is not None else ""


def code_blocks(text: str) -> tuple[str, ...]:
    """The contents of all fenced blocks, without their fences; one that is still being written counts too."""
    return tuple(match["code"] for match in _FENCE.finditer(text))


def conversation(lane: Lane) -> str:
    """Every turn of one lane as Markdown."""
    parts = [f"# {lane.target.name}"]
    for turn in lane.turns:
        parts.append(f"## Prompt\n\n{turn.prompt}")
        if reasoning := turn.text(Channel.REASONING).strip():
            quoted = "\n".join(f"> {line}".rstrip() for line in reasoning.splitlines())
            parts.append(f"## Reasoning\n\n{quoted}")
        ending = "" if turn.state.is_success else f"\n\n*({turn.state}{_cause(turn.error)})*"
        parts.append(f"## Answer\n\n{turn.text().strip()}{ending}".rstrip())
    return "\n\n".join(parts) + "\n"


def comparison(lanes: Iterable[Lane]) -> str:
    """All conversations, one after the other."""
    return "\n---\n\n".join(conversation(lane) for lane in lanes if lane.turns)


def _cause(error: Exception | None) -> str:
    return f": {error}" if error is not None else ""
