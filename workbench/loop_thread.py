"""One daemon thread per process that runs one event loop with one engine on it.

This is what lets `LLM.generate` work in a script, in a notebook, in a thread pool and inside somebody else's running
loop, all on the same pooled connections and the same limits. The thread starts on first use. A fork waits until it and
the threads that work for it stand at a safe place; the child knows nothing of them and starts its own. At exit the
engine is closed while its thread still runs.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import time
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.core.errors import EngineClosed
from workbench.core.forking import ForkSafeThreads, process_gate

if TYPE_CHECKING:
    from workbench.engine.engine import Engine
    from workbench.session.recorder import Recorder

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Host:
    """What runs on the loop."""

    engine: Engine
    recorder: Recorder | None = None
    """None when the settings want no history."""


_CLOSE_S = 5.0
"""How long an exiting process waits for connections and caches to close."""

_FORK_S = 30.0
"""How long a fork waits for background work. The longest is an SDK's import: 5 s, and more on a loaded machine."""


class LoopThread:
    """Owns a loop, a thread and, from the first call on, an engine and a line to the store."""

    def __init__(self, make_host: Callable[[], Host]) -> None:
        self._make_host = make_host
        self._host: Host | None = None
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ForkSafeThreads(thread_name_prefix="llm-workbench-worker"))
        # Guards `_host` on the loop: the first two callers must not open two.
        self._opening = asyncio.Lock()
        self._thread = threading.Thread(target=self._run, name="llm-workbench", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive() and not self._loop.is_closed()

    async def host(self) -> Host:
        """The engine and what goes with it, opened if need be. To be awaited on this loop only."""
        async with self._opening:
            if self._host is None:
                # Building it imports most of the package; the loop may be serving a stream meanwhile.
                host = await asyncio.to_thread(self._make_host)
                await host.engine.__aenter__()
                self._host = host
            return self._host

    def submit(self, work: Callable[[Host], Awaitable[T]]) -> Future[T]:
        """Start `work` on the loop and return at once; cancelling the future cancels the work."""

        async def run() -> T:
            return await work(await self.host())

        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    def run(self, work: Callable[[Host], Awaitable[T]]) -> T:
        """`submit`, and wait. Ctrl-C while waiting cancels the work, lets it clean up, and goes on as Ctrl-C.

        Raises RuntimeError when called on the loop thread itself, where waiting would be for ever.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "a synchronous call on the engine's own thread would wait for itself; use its async twin"
            )
        future = self.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            # Cancelling is a request: give the tasks a moment to close their responses and keep what had finished.
            self._drain()
            raise

    async def arun(self, work: Callable[[Host], Awaitable[T]]) -> T:
        """`submit`, awaited from any loop; cancelling the awaiting task cancels the work."""
        return await asyncio.wrap_future(self.submit(work))

    def iterate(self, make: Callable[[Host], AsyncGenerator[T, None]]) -> Iterator[T]:
        """An asynchronous generator of the engine's, seen as an ordinary iterator; closing it closes the generator."""
        generator = self.submit(_returning(make)).result()
        try:
            while True:
                try:
                    item = self._call(lambda: anext(generator))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            # An iterator that was left half-way is closed by the interpreter, at exit after the loop has ended.
            if self.is_running:
                self._call(generator.aclose)

    async def aiterate(self, make: Callable[[Host], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """The same from another loop."""
        generator = await asyncio.wrap_future(self.submit(_returning(make)))
        try:
            while True:
                try:
                    item = await self._acall(lambda: anext(generator))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if self.is_running:
                await self._acall(generator.aclose)

    def close(self) -> None:
        """Close the engine and end the thread. Idempotent."""
        if not self.is_running:
            return
        with contextlib.suppress(TimeoutError, CancelledError, RuntimeError):
            asyncio.run_coroutine_threadsafe(self._aclose(), self._loop).result(_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)

    def park(self, go_on: threading.Event, timeout_s: float) -> None:
        """Have the loop stand still between two callbacks, where it holds no lock, until the event is set.

        Returns when it does, or when that took too long. On the loop's own thread there is nothing to wait for.
        """
        if threading.current_thread() is self._thread:
            return
        standing = threading.Event()

        def stand() -> None:
            standing.set()
            go_on.wait()

        with contextlib.suppress(RuntimeError):  # it has just been closed
            self._loop.call_soon_threadsafe(stand)
            standing.wait(timeout_s)

    def _call(self, make: Callable[[], Awaitable[T]]) -> T:
        self._require_thread()
        return asyncio.run_coroutine_threadsafe(_await(make()), self._loop).result()

    async def _acall(self, make: Callable[[], Awaitable[T]]) -> T:
        self._require_thread()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_await(make()), self._loop))

    def _require_thread(self) -> None:
        """A stream that was begun before the process forked, or before the thread was closed, ends there."""
        if not self.is_running:
            raise EngineClosed("The thread that this stream came from is not in this process, or has ended.")

    def _drain(self) -> None:
        async def settle() -> None:
            me = asyncio.current_task()
            if pending := [task for task in asyncio.all_tasks() if task is not me and task.cancelling()]:
                await asyncio.wait(pending, timeout=_CLOSE_S)

        with contextlib.suppress(TimeoutError, KeyboardInterrupt):
            asyncio.run_coroutine_threadsafe(settle(), self._loop).result(_CLOSE_S)

    async def _aclose(self) -> None:
        if self._host is not None:
            host, self._host = self._host, None
            await host.engine.__aexit__(None, None, None)
            if host.recorder is not None:
                await asyncio.to_thread(host.recorder.close)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _returning(
    make: Callable[[Host], AsyncGenerator[T, None]],
) -> Callable[[Host], Coroutine[Any, Any, AsyncGenerator[T, None]]]:
    async def run(host: Host) -> AsyncGenerator[T, None]:
        return make(host)

    return run


class _Shared:
    """The one loop thread of this process, made on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._forks: dict[int, _Fork] = {}
        """By the thread that forks."""

    def get(self) -> LoopThread:
        with self._lock:
            if self._thread is None or not self._thread.is_running:
                self._thread = LoopThread(_host_from_environment)
            return self._thread

    def close(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    # -- around a fork, in the thread that forks

    def before_fork(self) -> None:
        until_s = time.monotonic() + _FORK_S
        # Written down step by step: what an interrupt leaves stopped goes on all the same.
        fork = self._forks[threading.get_ident()] = _Fork()
        fork.locked = self._lock.acquire(timeout=_FORK_S)
        # Work first, which may take its time while the loop goes on serving streams.
        fork.closed = True
        finished = process_gate.close(max(0.0, until_s - time.monotonic()))
        if (thread := self._thread) is not None and thread.is_running:
            thread.park(fork.go_on, max(0.0, until_s - time.monotonic()))
        if not finished:
            warnings.warn(
                f"A thread of llm-workbench has been busy for {_FORK_S:.0f} s; this fork does not wait any longer, and "
                "its child may find something locked.",
                RuntimeWarning,
                stacklevel=2,
            )

    def after_fork_in_parent(self) -> None:
        fork = self._forks.pop(threading.get_ident())
        fork.go_on.set()
        if fork.closed:
            process_gate.open()
        if fork.locked:
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """The threads stayed with the parent, and so did all that they had opened."""
        self._lock = threading.Lock()
        self._thread = None
        self._forks = {}
        process_gate.forget()


@dataclass(slots=True)
class _Fork:
    """What was stopped for one."""

    locked: bool = False
    closed: bool = False
    go_on: threading.Event = field(default_factory=threading.Event)


def _host_from_environment() -> Host:
    from workbench.core.clock import SystemClock
    from workbench.core.paths import Paths
    from workbench.core.settings import Settings
    from workbench.engine.engine import Engine
    from workbench.session.recorder import open_recorder
    from workbench.store.runs import RunKind

    settings = Settings.from_environment(os.environ)
    paths = Paths.from_environment(os.environ)

    def warn(sentence: str) -> None:
        warnings.warn(sentence, stacklevel=2)

    recorder = open_recorder(settings, paths, SystemClock(), kind=RunKind.LIBRARY, on_trouble=warn)
    return Host(Engine(settings, environ=os.environ), recorder)


_shared = _Shared()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_shared.before_fork,
        after_in_parent=_shared.after_fork_in_parent,
        after_in_child=_shared.after_fork_in_child,
    )
# `threading`'s own hook runs before the interpreter stops accepting work for threads, `atexit` after: closing a cache
# needs a thread. It is private but has been there, unchanged, since 3.9; without it, closing falls back to `atexit`.
getattr(threading, "_register_atexit", atexit.register)(_shared.close)


def shared_loop_thread() -> LoopThread:
    """The process's own: every `LLM` uses it, so that all share one account's limits."""
    return _shared.get()


def close_shared_loop_thread() -> None:
    """End it now instead of at exit; the next use starts a new one. For tests, and after changing the environment."""
    _shared.close()
