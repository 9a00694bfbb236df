"""One SQLite file in WAL mode: one writer thread per process, readers that never wait for it.

Writes are closures queued to the writer and committed together: a hundred rows that end in the same instant cost one
commit. Several processes may share the file; SQLite's own lock orders them, and a writer waits `BUSY_S` for its turn
before it says that the store is locked. Nothing here blocks an event loop: `write` and `read` hand the work to a
thread and are awaited. Knows nothing of runs or prompts; `migrations` makes the tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from workbench.core.errors import StoreError
from workbench.core.forking import process_gate
from workbench.core.paths import private_directory
from workbench.store.migrations import migrate

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]
"""Runs in the writer's transaction, or on a reader's connection. Its exceptions reach whoever asked."""

BUSY_S = 5.0
"""How long a statement waits for another process's lock. A commit takes about half a millisecond."""

_PAUSE_S = 0.005
"""Between looks whether another process has finished creating the store."""

_BATCH = 256
"""Most closures in one transaction, so that a reader of another process is never starved for long."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    path: Path
    size_bytes: int
    written: int
    """Closures committed by this process."""
    commits: int
    waiting: int


class Database:
    """An open store. `close` waits for what was queued; nothing that was accepted is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queue: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._readers = _Readers(path)
        self._written = 0
        self._commits = 0
        self._closed = False
        # Guards `_closed` against a write that slips in between the sentinel and the end of the writer.
        self._gate = threading.Lock()
        self._connection = _open(path)
        self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._writer.start()

    def submit(self, work: Work[T]) -> Future[T]:
        """Queue a write and return at once. The future fails with StoreError or with what `work` raised."""
        future: Future[T] = Future()
        with self._gate:
            if self._closed:
                raise StoreError(f"The store {self.path} is closed.")
            self._queue.put((work, future))
        return future

    async def write(self, work: Work[T]) -> T:
        return await asyncio.wrap_future(self.submit(work))

    async def read(self, work: Work[T]) -> T:
        return await asyncio.to_thread(self.read_sync, work)

    def read_sync(self, work: Work[T]) -> T:
        """Run `work` on a reader's own connection in this thread; it sees everything committed so far."""
        with process_gate.work(), self._readers.connection() as connection, _translated(self.path):
            return work(connection)

    def statistics(self) -> StoreStats:
        size = self.path.stat().st_size if self.path.exists() else 0
        return StoreStats(self.path, size, self._written, self._commits, self._queue.qsize())

    def close(self) -> None:
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        self._readers.close()

    async def aclose(self) -> None:
        await asyncio.to_thread(self.close)

    def _write_loop(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                with process_gate.work():
                    batch = [item]
                    while len(batch) < _BATCH and not self._queue.empty():
                        following = self._queue.get()
                        if following is None:
                            self._commit(batch)
                            return
                        batch.append(following)
                    self._commit(batch)
        finally:
            self._connection.close()

    def _commit(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        """One transaction, a savepoint for each closure: one that fails takes none of the others with it."""
        done: list[tuple[Future[Any], Any]] = []
        try:
            with _translated(self.path):
                self._connection.execute("BEGIN IMMEDIATE")
                for work, future in batch:
                    if not future.set_running_or_notify_cancel():
                        continue
                    self._connection.execute("SAVEPOINT one")
                    try:
                        done.append((future, work(self._connection)))
                    except BaseException as exc:
                        if isinstance(exc, sqlite3.Error) and not self._connection.in_transaction:
                            # SQLite itself took everything back, as it does on a full disk: none of them is written.
                            raise
                        self._connection.execute("ROLLBACK TO one")
                        future.set_exception(_as_store_error(exc, self.path))
                    self._connection.execute("RELEASE one")
                self._connection.execute("COMMIT")
        except StoreError as exc:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            for _, future in batch:
                if not future.done():
                    future.set_exception(exc)
            return
        self._commits += 1
        self._written += len(done)
        for future, value in done:
            future.set_result(value)


class _Readers:
    """Idle reader connections, reused by whichever thread comes next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            with _translated(self._path):
                connection = _connect(self._path)
                connection.execute("PRAGMA query_only = ON")
        try:
            yield connection
        finally:
            with self._lock:
                self._idle.append(connection)

    def close(self) -> None:
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()


def _open(path: Path) -> sqlite3.Connection:
    private_directory(path.parent)
    with _translated(path):
        # Created by us and not by SQLite, so that it is never readable by others, not even for a moment.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _connect(path)
        try:
            # WAL lets readers go on while a row is written; NORMAL loses at most the last commits on a power cut, never
            # the file.
            _use_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """SQLite itself refuses this at once, whatever its timeout, while another process is creating the same store."""
    until_s = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
        time.sleep(_PAUSE_S)


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit: transactions are begun and ended by hand, in `_commit` and in `migrate`.
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        raise _as_store_error(exc, path) from exc


def _as_store_error(exc: BaseException, path: Path) -> BaseException:
    """SQLite's and the system's complaints in words that say what to do; anything else as it is."""
    if isinstance(exc, OSError):
        return StoreError(f"Cannot open the store {path}: {exc.strerror or exc}.", hint="Check who owns the directory.")
    if not isinstance(exc, sqlite3.Error):
        return exc
    # Python 3.11 knows the code of every error that SQLite itself reported.
    match getattr(exc, "sqlite_errorcode", None):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(
                f"The store {path} is locked by another program.", hint=f"It was tried for {BUSY_S:.0f} s; try again."
            )
        case sqlite3.SQLITE_FULL:
            return StoreError(f"The disk that holds {path} is full.", hint="Free some space; answers are still shown.")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return StoreError(f"The store {path} cannot be written.", hint="Check its permissions.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreError(
                f"The store {path} is damaged.", hint="Move it away; a new one is made at the next start."
            )
        case _:
            return StoreError(f"The store {path} failed: {exc}.")
