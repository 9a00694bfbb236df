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
        if names:
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

    def known_to_all(self) -> Sequence[float]:
        """What other processes are to know."""
        return self.export()

    def take_over(self, values: Sequence[float]) -> None:
        """What another process has shared."""
        self.restore(values)


class Pinnable(Stateful):
    """What a person may fix in this process alone. What the others know is kept up beside it, for when he lets go."""

    __slots__ = ("aside", "news", "pinned")

    def __init__(self) -> None:
        self.pinned = False
        """A person set it: what comes from elsewhere leaves it alone."""
        self.aside: Sequence[float] | None = None
        """What was known before, or has become known to others since; None while nothing is pinned."""
        self.news = False
        """Others have changed it since it was pinned."""

    def set_aside(self) -> None:
        if not self.pinned:
            self.aside, self.news = self.export(), False
        self.pinned = True

    def let_go(self) -> Sequence[float] | None:
        """What had been set aside."""
        known, self.aside, self.pinned = self.aside, None, False
        return known

    def known_to_all(self) -> Sequence[float]:
        return self.export() if self.aside is None else self.aside

    def take_over(self, values: Sequence[float]) -> None:
        if self.pinned:
            self.aside, self.news = values, True
        else:
            self.restore(values)


def _place(name: str) -> _Place:
    path, _, last = name.rpartition(".")
    return attrgetter(path) if path else None, last
