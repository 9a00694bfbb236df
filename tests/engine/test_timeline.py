"""How counters moved: seconds, steps, levels that last, the whole run in few moments, and the second under way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.clock import NS_PER_S
from workbench.engine.timeline import RUN_MOMENTS, Series, Span, Timeline


def at(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def test_before_anything_happened_there_is_nothing_to_draw() -> None:
    series = Timeline().series(Span.MINUTE, at(100))

    assert (len(series), series) == (0, Series(ends_s=100, step_s=1))


def test_a_level_lasts_until_it_changes_and_a_peak_is_of_its_second() -> None:
    timeline = Timeline()
    timeline.stand(3, at(10.1), limit=8)
    timeline.stand(1, at(10.9))
    timeline.stand(0, at(13.5), limit=4)

    series = timeline.series(Span.MINUTE, at(15))

    assert series.in_flight == (3, 1, 1, 1, 0)
    assert series.limit == (8, 8, 8, 4, 4)
    assert (series.ends_s, series.step_s) == (15, 1)


def test_the_second_under_way_is_left_out() -> None:
    timeline = Timeline()
    timeline.add_tokens(50, at(1.0))
    timeline.add_tokens(7, at(2.2))

    assert timeline.series(Span.MINUTE, at(2.3)).tokens_per_s == (50.0,)
    assert timeline.series(Span.MINUTE, at(3.0)).tokens_per_s == (50.0, 7.0)


def test_five_minutes_come_in_steps_whose_rates_divide_by_their_own_length() -> None:
    timeline = Timeline()
    for second in range(600):
        timeline.add_tokens(10, at(second))
        timeline.refuse(at(second))

    series = timeline.series(Span.FIVE_MINUTES, at(600), points=100)

    assert (series.step_s, len(series)) == (3, 100)
    assert set(series.tokens_per_s) == {10.0}
    assert sum(series.refusals) == 300


def test_ttft_is_of_the_last_ten_seconds_and_its_tail_needs_twenty_samples() -> None:
    timeline = Timeline()
    for n in range(20):
        timeline.first_token(0.5, at(100 + n / 10))

    series = timeline.series(Span.MINUTE, at(115))

    assert series.ttft_p50_s[0] == pytest.approx(0.5, rel=0.01)
    assert series.ttft_p95_s[0] is None
    assert series.ttft_p95_s[1] == pytest.approx(0.5, rel=0.01)
    assert series.ttft_p50_s[12:] == (None, None, None)


@pytest.mark.parametrize("seconds", [1, 239, 240, 241, 5_000, 90_000])
def test_the_whole_run_fits_into_few_points_and_loses_nothing(seconds: int) -> None:
    timeline = Timeline()
    step = max(1, seconds // 1_000)
    for second in range(0, seconds, step):
        timeline.stand(second % 7, at(second))
        timeline.refuse(at(second))

    series = timeline.series(Span.RUN, at(seconds + 1), points=120)

    assert len(series) <= 120
    assert len(timeline._run) <= RUN_MOMENTS
    assert sum(series.refusals) == len(range(0, seconds, step))


def test_a_call_that_outlasts_the_window_is_still_in_flight() -> None:
    timeline = Timeline()
    timeline.stand(1, at(0))
    timeline.refuse(at(5_000))

    series = timeline.series(Span.FIVE_MINUTES, at(5_001), points=300)

    assert set(series.in_flight) == {1}


def test_a_clock_that_steps_back_counts_for_the_latest_second() -> None:
    timeline = Timeline()
    timeline.refuse(at(50))
    timeline.refuse(at(20))

    assert timeline.series(Span.MINUTE, at(51)).refusals == (2,)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2_000), st.sampled_from("rti"), st.integers(0, 50)), min_size=1, max_size=80),
    st.sampled_from(Span),
    st.integers(1, 200),
)
def test_columns_are_of_one_length_and_never_longer_than_asked(
    happened: list[tuple[int, str, int]], span: Span, points: int
) -> None:
    timeline = Timeline()
    for second, what, amount in sorted(happened):
        match what:
            case "r":
                timeline.refuse(at(second))
            case "t":
                timeline.first_token(amount / 10, at(second))
            case _:
                timeline.stand(amount, at(second))

    series = timeline.series(span, at(max(happened)[0] + 1), points)

    columns = (
        series.in_flight,
        series.limit,
        series.tokens_per_s,
        series.ttft_p50_s,
        series.ttft_p95_s,
        series.refusals,
    )
    assert {len(column) for column in columns} == {len(series)}
    assert len(series) <= points + 1
