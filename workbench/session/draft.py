"""What is being written: a prompt and a system prompt, kept on disk as they change so that they are never lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Draft:
    prompt: str = ""
    system: str = ""

    @property
    def is_empty(self) -> bool:
        return not self.prompt.strip()


MAX_FILE_BYTES = 2_000_000
"""More than any model reads; a larger file is a mistake."""


def read_prompt(path: Path) -> str:
    """The text of a file that is to become a prompt. Raises UsageError that says what is wrong with it."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UsageError(f"{path} is {size / 1e6:.1f} MB: too large for a prompt.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file.", hint="It has to be UTF-8.") from None
