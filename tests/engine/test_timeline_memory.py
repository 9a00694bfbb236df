"""What a lane keeps of its past for charts."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from workbench.core.clock import NS_PER_S
from workbench.core.stats import Sketch
from workbench.engine.timeline import RECENT_S, Timeline

VALUES = [1.05**power for power in range(-40, 40)]


def five_busy_minutes() -> Timeline:
    timeline = Timeline()
    for second in range(RECENT_S):
        for value in VALUES:
            timeline.first_token(value, second * NS_PER_S)
    return timeline


def as_many_sketches() -> list[Sketch]:
    sketches = [Sketch() for _ in range(RECENT_S)]
    for sketch in sketches:
        for value in VALUES:
            sketch.add(value)
    return sketches


def taken_by(made: Callable[[], object]) -> int:
    """Bytes that stay."""
    tracemalloc.start()
    try:
        kept = made()
        size, _ = tracemalloc.get_traced_memory()
        del kept
        return size
    finally:
        tracemalloc.stop()


def test_seconds_that_are_over_take_less_than_sketches_of_them_would() -> None:
    assert taken_by(five_busy_minutes) < taken_by(as_many_sketches) / 2
