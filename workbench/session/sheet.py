"""Results in a JSONL file, one line as each row ends, so that a run can be killed at any moment and go on later.

A line is written whole or, if the process dies in the middle of it, found broken at the next start and cut off: after
a resumed run every row stands in the file exactly once. What makes a finished row count is its id, model, sample and
the digest of what was sent, so rows that were edited meanwhile are asked again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from workbench.core.decoding import NOT_JSON
from workbench.core.errors import StoreError, UsageError
from workbench.core.types import Json

_CHUNK = 1 << 20


class _Head(msgspec.Struct):
    """The part of a line that says which row it is; everything else is skipped while reading."""

    id: str
    model: str
    sample: int = 0
    digest: str = ""
    error: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def failed(self) -> bool:
        return bytes(self.error) != b"null"


@dataclass(frozen=True, slots=True)
class SheetStats:
    kept: int
    """Finished rows found at the start."""
    dropped: int
    """Rows taken out at the start: edited since, or failed and to be asked again."""
    repaired: bool
    """True when the last line had been cut off by a crash."""
    written: int


class Sheet:
    """An open results file. Used as a context manager; one process at a time."""

    def __init__(self, path: Path, *, resume: bool = False, retry_failed: bool = False) -> None:
        """Raises UsageError when the file has rows and `resume` was not asked for, or another run is writing it."""
        self.path = path
        self._fd = _open(path)
        self._finished: dict[bytes, str] = {}
        self._dropped = self._written = 0
        self._repaired = False
        try:
            if not resume:
                self._refuse_rows()
            else:
                self._repaired = self._cut_broken_end()
                self._read_finished(retry_failed)
            self._kept = len(self._finished)
        except BaseException:
            os.close(self._fd)
            raise

    def is_finished(self, row_id: str, model: str, sample: int, digest: str) -> bool:
        """True when the file already has this row as it would be sent now."""
        return self._finished.get(_key(row_id, model, sample)) == digest

    def append(self, row: Mapping[str, Json]) -> None:
        """Add one row: `id`, `model`, `sample` and `digest` name it, the rest is as it is.

        Raises StoreError when it cannot be written; a part of it that could is cut off by the next start.
        """
        line = msgspec.json.encode(row) + b"\n"
        try:
            while line:  # a full disk takes a part; the rest raises
                line = line[os.write(self._fd, line) :]
        except OSError as exc:
            raise StoreError(
                f"Cannot write {self.path}: {exc.strerror or exc}.",
                hint="Make room and go on with --resume: rows that were answered and not written come from the cache.",
            ) from exc
        self._written += 1

    def statistics(self) -> SheetStats:
        return SheetStats(self._kept, self._dropped, self._repaired, self._written)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def forget_changed(self, current: Iterable[tuple[str, str, int, str]]) -> None:
        """Take out finished rows that would be sent differently now, so that asking them again adds no second line.

        `current`: id, model, sample and digest of every row of the input.
        """
        changed = set()
        for row_id, model, sample, digest in current:
            key = _key(row_id, model, sample)
            if self._finished.get(key, digest) != digest:
                changed.add(key)
        if changed:
            self._rewrite_without(changed)

    def _refuse_rows(self) -> None:
        if os.fstat(self._fd).st_size:
            raise UsageError(
                f"{self.path} already has results.", hint="Add --resume to go on with it, or name another --output."
            )

    def _cut_broken_end(self) -> bool:
        size = os.fstat(self._fd).st_size
        end = size
        while end:
            start = max(0, end - _CHUNK)
            newline = os.pread(self._fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end == size:
            return False
        os.ftruncate(self._fd, end)
        return True

    def _read_finished(self, retry_failed: bool) -> None:
        failed: set[bytes] = set()
        decoder = msgspec.json.Decoder(_Head)
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    head = decoder.decode(line)
                except NOT_JSON as exc:
                    raise UsageError(f"{self.path}:{number}: not a line of results: {exc}.") from exc
                key = _key(head.id, head.model, head.sample)
                self._finished[key] = head.digest
                if head.failed and retry_failed:
                    failed.add(key)
        if failed:
            self._rewrite_without(failed)

    def _rewrite_without(self, keys: set[bytes]) -> None:
        """Through a second file that takes the first one's place at once: a crash leaves the one or the other."""
        decoder = msgspec.json.Decoder(_Head)
        beside = self.path.with_name(self.path.name + ".part")
        with self.path.open("rb") as lines, beside.open("wb") as kept:
            for line in lines:
                head = decoder.decode(line)
                if _key(head.id, head.model, head.sample) not in keys:
                    kept.write(line)
            kept.flush()
            os.fsync(kept.fileno())
        locked = _open(beside)
        beside.replace(self.path)
        os.close(self._fd)
        self._fd = locked
        for key in keys:
            del self._finished[key]
        self._dropped += len(keys)


def _key(row_id: str, model: str, sample: int) -> bytes:
    return msgspec.json.encode((row_id, model, sample))


def _open(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as exc:
        raise UsageError(f"Cannot write {path}: {exc.strerror or exc}.") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(fd)
        raise UsageError(f"Another run is writing {path}.", hint="Wait for it, or name another --output.") from exc
    return fd
