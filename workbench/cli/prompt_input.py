"""The prompt, put together from the command line and standard input."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Sequence

SILENT_PIPE_S = 1.0
"""How long standard input is waited for when a prompt stands on the command line as well."""


def whole_prompt(parts: Sequence[str]) -> str:
    """The prompt's parts and standard input, joined by blank lines; each `-` is where standard input goes.

    Without a `-` a pipe is appended. One that stays silent for a second is not waited for, and that is said: a program
    started by another one often inherits a pipe to which nobody will ever write.
    """
    if "-" in parts:
        text = sys.stdin.read()
        return _joined([text if part == "-" else part for part in parts])
    if not parts:
        return "" if _is_terminal() else _as_written(sys.stdin.read().strip())
    return _joined([*parts, _piped()])


def _piped() -> str:
    if _is_terminal() or sys.stdin is None:
        return ""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        # Not a file at all: put there by whoever calls us from Python.
        return sys.stdin.read()
    if stat.S_ISREG(mode):
        return sys.stdin.read()
    if not stat.S_ISFIFO(mode):
        return ""
    if not select.select([sys.stdin], [], [], SILENT_PIPE_S)[0]:
        print("Standard input stayed silent and was left out; write - in the prompt to wait for it.", file=sys.stderr)
        return ""
    return sys.stdin.read()


def _is_terminal() -> bool:
    return sys.stdin is None or sys.stdin.isatty()


def _joined(parts: Sequence[str]) -> str:
    return _as_written("\n\n".join(part.strip("\n") for part in parts if part.strip()))


def _as_written(text: str) -> str:
    """Python makes lone surrogates of bytes that the locale does not know, in `LANG=C` of every umlaut: those bytes as
    the UTF-8 that they nearly always are, and U+FFFD for what is not even that."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:  # surrogates of another origin; what sends them says so
        return text
