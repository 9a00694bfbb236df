"""A program in a pseudo-terminal of its own: press keys, and learn when a certain text first appeared on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from workbench.core.errors import WorkbenchError

LINES, COLUMNS = 40, 120
PATIENCE_S = 60.0
QUIT = b"\x11"
"""ctrl+q, Textual's own."""

# A session leader that opens a terminal gets it as its controlling one, which is what /dev/tty then means.
_WITH_TERMINAL = 'exec 3<>"$1"; shift; exec "$@"'


class NothingPainted(WorkbenchError):
    """The program ended, or went on in silence, without showing what was waited for."""

    title = "nothing painted"


class TerminalProgram:
    """A running program. Leaving the block ends it, whatever state it is in."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.started_ns = time.perf_counter_ns()
        self._process = subprocess.Popen(  # noqa: S603 - the command is our own
            ["/bin/sh", "-c", _WITH_TERMINAL, "sh", os.ttyname(slave), *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environ),
            start_new_session=True,
        )
        os.close(slave)
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    def wait_for(self, marker: bytes) -> int:
        """`perf_counter_ns` at the read that completed the marker. Raises NothingPainted."""
        deadline = time.monotonic() + PATIENCE_S
        while marker not in self._seen and self._read(deadline - time.monotonic()):
            pass
        now_ns = time.perf_counter_ns()
        if marker not in self._seen:
            tail = self._seen[-400:].decode(errors="replace")
            raise NothingPainted(f"The screen never showed {marker.decode()!r}.", hint=f"Its last output: {tail!r}")
        return now_ns

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def finish(self) -> int:
        """Let the program end by itself, reading on (one that cannot write cannot quit); its exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(timeout=max(1.0, deadline - time.monotonic()))

    def _read(self, patience_s: float) -> bool:
        """One piece of output. False when there will be no more, or nothing came in time."""
        if not select.select([self._master], [], [], max(0.0, patience_s))[0]:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:
            # Linux reports the end of a pseudo-terminal as an I/O error.
            return False
        self._seen += piece
        return bool(piece)


def first_paint_s(command: Sequence[str], marker: bytes, environ: Mapping[str, str]) -> float:
    """Seconds from starting `command` until `marker` is in its output; the program is then asked to quit."""
    with TerminalProgram(command, environ) as program:
        painted_ns = program.wait_for(marker)
        program.press(QUIT)
        program.finish()
        return (painted_ns - program.started_ns) / 1e9
