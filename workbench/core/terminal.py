"""What the terminal at the other end can do."""

from __future__ import annotations

import os
from typing import TextIO


def redraws(stream: TextIO) -> bool:
    """Whether a line can be written over: on a terminal, and not on one that calls itself dumb (editors' shells)."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
