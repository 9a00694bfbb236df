"""What a refusal says, apart from its kind: how long to wait, and how the limits stand."""

from __future__ import annotations

from typing import Final

from workbench.core.errors import ProviderError
from workbench.engine.limit_headers import Reading, parse_limit_headers, parse_refusal

LONGEST_HINT_S: Final = 3600.0
DELIBERATE: Final = frozenset({"retry-after", "retry-after-ms"})
"""Headers that ask for a wait, and nothing else."""


def hint_of(error: ProviderError | None) -> float | None:
    """The wait that a refusal asks for, or None.

    A time of reset alone asks for none: it says when the whole limit is free again, up to a minute after there is room
    for one request, and the mirrored levels know that better.
    """
    if error is None or error.retry_after_s is None:
        return None
    names = {name for name, _ in error.headers}
    if names.isdisjoint(DELIBERATE) and any("ratelimit" in name and "reset" in name for name in names):
        return None
    return error.retry_after_s


def readings_of(error: ProviderError | None, wall_s: float) -> tuple[Reading, ...]:
    """The limits in its headers; if there are none, in its words."""
    if error is None:
        return ()
    readings = parse_limit_headers(error.headers, wall_s)
    spoken = parse_refusal(error.message) if not readings else None
    return readings if spoken is None else (spoken,)


def sensible_hint(retry_after_s: float | None) -> float | None:
    """A wait that a provider asks for, unless it is negative, not a number, or longer than an hour."""
    return retry_after_s if retry_after_s is not None and 0 <= retry_after_s <= LONGEST_HINT_S else None
