"""Finding the knee: double what is in flight until more of it brings too little, then look once in between."""

from __future__ import annotations

import math
from collections.abc import Sequence

from workbench.bench.load_plan import Load
from workbench.bench.load_summary import LevelSummary, knee


def next_load(done: Sequence[LevelSummary], most: int) -> Load | None:
    """What to try after these closed-loop levels of one model, in any order; None when the knee has been found."""
    if not done:
        return Load(concurrency=1)
    ordered = in_order(done)
    found = knee(ordered)
    if found is None:
        return None
    at = ordered[found].load.concurrency or 1
    if found == len(ordered) - 1:
        return Load(concurrency=min(2 * at, most)) if at < most else None
    above = ordered[found + 1].load.concurrency or at
    # One look in between, half-way on a logarithmic scale: the doubling leaves the knee unknown by a factor of two.
    between = round(math.sqrt(at * above))
    tried = {summary.load.concurrency for summary in ordered}
    doublings = {1 << power for power in range(most.bit_length())} | {most}
    if between in tried or above not in doublings or at not in doublings:
        return None
    return Load(concurrency=between)


def in_order(done: Sequence[LevelSummary]) -> list[LevelSummary]:
    return sorted(done, key=lambda summary: summary.load.size)
