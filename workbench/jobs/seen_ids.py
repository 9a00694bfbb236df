"""Which ids a file of rows has had so far, in 12 to 24 bytes each: a set of texts takes 140.

An id is known by its hash of 64 bits. Two different ones that share it would be taken for one, which happens in one of
three hundred thousand files of ten million rows.
"""

from __future__ import annotations

from array import array

_SHARDS = 256
"""Small tables that grow one at a time: a million ids in a single one would hold up the loop for half a second."""

_FIRST_SLOTS = 8


class SeenIds:
    def __init__(self) -> None:
        self._shards = [_Shard() for _ in range(_SHARDS)]

    def __len__(self) -> int:
        return sum(shard.count for shard in self._shards)

    def add(self, row_id: str) -> bool:
        """True when it is new."""
        # Zero marks an empty slot.
        mark = hash(row_id) or 1
        return self._shards[mark % _SHARDS].add(mark)


class _Shard:
    """A hash table with open addressing, never more than two thirds full."""

    __slots__ = ("_slots", "count")

    def __init__(self) -> None:
        self._slots = _empty(_FIRST_SLOTS)
        self.count = 0

    def add(self, mark: int) -> bool:
        slot = self._slot_of(mark)
        if self._slots[slot]:
            return False
        self._slots[slot] = mark
        self.count += 1
        if 3 * self.count > 2 * len(self._slots):
            self._grow()
        return True

    def _slot_of(self, mark: int) -> int:
        """Where it is, or where it belongs."""
        slots = self._slots
        size = len(slots)
        slot = mark // _SHARDS % size
        while slots[slot] and slots[slot] != mark:
            slot = (slot + 1) % size
        return slot

    def _grow(self) -> None:
        before = self._slots
        self._slots = _empty(2 * len(before))
        for mark in before:
            if mark:
                self._slots[self._slot_of(mark)] = mark


def _empty(slots: int) -> array[int]:
    return array("q", bytes(8 * slots))
