"""The response cache's place on disk: a FanoutCache that never pickles. diskcache lives here and nowhere else.

Its own `Disk` unpickles whatever a row claims to be pickled, so whoever can write to the directory could run
code here (CVE-2025-69872). Ours stores bytes under text keys and refuses everything else, in both directions.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from workbench.core.paths import private_directory

SHARDS = 8
"""Writers of several processes meet in one eighth of the cache: stalls of 27 ms instead of 235–435 ms with one file."""

LOCK_S = 0.010
"""How long one try waits for a lock. Readers do not wait for writers (WAL), so the loop all but never does."""


PAGES = 128
"""Of 4 KiB, that each connection keeps in memory; two threads have one to every shard, so 8 MB in all. diskcache's own
choice is 8,192 and a map of the whole file: half a gigabyte, in a long run. The system's page cache serves as well."""


class Shelf(Protocol):
    """What the response cache needs of a place on disk."""

    def get(self, key: str) -> Any:
        """The bytes, or None. Not to be trusted to be what was stored."""

    def set(self, key: str, value: bytes) -> bool:
        """False when it could not be written within `LOCK_S`."""

    def delete(self, key: str) -> bool:
        """False when it was not there, or could not be deleted within `LOCK_S`."""

    def clear(self) -> int:
        """How many entries there were."""

    def __iter__(self) -> Iterator[str]:
        """Every key, oldest first within a shard."""

    def volume(self) -> int:
        """Bytes on disk, roughly."""

    def close(self) -> None:
        """Close the calling thread's connections."""


def open_fanout(directory: Path, size_bytes: int) -> Shelf:
    """Open or create the shards, readable by their owner alone. Blocking: 0.2 s locally, seconds on a network disk.

    Raises ConfigError, OSError or sqlite3.Error when the place is not usable.
    """
    import diskcache  # type: ignore[import-untyped]  # ships no annotations

    private_directory(directory)
    # An older directory may have been made by hand; on file systems without modes there is nothing to tighten.
    with contextlib.suppress(OSError):
        directory.chmod(0o700)
    _try_each_file(directory)
    shelf: Shelf = diskcache.FanoutCache(
        str(directory),
        shards=SHARDS,
        timeout=LOCK_S,
        disk=_bytes_disk(),
        size_limit=size_bytes,
        sqlite_cache_size=PAGES,
        sqlite_mmap_size=0,
    )
    return shelf


def _try_each_file(directory: Path) -> None:
    """Raises sqlite3.Error for a damaged one. diskcache would as well, and leave its connections open."""
    for path in sorted(directory.glob("*/cache.db")):
        with contextlib.closing(sqlite3.connect(path, timeout=LOCK_S)) as connection:
            connection.execute("PRAGMA schema_version")


@functools.cache
def _bytes_disk() -> type:
    """The class is made when it is first needed, because its base costs 40 ms to import."""
    from diskcache import Disk
    from diskcache.core import MODE_BINARY, MODE_RAW  # type: ignore[import-untyped]  # as above

    class BytesDisk(Disk):  # type: ignore[misc]  # its base has no annotations
        """Text keys, values of bytes, no pickle."""

        def put(self, key: object) -> Any:
            if type(key) is not str:
                raise TypeError(f"cache keys are text, not {type(key).__name__}")
            return key, True

        def get(self, key: object, raw: object) -> Any:
            if not raw:
                raise OSError("refusing a pickled key")
            return key

        def store(self, value: object, read: object, key: object = None) -> Any:
            if type(value) is not bytes or read:
                raise TypeError(f"cache values are bytes, not {type(value).__name__}")
            return super().store(value, False, key=key)

        def fetch(self, mode: int, filename: str | None, value: object, read: object) -> Any:
            # OSError is what diskcache turns into a miss.
            if mode == MODE_RAW:
                return value
            if mode == MODE_BINARY and filename is not None and _stays_below(filename):
                return super().fetch(mode, filename, None, False)
            raise OSError("refusing an entry that is neither bytes nor a file of ours")

    return BytesDisk


def _stays_below(filename: str) -> bool:
    path = Path(filename)
    return not path.is_absolute() and ".." not in path.parts
