"""Objects whose state can be written down as a row of floats, so that processes can share it.

A class names its attributes by type, with a dot those of a part of it; everything else about it is local to the
process. `None` is written as NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, ClassVar

_Place = tuple[Callable[[Any], Any] | None, str]
"""Whose attribute it is (None: the object's own), and its name."""


class Stateful:
    """Base of what a lane file holds. Subclasses set `FLOATS`, `COUNTS` and `FLAGS` to names of attributes."""

    __slots__ = ()
    FLOATS: ClassVar[tuple[str, ...]] = ()
    COUNTS: ClassVar[tuple[str, ...]] = ()
    FLAGS: ClassVar[tuple[str, ...]] = ()
    _read: ClassVar[Callable[[Any], tuple[Any, ...]]]
    _places: ClassVar[tuple[_Place, ...]]

    def __init_subclass__(cls) -> None:
        names = (*cls.FLOATS, *cls.COUNTS, *cls.FLAGS)
        cls._read = staticmethod(attrgetter(*names))
        cls._places = tuple(map(_place, names))

    @classmethod
    def width(cls) -> int:
        return len(cls.FLOATS) + len(cls.COUNTS) + len(cls.FLAGS)

    def export(self) -> list[float]:
        return [math.nan if value is None else value for value in type(self)._read(self)]

    def restore(self, values: Sequence[float]) -> None:
        """Take over what `export` wrote, here or in another process."""
        # Only NaN differs from itself; math.isnan() would cost a call for each of a hundred values.
        places = self._places
        floats, counts = len(self.FLOATS), len(self.FLOATS) + len(self.COUNTS)
        for (part, name), value in zip(places[:floats], values[:floats], strict=True):
            setattr(part(self) if part else self, name, None if value != value else value)
        for (part, name), value in zip(places[floats:counts], values[floats:counts], strict=True):
            setattr(part(self) if part else self, name, None if value != value else int(value))
        for (part, name), value in zip(places[counts:], values[counts:], strict=True):
            setattr(part(self) if part else self, name, bool(value))


def _place(name: str) -> _Place:
    path, _, last = name.rpartition(".")
    return attrgetter(path) if path else None, last
