"""A hard cap on calls in flight per provider, over all processes of this user on this machine.

A slot is a locked byte of one file: taken last, held only while a call is in flight, freed by the operating system when
a process dies. Nobody is told of a free slot, so whoever waits looks again, one look per process at a time. While
others wait, a process that holds its share takes no more: those that are busy would hand every slot to themselves.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from workbench.core.settings import LARGEST_CAP
from workbench.engine.lock_file import LockFile

MEMBERS: Final = 64
"""Processes that can be told apart; further ones take slots as they find them."""
_MEMBER_AT: Final = LARGEST_CAP
_WAITER_AT: Final = LARGEST_CAP + MEMBERS
_ACTIVE_AT: Final = LARGEST_CAP + 2 * MEMBERS
_SIZE: Final = LARGEST_CAP + 3 * MEMBERS
SHORTEST_RETRY_S: Final = 0.02
LONGEST_RETRY_S: Final = 0.25


class Slot:
    """One taken slot."""

    __slots__ = ("_byte", "_slots")

    def __init__(self, slots: SharedSlots | LocalSlots, byte: int) -> None:
        self._slots = slots
        self._byte = byte

    def release(self) -> None:
        self._slots.released(self._byte)


class LocalSlots:
    """The same cap within this process alone: what is left where processes cannot share locks."""

    retry_s = LONGEST_RETRY_S
    """Room is made by our own calls only, and their end is a reason to look."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.in_use = 0

    def acquire(self) -> Slot | None:
        if self.in_use >= self.cap:
            return None
        self.in_use += 1
        return Slot(self, 0)

    def released(self, byte: int) -> None:
        self.in_use -= 1

    def idle(self) -> None:
        return None

    def close(self) -> None:
        return None


class SharedSlots:
    """The slots of one provider as one process sees them. Raises CannotLock where there can be none."""

    def __init__(self, path: Path, cap: int, rng: Random) -> None:
        if not 1 <= cap <= LARGEST_CAP:
            raise ValueError(f"a cap must lie between 1 and {LARGEST_CAP}, not {cap}")
        self.cap = cap
        self.in_use = 0
        """Slots that this process holds."""
        self._rng = rng
        self._file = LockFile.open(path, _SIZE)
        self._member = next((n for n in range(MEMBERS) if self._file.take(_MEMBER_AT + n)), None)
        self._waiting = False
        self._active = False
        """It waits for a slot or holds one, and the others know."""
        self._misses = 0

    @property
    def retry_s(self) -> float:
        """Longer with every miss in a row, and never the same twice."""
        longest_s = min(LONGEST_RETRY_S, SHORTEST_RETRY_S * 2.0 ** min(self._misses, 8))
        return longest_s * self._rng.uniform(0.5, 1.0)

    def acquire(self) -> Slot | None:
        byte = self._find() if self.in_use < self._share() else None
        if byte is None:
            self._misses += 1
            self._wait(True)
            return None
        self._misses = 0
        self.in_use += 1
        self._wait(False)
        return Slot(self, byte)

    def _find(self) -> int | None:
        start = self._rng.randrange(self.cap)
        for offset in range(self.cap):
            byte = (start + offset) % self.cap
            if self._file.take(byte):
                return byte
        return None

    def released(self, byte: int) -> None:
        self.in_use -= 1
        self._file.drop(byte)
        self._show_active()

    def idle(self) -> None:
        """Nothing of this process waits any more."""
        self._wait(False)

    def close(self) -> None:
        """Calls that are still in flight keep their slots until they end, or until this process does."""
        self._wait(False)
        if self._member is not None:
            self._file.drop(_ACTIVE_AT + self._member)
            self._file.drop(_MEMBER_AT + self._member)
            self._member = None
        self._file.close()

    def _share(self) -> int:
        """How many this process may hold: all of them, unless somebody else is waiting. Then those that hold or want
        slots have equal parts, and the first of them one more where that does not come out even."""
        if self.in_use == 0 or self._member is None:
            return self.cap
        own = _WAITER_AT + self._member
        if self._file.first_held(_WAITER_AT, own) is None and self._file.first_held(own + 1, _ACTIVE_AT) is None:
            return self.cap
        active = self._file.held_between(_ACTIVE_AT, _SIZE)
        part, left_over = divmod(self.cap, len(active))
        return max(1, part + (active.index(_ACTIVE_AT + self._member) < left_over))

    def _wait(self, waiting: bool) -> None:
        if self._member is None:
            return
        if waiting != self._waiting:
            self._waiting = waiting
            if waiting:
                self._file.take(_WAITER_AT + self._member)
            else:
                self._file.drop(_WAITER_AT + self._member)
        self._show_active()

    def _show_active(self) -> None:
        """Take part in the sharing while there is anything to share."""
        if self._member is None:
            return
        active = self._waiting or self.in_use > 0
        if active is not self._active:
            self._active = active
            if active:
                self._file.take(_ACTIVE_AT + self._member)
            else:
                self._file.drop(_ACTIVE_AT + self._member)
