"""The encoded rows of parts that have not been submitted yet, as files beside the store.

They are a convenience: what a file would hold can be made again from the store, and is when it is missing. A part's
file has its name only once it is whole, and is deleted as soon as the provider has taken the part.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import BinaryIO

from workbench.core.errors import StoreError
from workbench.core.paths import private_directory
from workbench.providers.batch_lines import READ_BYTES, FileLines


class Spool:
    """A directory of such files. Everything here blocks: for worker threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def writer(self, job_id: str) -> SpoolWriter:
        return SpoolWriter(private_directory(self._directory), job_id)

    def lines(self, job_id: str, part: int, count: int) -> FileLines | None:
        """None when the file is not there."""
        path = _path(self._directory, job_id, part)
        return FileLines(path, count) if path.is_file() else None

    def drop(self, job_id: str, part: int | None = None) -> None:
        """One part's file, or all that a job has."""
        pattern = f"{job_id}-*" if part is None else _path(self._directory, job_id, part).name
        for path in self._directory.glob(pattern):
            path.unlink(missing_ok=True)

    def jobs(self) -> set[str]:
        """Whose files there are, finished or not."""
        return {path.name.partition("-")[0] for path in self._directory.glob("*-*")}


class SpoolWriter:
    """Writes one job's parts. Use it as a context manager: only what ended well gets its name."""

    def __init__(self, directory: Path, job_id: str) -> None:
        self._directory = directory
        self._job_id = job_id
        self._open: dict[int, BinaryIO] = {}

    def add(self, part: int, line: bytes) -> None:
        """Raises StoreError when the disk takes no more."""
        file = self._open.get(part)
        try:
            if file is None:
                path = self._unfinished(part)
                file = self._open[part] = path.open("wb", buffering=READ_BYTES)
                path.chmod(0o600)
            file.write(line)
            file.write(b"\n")
        except OSError as exc:
            raise self._full(exc) from exc

    def finish(self) -> None:
        try:
            for part, file in self._open.items():
                file.close()
                self._unfinished(part).rename(_path(self._directory, self._job_id, part))
        except OSError as exc:
            raise self._full(exc) from exc
        self._open.clear()

    def abandon(self) -> None:
        for part, file in self._open.items():
            with contextlib.suppress(OSError):
                file.close()
            self._unfinished(part).unlink(missing_ok=True)
        self._open.clear()

    def _unfinished(self, part: int) -> Path:
        return _path(self._directory, self._job_id, part).with_suffix(".tmp")

    def _full(self, exc: OSError) -> StoreError:
        return StoreError(f"Cannot write to {self._directory}: {exc.strerror or exc}.", hint="Nothing was sent.")


def _path(directory: Path, job_id: str, part: int) -> Path:
    return directory / f"{job_id}-{part}.jsonl"
