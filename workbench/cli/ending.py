"""How a run of the program ends: every error becomes a line or two on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def exit_code_of(action: Callable[[], int]) -> int:
    """What `action` returns, or the code of the error that it raises. What is not ours goes on up as a traceback."""
    try:
        code = action()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except Exception as raised:  # the program's own boundary
        exc = _lone(raised)
        if isinstance(exc, BrokenPipeError):
            # Whoever read our output has seen enough: 1, as click has it.
            _let_go_of_output()
            return FAILED
        if isinstance(exc, OSError) and exc.errno in _NO_ROOM:
            _let_go_of_output()
            print(f"llm-workbench: Cannot write {exc.filename or 'the output'}: {exc.strerror}.", file=sys.stderr)
            return FAILED
        # Imported here: with the types it names, the error tree is a fifth of what `--help` takes.
        from workbench.core.errors import ConfigError, MissingKey, UsageError, WorkbenchError

        if not isinstance(exc, WorkbenchError):
            raise
        print(f"llm-workbench: {exc.message}", file=sys.stderr)
        if exc.hint:
            print(exc.hint, file=sys.stderr)
        return WRONG_USAGE if isinstance(exc, ConfigError | UsageError | MissingKey) else FAILED
    return code


def _let_go_of_output() -> None:
    """What could not be written stays unwritten: Python would try again, and complain, when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lone(exc: Exception) -> Exception:
    """What went wrong, out of the group that tasks wrap it in."""
    while isinstance(exc, ExceptionGroup) and len(exc.exceptions) == 1:
        (exc,) = exc.exceptions
    return exc
