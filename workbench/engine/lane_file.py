"""A lane that several processes use as one: its state lives in a file, and each decides on the same state in turn.

`with lane.books:` locks the file, takes over what the others have done, and writes down what was done inside: some tens
of microseconds. How many calls each process has in flight stands in a row of its own, guarded by a lock that the
operating system frees when the process dies; the others then cross that row out. The file outlives everybody, so that
the next process starts near the limits that were found before.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from workbench.engine.admitted_log import KINDS, AdmittedLog, Costs
from workbench.engine.blame import Blame
from workbench.engine.bucket import Bucket
from workbench.engine.lane import Lane
from workbench.engine.lane_state import Stateful
from workbench.engine.lock_file import LockFile
from workbench.engine.window import Window

MEMBERS: Final = 64
"""Processes that can use one lane together; any further one is on its own."""
WAITS_FOR_S: Final = 0.5
"""A process that was held back counts as waiting for this long."""
CENSUS_EVERY_S: Final = 0.25
"""How often rows of dead processes are looked for."""
REMEMBERED_S: Final = 86_400.0
"""What was found longer ago than this is not begun with."""
WARM: Final = 0.8
"""Part of what was found before that a new process starts with."""

GENERATION: Final = 8
"""Counts changes of what the figures mean."""
_LAYOUT: Final[tuple[type[Stateful], ...]] = (Lane, Window, AdmittedLog, Blame, *(Bucket for _ in KINDS))


def format_of(parts: Sequence[type[Stateful]]) -> float:
    """Another number as soon as one of the parts has another value or another order: nobody has to think of it."""
    names = [[*part.FLOATS, *part.COUNTS, *part.FLAGS] for part in parts]
    return float(zlib.crc32(repr((GENERATION, names)).encode()))


FORMAT: Final = format_of(_LAYOUT)
"""Belongs into a file's name: versions of the program at work at one time would write into each other's figures."""
_HEADER: Final = struct.Struct("5d")
"""Format, wall time and monotonic time of the last change, rows in use, and how many changes there have been."""
_STATE: Final = struct.Struct(f"{sum(part.width() for part in _LAYOUT)}d")
_ROW: Final = struct.Struct("5d")
"""Of one process: calls in flight, when it last had to wait, what it has had in all, and the output that its calls in
flight have been promised, and have asked for at most."""
_EMPTY_ROW: Final = (0.0, float("-inf"), 0.0, 0.0, 0.0)
_CELL: Final = struct.Struct("4d")
_ROWS_AT: Final = _HEADER.size + _STATE.size
_CELLS_AT: Final = _ROWS_AT + MEMBERS * _ROW.size
SIZE: Final = _CELLS_AT + AdmittedLog.CELLS * _CELL.size
_LOCKS_AT: Final = 1 << 20
"""Locks on bytes far behind the end: none of them covers data."""


class LaneFile:
    """The shared books of one lane. Raises CannotLock where there can be none."""

    def __init__(self, path: Path, lane: Lane, now_s: Callable[[], float], wall_s: Callable[[], float]) -> None:
        self._lane = lane
        self._now_s = now_s
        self._wall_s = wall_s
        self._file = LockFile.open(path, SIZE)
        self._map = mmap.mmap(self._file.fd, SIZE)
        self._row = next((n for n in range(MEMBERS) if self._file.take(_LOCKS_AT + n)), None)
        self._rows = 0
        self._census_s = float("-inf")
        self._depth = 0
        self._locked = False
        self._changes = -1.0
        self._joined = False
        if self._row is not None:
            lane.books = self
            with self:
                pass  # joins, or else the next one who opens the books does

    def close(self) -> None:
        """Leave; the others see at once that this process has nothing in flight."""
        if self._row is not None:
            if self._joined:
                self._write_row(self._row, *_EMPTY_ROW)
            self._file.drop(_LOCKS_AT + self._row)
        self._lane.keep_own_books()
        self._map.close()
        self._file.close()

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        # Somebody may have been stopped while holding the lock: then this once everybody acts on what he knows.
        self._locked = self._row is not None and self._file.lock()
        if self._locked and self._joined:
            self._load()
        elif self._locked and self._row is not None:
            self._join(self._row)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._locked and not self._depth:
            try:
                self._store()
            finally:
                self._file.unlock()

    # -- reading and writing, with the lock held ------------------------------------------------------------------

    def _join(self, row: int) -> None:
        """Begin with what the file says: as it stands while others use it, with a part of it after a while."""
        self._joined = True
        for flight in self._lane.flights:
            flight.moved, flight.marks, flight.epoch = True, {}, -1  # sent by other books, while the lock was taken
        layout, wall_s, then_s, rows, self._changes = _HEADER.unpack_from(self._map)
        now_s = self._now_s()
        known = layout == FORMAT
        others = [n for n in self._file.held_between(_LOCKS_AT, _LOCKS_AT + MEMBERS) if n != _LOCKS_AT + row]
        in_use = known and bool(others) and then_s <= now_s + 1.0
        self._rows = max(row + 1, int(rows) if in_use else 0)
        self._write_row(row, *_EMPTY_ROW)
        if in_use:
            self._restore()
            self._count_others()
        else:
            if not known:
                self._changes = 0.0
            for other in range(MEMBERS):
                self._write_row(other, *_EMPTY_ROW)
            if known and 0 <= self._wall_s() - wall_s < REMEMBERED_S:
                self._restore()
                self._lane.start_warm(now_s, WARM)
        self._lane.log.keep_in(_Cells(self._map))

    def _load(self) -> None:
        _, _, _, rows, changes = _HEADER.unpack_from(self._map)
        self._rows = max(self._rows, int(rows))
        if changes != self._changes:  # else nobody else has been here
            self._changes = changes
            self._restore()
        self._count_others()

    def _restore(self) -> None:
        values = _STATE.unpack_from(self._map, _HEADER.size)
        at = 0
        for part in self._parts():
            width = type(part).width()
            part.take_over(values[at : at + width])
            at += width
        self._lane.refresh()

    def _store(self) -> None:
        values: list[float] = []
        for part in self._parts():
            values += part.known_to_all()
        _STATE.pack_into(self._map, _HEADER.size, *values)
        self._changes += 1
        _HEADER.pack_into(self._map, 0, FORMAT, self._wall_s(), self._now_s(), float(self._rows), self._changes)
        assert self._row is not None
        lane = self._lane
        self._write_row(
            self._row, float(len(lane.flights)), lane.company.waited_s, lane.company.served, lane.promised, lane.asked
        )

    def _parts(self) -> Iterator[Stateful]:
        yield self._lane
        yield self._lane.window
        yield self._lane.log
        yield self._lane.refusals.blame
        yield from self._lane.buckets.values()

    def _count_others(self) -> None:
        now_s = self._now_s()
        if now_s - self._census_s > CENSUS_EVERY_S or now_s < self._census_s:
            self._census_s = now_s
            self._cross_out_the_dead()
        elsewhere = rivals = 0
        promised = asked = 0.0
        least_served = float("inf")
        for row in range(self._rows):
            if row == self._row:
                continue
            in_flight, waited_s, served, output, most_output = _ROW.unpack_from(self._map, _ROWS_AT + row * _ROW.size)
            promised += output
            asked += most_output
            waits = 0 <= now_s - waited_s < WAITS_FOR_S
            if in_flight or waits:
                rivals += 1
                elsewhere += int(in_flight)
                if waits:
                    least_served = min(least_served, served)
        lane = self._lane
        returning = not lane.flights and now_s - lane.company.waited_s > WAITS_FOR_S
        lane.company.meet(elsewhere, rivals, least_served, (promised, asked), returning=returning)

    def _cross_out_the_dead(self) -> None:
        alive = self._file.held_between(_LOCKS_AT, _LOCKS_AT + self._rows)
        for row in range(self._rows):
            if _LOCKS_AT + row not in alive:
                self._write_row(row, *_EMPTY_ROW)

    def _write_row(
        self, row: int, in_flight: float, waited_s: float, served: float, promised: float, asked: float
    ) -> None:
        _ROW.pack_into(self._map, _ROWS_AT + row * _ROW.size, in_flight, waited_s, served, promised, asked)


class _Cells:
    """The cells of an `AdmittedLog`, in the file."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._map = mapped

    def __getitem__(self, index: int) -> Costs:
        cell: Costs = _CELL.unpack_from(self._map, _CELLS_AT + index * _CELL.size)
        return cell

    def __setitem__(self, index: int, totals: Costs) -> None:
        _CELL.pack_into(self._map, _CELLS_AT + index * _CELL.size, *totals)
