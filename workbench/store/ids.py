"""Names for rows: sortable by the time they were made, unique across processes, short enough to type."""

from __future__ import annotations

import os
from random import Random

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no i, l, o or u, so that an id read aloud or off a screen is typed right."""

_TIME_DIGITS = 9
"""32⁹ ms is over a thousand years."""


# Unique, not secret: the system's own chance is a call to it, which lets the next thread run, twice for every answer.
_chance = Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_chance.seed)


def new_id(now_s: float) -> str:
    """Fourteen characters: nine of time in milliseconds, five (25 bits) of chance."""
    return _digits(int(now_s * 1000), _TIME_DIGITS) + _digits(_chance.getrandbits(25), 5)


def _digits(number: int, count: int) -> str:
    return "".join(_ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(count)))
