"""What windows keep, which every lane has a dozen of."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from workbench.core.clock import NS_PER_S
from workbench.core.stats import Sketch, SketchWindow

SECONDS = 60
VALUES = [1.05**power for power in range(-60, 60)]


def window_of_a_busy_minute() -> SketchWindow:
    window = SketchWindow(SECONDS)
    for second in range(SECONDS):
        for value in VALUES:
            window.add(value, second * NS_PER_S)
    return window


def sketches_of_a_busy_minute() -> list[Sketch]:
    sketches = [Sketch() for _ in range(SECONDS)]
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


def test_seconds_that_are_over_take_a_third_of_what_they_took() -> None:
    assert taken_by(window_of_a_busy_minute) < taken_by(sketches_of_a_busy_minute) / 3


def test_what_was_put_away_counts_until_it_falls_out() -> None:
    window = window_of_a_busy_minute()

    assert window.percentiles((SECONDS - 1) * NS_PER_S).n == SECONDS * len(VALUES)
    assert window.percentiles((SECONDS + 9) * NS_PER_S).n == (SECONDS - 10) * len(VALUES)
    assert window.percentiles((2 * SECONDS - 1) * NS_PER_S).n == 0
