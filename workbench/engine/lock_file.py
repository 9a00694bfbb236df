"""Bytes of a file as locks between processes, which the operating system frees when a process dies.

On Linux these are open-file-description locks. Elsewhere they are POSIX record locks, which belong to the process and
vanish when *any* descriptor of the file is closed: so a file is opened once per process, however many ask for it, and
what this process holds is remembered here, since neither kind of lock conflicts with itself.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Final

from workbench.core.errors import ConfigError
from workbench.core.paths import private_directory

if sys.platform != "win32":
    import fcntl

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "fuse.sshfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)

PATIENCE_S: Final = 0.02
"""Longest wait for the whole file: holders need microseconds, unless one of them has been stopped."""

# The operating system's own rule (one descriptor per process and file) makes this the one thing that is global here.
_open: dict[Path, LockFile] = {}


class CannotLock(OSError):
    """This directory cannot hold locks between processes: the reason, as a sentence."""


class LockFile:
    """Take it with `LockFile.open`, give it back with `close`."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.held: set[int] = set()
        """Bytes that this process holds."""
        self._users = 0
        self._mutex = threading.Lock()
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        missing = size - os.fstat(self.fd).st_size
        if missing > 0:
            # Written, not truncated to: a hole that cannot be filled later would kill whoever maps the file.
            os.pwrite(self.fd, bytes(missing), size - missing)

    @classmethod
    def open(cls, path: Path, size: int) -> LockFile:
        """The process's one handle on this file. Raises CannotLock where locks do not work."""
        if sys.platform == "win32":
            raise CannotLock("This system has no locks on bytes of a file that it frees by itself.")
        try:
            path = private_directory(path.parent).resolve() / path.name
        except ConfigError as exc:
            raise CannotLock(exc.message) from exc
        if (system := file_system(path)) in NETWORK_FILE_SYSTEMS:
            raise CannotLock(f"{path.parent} is on a network file system ({system}): no locks to be trusted there.")
        file = _open.get(path)
        if file is None:
            try:
                file = _open[path] = cls(path, size)
            except OSError as exc:
                raise CannotLock(f"{path} cannot be used for locks between processes: {exc.strerror}.") from exc
        file._users += 1
        return file

    def close(self) -> None:
        """One user less; with the last one every lock is freed."""
        self._users -= 1
        if self._users <= 0:
            _open.pop(self.path, None)
            self._shut()

    def take(self, byte: int) -> bool:
        """Lock this byte, at once or not at all. False if anybody holds it, this process included."""
        if byte in self.held or not self._set(byte, locked=True):
            return False
        self.held.add(byte)
        return True

    def drop(self, byte: int) -> None:
        self.held.discard(byte)
        if self.fd >= 0:
            self._set(byte, locked=False)

    def lock(self) -> bool:
        """Exclude every other thread and process, within some milliseconds or not at all."""
        if not self._mutex.acquire(timeout=PATIENCE_S):
            return False
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    self._mutex.release()
                    return False
                time.sleep(0.0001)
            else:
                return True

    def unlock(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        self._mutex.release()

    def first_held(self, start: int, stop: int) -> int | None:
        """The lowest byte from `start` up to `stop` that anybody holds. Looks only: takes nothing even for a moment."""
        own = min((byte for byte in self.held if start <= byte < stop), default=None)
        theirs = self._first_of_others(start, stop)
        return min((byte for byte in (own, theirs) if byte is not None), default=None)

    def held_between(self, start: int, stop: int) -> list[int]:
        """Every byte in that range that anybody holds."""
        found: list[int] = []
        while (byte := self.first_held(start, stop)) is not None:
            found.append(byte)
            start = byte + 1
        return found

    def _set(self, byte: int, *, locked: bool) -> bool:
        try:
            fcntl.fcntl(self.fd, _SET, _pack(fcntl.F_WRLCK if locked else fcntl.F_UNLCK, byte, 1))
        except (BlockingIOError, PermissionError):
            return False  # POSIX allows either EAGAIN or EACCES for "somebody else has it"
        return True

    def _first_of_others(self, start: int, stop: int) -> int | None:
        if start >= stop:
            return None
        kind, at = _unpack(fcntl.fcntl(self.fd, _GET, _pack(fcntl.F_WRLCK, start, stop - start)))
        return None if kind == fcntl.F_UNLCK else max(at, start)

    def _shut(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.held.clear()


if sys.platform == "linux":
    _SET: Final = fcntl.F_OFD_SETLK
    _GET: Final = fcntl.F_OFD_GETLK

    def _pack(kind: int, start: int, length: int) -> bytes:
        """`struct flock` with its fields in Linux's order; the process id must be 0 for this kind of lock."""
        return struct.pack("@hhqqi4x", kind, os.SEEK_SET, start, length, 0)

    def _unpack(lock: bytes) -> tuple[int, int]:
        kind, _, start, _, _ = struct.unpack("@hhqqi4x", lock)
        return kind, start

elif sys.platform != "win32":
    _SET: Final = fcntl.F_SETLK
    _GET: Final = fcntl.F_GETLK

    def _pack(kind: int, start: int, length: int) -> bytes:
        """`struct flock` in the order of the BSDs and macOS."""
        return struct.pack("@qqihh", start, length, 0, kind, os.SEEK_SET)

    def _unpack(lock: bytes) -> tuple[int, int]:
        start, _, _, kind, _ = struct.unpack("@qqihh", lock)
        return kind, start


def _forget_after_fork() -> None:
    """A child shares its parent's descriptions and must not keep the parent's locks alive."""
    for file in _open.values():
        file._shut()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def file_system(path: Path) -> str:
    """The type of the file system that a path is on, as Linux names it; empty where that cannot be told."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    best, name = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        if len(point) >= len(best) and path.is_relative_to(point):
            best, name = point, fields[2]
    return name
