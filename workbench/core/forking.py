"""What a fork waits for: threads that work in the background are let finish what they are in the middle of.

A forked child has one thread and a copy of everything that the others held. A lock of SQLite's, of OpenSSL's or of a
module that was being imported is then held for ever by a thread that stayed with the parent. So the package's own
threads do their work inside the process's gate; a fork closes it, which waits until nobody is inside.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ForkGate:
    """Open to any number of workers, or closed by one fork or several."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        # Guards both counts.
        self._changed = threading.Condition()
        self._inside = 0
        self._closed_by = 0
        self._own = threading.local()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Be inside; waits while a fork is going on. A thread that is inside already goes straight in."""
        depth = getattr(self._own, "depth", 0)
        with self._changed:
            while self._closed_by and not depth:
                self._changed.wait()
            self._inside += 1
        self._own.depth = depth + 1
        try:
            yield
        finally:
            self._own.depth = depth
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self, timeout_s: float) -> bool:
        """Let nobody in and wait until everybody else is out; False when that took too long. `open` ends it."""
        own = getattr(self._own, "depth", 0)
        with self._changed:
            self._closed_by += 1
            return self._changed.wait_for(lambda: self._inside <= own, timeout_s)

    def open(self) -> None:
        with self._changed:
            self._closed_by -= 1
            self._changed.notify_all()

    def forget(self) -> None:
        """In a forked child: whoever was inside or waiting stayed with the parent."""
        self._reset()


process_gate = ForkGate()
"""A fork copies a process as a whole, so there is one gate for all of it."""


class ForkSafeThreads(ThreadPoolExecutor):
    """Threads that a fork waits for."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        # A look-up holds nothing of Python's, and takes as long as a name server likes.
        is_look_up = fn is socket.getaddrinfo or fn is socket.getnameinfo
        return super().submit(fn if is_look_up else _inside(fn), *args, **kwargs)


def _inside(fn: Callable[P, T]) -> Callable[P, T]:
    def work(*args: P.args, **kwargs: P.kwargs) -> T:
        with process_gate.work():
            return fn(*args, **kwargs)

    return work
