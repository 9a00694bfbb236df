"""What is being written: a prompt and a system prompt, kept on disk as they change so that they are never lost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Draft:
    prompt: str = ""
    system: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.prompt.strip()
