"""Tokens of an answer as the store keeps them, the same in every table that has some."""

from __future__ import annotations

from typing import TypedDict

from workbench.core.types import Usage


class UsageColumns(TypedDict):
    """All null where nobody said how many there were."""

    input_tokens: int | None
    cached_tokens: int | None
    written_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    usage_source: str | None


def usage_columns(usage: Usage | None) -> UsageColumns:
    return {
        "input_tokens": usage.input if usage else None,
        "cached_tokens": usage.cached_input if usage else None,
        "written_tokens": usage.cache_write if usage else None,
        "output_tokens": usage.output if usage else None,
        "reasoning_tokens": usage.reasoning if usage else None,
        "usage_source": usage.source if usage else None,
    }
