"""A request as every dialect means it, once its own spelling is gone: what was asked, of whom, with which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workbench.simulator.models import ModelProfile
from workbench.simulator.tokens import count_tokens

TOKENS_PER_MESSAGE = 4
"""Role and separators, as chat templates add them."""
LONG_TEXT = 16_000
"""Characters above which a text is not tokenised just to be counted."""


def tokens_in(text: str) -> int:
    return count_tokens(text) if len(text) <= LONG_TEXT else len(text) // 4


@dataclass(frozen=True, slots=True)
class Turn:
    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Prompt:
    """What a model gets to see and what the caller allows it to do."""

    model: ModelProfile
    system: str
    turns: tuple[Turn, ...]
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    seed: int | None = None
    effort: str | None = None
    """None: the model's default. `none` turns reasoning off."""
    thinking_tokens: int | None = None
    """The most it may think; 0 is not at all, None is as the model likes."""
    json_schema: Mapping[str, Any] | None = None
    json_object: bool = False
    tools: tuple[Tool, ...] = ()
    force_tool: str | None = None
    """A tool's name, or `*` for any of them."""

    @property
    def question(self) -> str:
        """The last thing a person said."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def earlier_question(self) -> str:
        """The one before it, if there is one."""
        asked = [turn.text for turn in self.turns if turn.role == "user"]
        return asked[-2] if len(asked) > 1 else ""

    @cached_property
    def text(self) -> str:
        """Everything, as the prompt cache sees it."""
        tools = "".join(f"{tool.name}{tool.description}{tool.schema}" for tool in self.tools)
        return "\x1e".join([tools, self.system, *(f"{turn.role}\x1f{turn.text}" for turn in self.turns)])

    @cached_property
    def tokens(self) -> int:
        texts = [self.system, *(turn.text for turn in self.turns)]
        framing = TOKENS_PER_MESSAGE * sum(1 for text in texts if text) + 3
        tools = sum(tokens_in(f"{tool.name} {tool.description} {tool.schema}") + 8 for tool in self.tools)
        return framing + tools + sum(tokens_in(text) for text in texts)
