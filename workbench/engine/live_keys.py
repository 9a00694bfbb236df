"""How the keys of a running process stand, for whoever asks from another one: `llm-workbench keys` beside an open app.

Every open engine listens on a socket in a directory that only its owner may enter, answers a connection with one line
of JSON and closes it; nothing is written and nothing runs while nobody asks. No key is in the answer, only its alias
and its fingerprint. Where there can be no such socket, there is none, and nothing else changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from workbench.core.clock import NS_PER_S
from workbench.core.errors import ConfigError
from workbench.core.paths import private_directory
from workbench.engine.limiter_stats import DimensionStats, LaneStats, LimiterStats, QueueStats

_SUFFIX = ".socket"
PATIENCE_S = 2.0
"""For the answer of a process that is busy, or stopped."""


class LiveLimit(msgspec.Struct, frozen=True):
    kind: str
    used: float
    """In the last minute, what calls in flight hold in reserve included."""
    per_minute: float
    learned: bool
    """From refusals, not stated by the provider."""


class LiveLane(msgspec.Struct, frozen=True):
    name: str
    state: str
    in_flight: int
    window: int
    limits: tuple[LiveLimit, ...]
    waiting: int
    """Requests of its family, which may go over other keys as well."""
    reason: str
    """What they wait for; empty when none waits."""
    next_s: float | None
    cooling_s: float | None
    why: str
    """Why it is cooling."""


class LiveKey(msgspec.Struct, frozen=True):
    alias: str
    provider: str
    source: str
    fingerprint: str
    condition: str
    in_flight: int
    sent: int
    refused: int
    cooling_s: float | None
    why: str
    lanes: tuple[LiveLane, ...]


class LiveProcess(msgspec.Struct, frozen=True):
    pid: int
    program: str
    keys: tuple[LiveKey, ...]


def live_process(limits: LimiterStats) -> LiveProcess:
    """This process, as the limiter sees it at that moment."""
    queues = {(queue.provider, queue.family): queue for queue in limits.queues}
    lanes = {lane.name: _lane(lane, queues.get((lane.provider, lane.family)), limits.at_ns) for lane in limits.lanes}
    keys = tuple(
        LiveKey(
            alias=key.alias,
            provider=key.provider,
            source=key.source,
            fingerprint=key.fingerprint,
            condition=key.condition.value,
            in_flight=key.in_flight,
            sent=key.sent,
            refused=key.refused,
            cooling_s=_left_s(key.cooling_until_ns, limits.at_ns),
            why=key.why,
            lanes=tuple(lanes[name] for name in key.lanes if name in lanes),
        )
        for key in limits.keys
    )
    return LiveProcess(os.getpid(), Path(sys.argv[0]).name, keys)


def _lane(lane: LaneStats, queue: QueueStats | None, now_ns: int) -> LiveLane:
    waiting = 0 if queue is None else sum(queue.waiting.values()) + queue.parked
    return LiveLane(
        name=lane.name,
        state=lane.state.value,
        in_flight=lane.in_flight,
        window=lane.window,
        limits=tuple(map(_limit, lane.dimensions)),
        waiting=waiting,
        reason=queue.reason.value if queue is not None and queue.reason is not None and waiting else "",
        next_s=_left_s(queue.until_ns, now_ns) if queue is not None and waiting else None,
        cooling_s=_left_s(lane.paused_until_ns, now_ns),
        why=lane.why,
    )


def _limit(dimension: DimensionStats) -> LiveLimit:
    return LiveLimit(dimension.kind.value, dimension.used, dimension.pace, dimension.learned)


def _left_s(until_ns: int | None, now_ns: int) -> float | None:
    return None if until_ns is None else max(0.0, (until_ns - now_ns) / NS_PER_S)


class LiveKeys:
    """Answers for one engine between `open` and `aclose`."""

    def __init__(self, directory: Path, limits: Callable[[], LimiterStats]) -> None:
        self._directory = directory
        self._limits = limits
        self._path: Path | None = None
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        path = self._directory / f"{os.getpid()}-{secrets.token_hex(3)}{_SUFFIX}"
        # Read-only, too long a path, a system without such sockets: then nobody can ask.
        with contextlib.suppress(ConfigError, OSError, AttributeError, NotImplementedError):
            private_directory(self._directory)
            self._server = await asyncio.start_unix_server(self._answer, path)
            self._path = path

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever asked may have gone again.
        with contextlib.suppress(OSError):
            writer.write(msgspec.json.encode(live_process(self._limits())) + b"\n")
            writer.close()
            await writer.wait_closed()

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def live_processes(directory: Path) -> Iterator[LiveProcess]:
    """All that are running now and answer. What dead ones have left behind is removed."""
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        try:
            said = _ask(path)
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        except OSError:
            continue  # it is busy, or of another user
        else:
            with contextlib.suppress(msgspec.DecodeError):  # another version, or gone while it spoke
                yield msgspec.json.decode(said, type=LiveProcess)


def _ask(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect(str(path))
        with connection.makefile("rb") as said:
            return said.read()
