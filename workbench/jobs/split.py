"""Which provider batch a row goes into, by the provider's limits on rows and bytes."""

from __future__ import annotations

from workbench.providers.batch import BatchLimits

FRAME_BYTES = 64
"""Of a body, for what stands around the rows where they travel inside a JSON document."""


class Splitter:
    """Fills one part after the other, in input order."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._bytes = FRAME_BYTES
        self.rows: list[int] = [0]
        """How many each part has."""

    def place(self, size: int) -> int:
        """The part for a row of so many bytes. Larger than `row_bytes` must have been refused before."""
        taken = size + 1  # a line feed or a comma
        if self.rows[-1] and (self.rows[-1] >= self._limits.rows or self._bytes + taken > self._limits.body_bytes):
            self.rows.append(0)
            self._bytes = FRAME_BYTES
        self.rows[-1] += 1
        self._bytes += taken
        return len(self.rows) - 1

    def fits(self, size: int) -> bool:
        return size <= min(self._limits.row_bytes, self._limits.body_bytes - FRAME_BYTES - 1)
