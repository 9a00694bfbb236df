"""How many files this process may have open: a call in flight takes one, and so does every lane's file."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

ENOUGH: Final = 10_240
"""The most that macOS grants whatever it calls its limit, and far more than calls that a machine can have in flight."""


def make_room_for_connections() -> None:
    """Lift the soft limit, 256 on macOS and 1,024 on most of Linux, as far as the hard one allows.

    It is that low for programs that wait with `select`, which asyncio is not. Children inherit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a system with limits of its own: what it gives has to do
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
