"""Distributions: error bound, merging, windows, and figures that are hidden for want of samples."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.clock import NS_PER_S
from workbench.core.stats import Percentiles, RateWindow, Sketch, SketchWindow, quantile_linear

POSITIVE = st.floats(min_value=1e-6, max_value=1e6)


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


@settings(max_examples=80, deadline=None)
@given(st.lists(POSITIVE, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_one_percent_of_the_value_at_its_rank(values: list[float], q: float) -> None:
    sketch = sketch_of(values)

    found = sketch.quantile(q)

    exact = sorted(values)[math.floor(q * (len(values) - 1))]
    assert found == pytest.approx(exact, rel=0.0101)


@settings(max_examples=50, deadline=None)
@given(st.lists(POSITIVE, max_size=60), st.lists(POSITIVE, max_size=60))
def test_merging_two_sketches_equals_one_sketch_of_both(left: list[float], right: list[float]) -> None:
    merged = sketch_of(left)

    merged.merge(sketch_of(right))

    whole = sketch_of(left + right)
    assert len(merged) == len(whole)
    assert merged.quantiles((0.1, 0.5, 0.9, 1.0)) == whole.quantiles((0.1, 0.5, 0.9, 1.0))


def test_a_million_lognormal_values_stay_in_a_few_hundred_bins() -> None:
    rng = random.Random(7)
    values = [rng.lognormvariate(0, 1) for _ in range(20_000)]

    sketch = sketch_of(values)

    assert len(sketch._bins) < 600
    assert sketch.quantile(0.99) == pytest.approx(quantile_linear(sorted(values), 0.99), rel=0.02)


def test_nonsense_values_are_not_counted_and_zero_is() -> None:
    sketch = sketch_of([math.nan, math.inf, 0.0, -1.0, 2.0])

    assert len(sketch) == 3
    assert sketch.quantile(0.5) == 0.0
    assert sketch.quantile(1.0) == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize(
    ("n", "has_p95", "has_p99"),
    [(0, False, False), (19, False, False), (20, True, False), (99, True, False), (100, True, True)],
)
def test_tails_are_hidden_until_enough_samples_carry_them(n: int, has_p95: bool, has_p99: bool) -> None:
    shown = sketch_of([float(i + 1) for i in range(n)]).percentiles()

    assert (shown.n, shown.p95 is not None, shown.p99 is not None) == (n, has_p95, has_p99)
    assert (shown.p50 is None) == (n == 0)


def test_an_empty_sketch_says_nothing() -> None:
    assert Sketch().percentiles() == Percentiles()


def test_a_window_forgets_what_is_older_than_its_span() -> None:
    window = SketchWindow(seconds=60)
    window.add(1.0, 0)
    window.add(5.0, 30 * NS_PER_S)

    assert window.percentiles(59 * NS_PER_S).n == 2
    assert window.percentiles(60 * NS_PER_S).n == 1
    assert window.percentiles(95 * NS_PER_S).n == 0


def test_a_slot_that_comes_round_again_starts_empty() -> None:
    window = SketchWindow(seconds=3)
    window.add(1.0, 0)

    window.add(9.0, 3 * NS_PER_S)

    assert window.percentiles(3 * NS_PER_S).max == 9.0
    assert window.percentiles(3 * NS_PER_S).n == 1


def test_a_rate_counts_idle_seconds_but_not_the_time_before_the_first_event() -> None:
    rate = RateWindow(seconds=10)
    rate.add(30.0, 5 * NS_PER_S)

    assert rate.per_second(5 * NS_PER_S) == 30.0
    assert rate.per_second(7 * NS_PER_S) == 10.0
    assert rate.per_second(14 * NS_PER_S) == 3.0
    assert rate.per_second(15 * NS_PER_S) == 0.0


@pytest.mark.parametrize(("q", "expected"), [(0.0, 1.0), (0.5, 2.5), (0.95, 3.85), (1.0, 4.0)])
def test_exact_quantiles_interpolate_as_numpy_does(q: float, expected: float) -> None:
    assert quantile_linear([1.0, 2.0, 3.0, 4.0], q) == pytest.approx(expected)
    assert quantile_linear([], q) is None
