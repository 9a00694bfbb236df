"""Objects whose state can be written down as a row of floats, so that processes can share it.

A class names its attributes by type; everything else about it is local to the process. `None` is written as NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, ClassVar


class Stateful:
    """Base of what a lane file holds. Subclasses set `FLOATS`, `COUNTS` and `FLAGS` to names of attributes."""

    __slots__ = ()
    FLOATS: ClassVar[tuple[str, ...]] = ()
    COUNTS: ClassVar[tuple[str, ...]] = ()
    FLAGS: ClassVar[tuple[str, ...]] = ()
    _read: ClassVar[Callable[[Any], tuple[Any, ...]]]

    def __init_subclass__(cls) -> None:
        cls._read = staticmethod(attrgetter(*cls.FLOATS, *cls.COUNTS, *cls.FLAGS))

    @classmethod
    def width(cls) -> int:
        return len(cls.FLOATS) + len(cls.COUNTS) + len(cls.FLAGS)

    def export(self) -> list[float]:
        return [math.nan if value is None else value for value in type(self)._read(self)]

    def restore(self, values: Sequence[float]) -> None:
        """Take over what `export` wrote, here or in another process."""
        # Only NaN differs from itself; math.isnan() would cost a call for each of a hundred values.
        floats, counts = len(self.FLOATS), len(self.FLOATS) + len(self.COUNTS)
        for name, value in zip(self.FLOATS, values[:floats], strict=True):
            setattr(self, name, None if value != value else value)
        for name, value in zip(self.COUNTS, values[floats:counts], strict=True):
            setattr(self, name, None if value != value else int(value))
        for name, value in zip(self.FLAGS, values[counts:], strict=True):
            setattr(self, name, bool(value))
