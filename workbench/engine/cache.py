"""The response cache: what was asked before, in exactly these words and parameters, is answered from disk.

Reads are inline (8–40 µs), after a small in-memory LRU; writes go to a thread of their own. Opening eight shards takes
0.2 s on a local disk and seconds on NFS, so it happens off the loop. Nothing that goes wrong here fails a request: a
corrupt entry is a miss, and a locked, read-only or full disk is told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from workbench.core.clock import Clock
from workbench.core.errors import ConfigError
from workbench.core.forking import ForkSafeThreads
from workbench.core.settings import CacheSettings
from workbench.core.types import Result
from workbench.engine.shelf import Shelf, open_fanout
from workbench.engine.stored_answer import StoredAnswer

OPENING_S = 5.0
"""How long a request waits for the cache to open before it goes on without."""

BEHIND = 512
"""Writes on their way to the disk, from which on new requests wait for them. The writer needs Python's lock for every
statement, and gets it rarely beside a loop that is never idle: without this, a long run would hold half of its answers
in memory."""

KEEP_UP_S = 5.0
"""How long they wait at most; a disk that has stopped must not stop the requests."""

_MOST_PENDING = 16 * BEHIND
_WRITE_TRIES = 8
_FIRST_PAUSE_S = 0.01
_MEMORY_ENTRIES = 256
_MEMORY_CHARACTERS = 8_000_000


@dataclass(frozen=True, slots=True)
class CacheStats:
    hits: int
    misses: int
    stored: int
    pending: int
    """Writes that have not reached the disk yet."""
    failed: int
    """Writes given up."""
    in_memory: int
    is_open: bool


class ResponseCache:
    """One engine's view of the response cache; the directory is shared with other processes."""

    def __init__(
        self,
        directory: Path,
        settings: CacheSettings,
        clock: Clock,
        tell: Callable[[str, str, str], None],
        open_shelf: Callable[[Path, int], Shelf] | None = None,
    ) -> None:
        """`tell(topic, text, hint)` is called from any thread when a person should know; see NoticeBoard."""
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._open_shelf = open_shelf or open_fanout
        self._shelf: Shelf | None = None
        self._writer = ForkSafeThreads(max_workers=1, thread_name_prefix="response-cache")
        self._opening: asyncio.Future[None] | None = None
        self._closed = False
        self._memory = _Memory()
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(StoredAnswer)
        self._patience = _WRITE_TRIES
        self._behind: asyncio.Future[None] | None = None
        """What requests wait for while the writes are behind."""
        self._is_stuck = False
        """Waiting was in vain, and is not done again before the writes have caught up."""
        self._hits = self._misses = self._failed = 0
        # Each counted in one thread alone.
        self._handed_over = self._dealt_with = self._stored = 0

    async def open(self) -> None:
        """Open the disk's part in the writer's thread, once. Returns when it is there, failed, or takes too long."""
        if self._closed or self._shelf is not None:
            return
        if self._opening is None:
            self._opening = asyncio.get_running_loop().run_in_executor(self._writer, self._open)
        if self._opening.done():
            return
        done, _ = await asyncio.wait({self._opening}, timeout=OPENING_S)
        if not done:
            self._tell(
                "cache-slow", f"The response cache in {self._directory} takes long to open.", "Not waiting for it."
            )

    def get(self, key: str) -> StoredAnswer | None:
        """The stored answer, or None. Never raises; call `open` first."""
        answer = self.look(key)
        if answer is None:
            self._misses += 1
        return answer

    def look(self, key: str) -> StoredAnswer | None:
        """The same for whoever asks again, with `get`, when there is none: one request must not miss twice."""
        answer = self._memory.get(key)
        if answer is not None:
            if self._is_too_old(answer):
                return None
        else:
            answer = self._from_disk(key)
            if answer is None or self._is_too_old(answer):
                return None
            self._memory.put(key, answer)
        self._hits += 1
        return answer

    def put(self, key: str, result: Result) -> None:
        """Keep an answer: from now on in memory, soon on disk."""
        answer = StoredAnswer.of(result, self._clock.wall().timestamp())
        self._memory.put(key, answer)
        if self._closed:
            return
        if self._pending >= _MOST_PENDING:
            self._failed += 1
            self._complain("cache-unwritable", "cannot be written", "the disk does not keep up with the answers")
            return
        self._handed_over += 1
        self._writer.submit(self._write, key, answer)

    async def keep_up(self) -> None:
        """For whoever is about to ask for more: wait while too many writes are on their way, `KEEP_UP_S` at most."""
        if self._pending <= BEHIND:
            self._is_stuck = False
            return
        if self._is_stuck or self._closed:
            return
        if self._behind is None:
            behind = self._behind = asyncio.get_running_loop().create_future()
            # Behind everything that is on its way by now.
            caught_up = self._writer.submit(lambda: None)
            caught_up.add_done_callback(lambda _: self._tell_loop(behind))
        done, _ = await asyncio.wait({self._behind}, timeout=KEEP_UP_S)
        if not done:
            self._is_stuck = True

    async def put_all(self, answers: Sequence[tuple[str, Result]]) -> None:
        """Keep many, on disk alone, and return when they are there; memory stays with what was asked last."""
        await self.open()
        if self._closed:
            return
        now_s = self._clock.wall().timestamp()
        self._handed_over += len(answers)

        def write() -> None:
            for key, result in answers:
                self._write(key, StoredAnswer.of(result, now_s))

        await asyncio.get_running_loop().run_in_executor(self._writer, write)

    async def clear(self) -> int:
        """Forget everything, in memory and on disk; how many answers were on disk."""
        self._memory.clear()
        await self.open()
        if self._shelf is None or self._closed:
            return 0
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._clear, self._shelf)

    async def aclose(self) -> None:
        """Finish the writes under way and close the files."""
        if self._closed:
            return
        self._closed = True
        self._writer.submit(self._close)
        await asyncio.to_thread(self._writer.shutdown)
        self._close()

    def statistics(self) -> CacheStats:
        return CacheStats(
            hits=self._hits,
            misses=self._misses,
            stored=self._stored,
            pending=self._pending,
            failed=self._failed,
            in_memory=len(self._memory),
            is_open=self._shelf is not None,
        )

    @property
    def _pending(self) -> int:
        return self._handed_over - self._dealt_with

    def _tell_loop(self, behind: asyncio.Future[None]) -> None:
        """From the writer's thread. A loop that is closed by then has nobody waiting."""
        with contextlib.suppress(RuntimeError):
            behind.get_loop().call_soon_threadsafe(self._caught_up, behind)

    def _caught_up(self, behind: asyncio.Future[None]) -> None:
        if not behind.done():
            behind.set_result(None)
        self._behind = None

    def _from_disk(self, key: str) -> StoredAnswer | None:
        if self._shelf is None:
            return None
        try:
            data = self._shelf.get(key)
            return None if data is None else self._decoder.decode(data)
        except (msgspec.DecodeError, TypeError):
            # Not what we wrote, or from a version with other fields: asked again and written over.
            return None
        except (sqlite3.Error, OSError) as exc:
            self._complain("cache-unreadable", "cannot be read", str(exc))
            return None

    def _is_too_old(self, answer: StoredAnswer) -> bool:
        ttl_s = self._settings.ttl_s
        return ttl_s is not None and self._clock.wall().timestamp() - answer.stored_at_s > ttl_s

    # -- in the writer's thread ----------------------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._shelf = self._open_shelf(self._directory, self._settings.size_mb * 1_000_000)
        except (sqlite3.Error, OSError, ConfigError) as exc:
            self._complain("cache-closed", "cannot be opened", str(exc))

    def _write(self, key: str, answer: StoredAnswer) -> None:
        try:
            self._put_on_shelf(key, answer)
        finally:
            self._dealt_with += 1

    def _put_on_shelf(self, key: str, answer: StoredAnswer) -> None:
        if self._shelf is None:
            return
        data = self._encoder.encode(answer)
        try:
            for attempt in range(self._patience):
                if self._shelf.set(key, data):
                    self._stored += 1
                    self._patience = _WRITE_TRIES
                    return
                time.sleep(_FIRST_PAUSE_S * 2**attempt)
        except (sqlite3.Error, OSError) as exc:
            self._complain("cache-unwritable", "cannot be written", str(exc))
        else:
            self._complain("cache-unwritable", "cannot be written", "it is locked by another process, or read-only")
        self._failed += 1
        # Waiting 2.5 s for every answer of a long run would pile them up; the first success brings patience back.
        self._patience = 1

    def _clear(self, shelf: Shelf) -> int:
        try:
            return shelf.clear()
        except (sqlite3.Error, OSError) as exc:
            self._complain("cache-unwritable", "cannot be cleared", str(exc))
            return 0

    def _close(self) -> None:
        # Connections belong to the thread that opened them: once in the writer's, once in the loop's.
        if self._shelf is not None:
            self._shelf.close()

    def _complain(self, topic: str, what: str, why: str) -> None:
        self._tell(
            topic,
            f"The response cache in {self._directory} {what}: {why.removesuffix('.')}.",
            "Everything works without it, but nothing is kept; set LLM_CACHE_DIR to another place.",
        )


class _Memory:
    """The answers used last, bounded by number and by size."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, StoredAnswer] = OrderedDict()
        self._characters = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> StoredAnswer | None:
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: str, answer: StoredAnswer) -> None:
        old = self._answers.pop(key, None)
        if old is not None:
            self._characters -= _size(old)
        self._answers[key] = answer
        self._characters += _size(answer)
        while len(self._answers) > _MEMORY_ENTRIES or self._characters > _MEMORY_CHARACTERS:
            _, dropped = self._answers.popitem(last=False)
            self._characters -= _size(dropped)

    def clear(self) -> None:
        self._answers.clear()
        self._characters = 0


def _size(answer: StoredAnswer) -> int:
    return len(answer.text) + len(answer.reasoning) + len(answer.tool_calls)
