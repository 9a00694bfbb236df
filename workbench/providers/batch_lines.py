"""Lines on disk as a batch adapter takes them: a sequence that is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, overload

READ_BYTES = 256 * 1024


class FileLines(Sequence[bytes]):
    """The lines of a file, each ended with a line feed there and given without it.

    Going through them reads ahead by `READ_BYTES`; any other way in costs a pass from the beginning.
    """

    def __init__(self, path: Path, count: int) -> None:
        """`count` is how many lines there are: whoever wrote them knows."""
        self.path = path
        self.size = path.stat().st_size
        """With the line feeds."""
        self._count = count

    def open(self) -> BinaryIO:
        return self.path.open("rb", buffering=READ_BYTES)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        with self.open() as file:
            for line in file:
                yield line.removesuffix(b"\n")

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return list(islice(self, *index.indices(self._count)))
        place = range(self._count)[index]
        return next(islice(self, place, None))


def size_of(lines: Sequence[bytes]) -> int:
    """Bytes of these lines as a file."""
    return lines.size if isinstance(lines, FileLines) else sum(len(line) + 1 for line in lines)
