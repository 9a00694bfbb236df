"""The simulator as a child process: what `--demo`, the benchmarks and the screenshots run against.

A process of its own, because a server on the client's loop would spend the time that is being measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class SimulatorProcess:
    """A running child."""

    url: str
    base_urls: dict[str, str]
    api_key: str
    ca_file: Path | None
    pid: int


class SimulatorFailed(RuntimeError):
    """The child ended, or said nothing, before it was ready."""


class _Ready(msgspec.Struct):
    url: str
    base_urls: dict[str, str]
    api_key: str
    ca_file: str | None = None


@contextlib.asynccontextmanager
async def simulator_process(
    *,
    profile: str = "demo",
    seed: int = 0,
    time_scale: float = 1.0,
    tls: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
    coalesce_ms: float = 0.0,
) -> AsyncIterator[SimulatorProcess]:
    """Start `llm-workbench simulate` and stop it again, however the block ends.

    The child also ends when this process does, even by SIGKILL: it reads a pipe whose other end is ours.
    """
    command = [
        *(sys.executable, "-m", "workbench", "simulate"),
        *("--host", host, "--port", str(port), "--profile", profile, "--seed", str(seed)),
        *("--time-scale", str(time_scale), "--coalesce-ms", str(coalesce_ms), "--until-stdin-closes"),
    ]
    if tls:
        command.append("--tls")
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A Ctrl-C in the terminal is for the parent, which then stops the child itself.
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        ready = await _ready(child)
        yield SimulatorProcess(
            ready.url, ready.base_urls, ready.api_key, Path(ready.ca_file) if ready.ca_file else None, child.pid
        )
    finally:
        await asyncio.shield(_stop(child))


async def _ready(child: asyncio.subprocess.Process) -> _Ready:
    assert child.stdout is not None
    assert child.stderr is not None
    try:
        line = await asyncio.wait_for(child.stdout.readline(), START_TIMEOUT_S)
    except TimeoutError:
        raise SimulatorFailed(f"the simulator was not ready within {START_TIMEOUT_S:g} s") from None
    if not line:
        said = (await child.stderr.read()).decode(errors="replace").strip()
        raise SimulatorFailed(f"the simulator ended before it was ready: {said[-2000:] or 'it said nothing'}")
    return msgspec.json.decode(line, type=_Ready)


async def _stop(child: asyncio.subprocess.Process) -> None:
    if child.stdin is not None:
        child.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        # communicate() drains the pipes, so that a child with much to say cannot block on them.
        await asyncio.wait_for(child.communicate(), STOP_TIMEOUT_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
