"""A program in a pseudo-terminal of its own, and when a certain text first appeared on its screen."""

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

from workbench.core.errors import WorkbenchError

LINES, COLUMNS = 40, 120
PATIENCE_S = 60.0
QUIT = b"\x11"
"""ctrl+q, Textual's own."""


class NothingPainted(WorkbenchError):
    """The program ended, or went on in silence, without showing what was waited for."""

    title = "nothing painted"


def first_paint_s(command: Sequence[str], marker: bytes, environ: Mapping[str, str]) -> float:
    """Seconds from starting `command` until `marker` is in its output; the program is then asked to quit."""
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        started_ns = time.perf_counter_ns()
        process = subprocess.Popen(  # noqa: S603 - the command is our own
            command, stdin=slave, stdout=slave, stderr=slave, env=dict(environ), start_new_session=True
        )
        os.close(slave)
        try:
            painted_ns = _wait_for(master, marker)
            os.write(master, QUIT)
            _drain(master, process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    finally:
        os.close(master)
    return (painted_ns - started_ns) / 1e9


def _wait_for(master: int, marker: bytes) -> int:
    """`perf_counter_ns` at the read that completed the marker."""
    seen = b""
    deadline = time.monotonic() + PATIENCE_S
    while select.select([master], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            # Linux reports the end of a pseudo-terminal as an I/O error.
            break
        now_ns = time.perf_counter_ns()
        seen += chunk
        if marker in seen:
            return now_ns
        if not chunk:
            break
    tail = seen[-400:].decode(errors="replace")
    raise NothingPainted(f"The screen never showed {marker.decode()!r}.", hint=f"Its last output: {tail!r}")


def _drain(master: int, process: subprocess.Popen[bytes]) -> None:
    """Let the program say goodbye; one that cannot write cannot quit."""
    deadline = time.monotonic() + 5.0
    while process.poll() is None and time.monotonic() < deadline:
        if select.select([master], [], [], 0.05)[0]:
            try:
                os.read(master, 65536)
            except OSError:
                return
