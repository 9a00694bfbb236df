"""What a level comes to: exact quantiles, populations, warm-up, goodput, backlog and the knee."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_samples import sample, summary

from workbench.bench.load_drive import Level
from workbench.bench.load_plan import Goal, Load
from workbench.bench.load_summary import Distribution, LevelSummary, is_oversaturated, knee, summarize
from workbench.bench.load_sweep import next_load
from workbench.engine.records import Population


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e3), min_size=2, max_size=300))
def test_quantiles_are_those_of_linear_interpolation(values: list[float]) -> None:
    found = Distribution.of(values).as_dict()

    # The standard library's inclusive method is numpy's default.
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    assert [found["p50"], found["p95"], found["p99"]] == pytest.approx([cuts[49], cuts[94], cuts[98]], abs=1e-6)
    assert found["mean"] == pytest.approx(statistics.fmean(values))


@pytest.mark.parametrize(
    ("n", "p95", "p99"), [(19, False, False), (20, True, False), (99, True, False), (100, True, True)]
)
def test_a_tail_is_shown_only_where_enough_answers_carry_it(n: int, p95: bool, p99: bool) -> None:
    found = Distribution.of(float(i) for i in range(n))

    assert (found.p95 is not None, found.p99 is not None) == (p95, p99)


def test_rates_divide_what_was_measured_by_its_wall_time() -> None:
    level = Level("m", Load(concurrency=2), [sample(0), sample(0, number=1), sample(8.5, number=2)])

    found = summarize(level, Goal(), warm_up=0)

    # The last one is due at 8.5 s and ends 1.5 s later.
    assert (found.throughput.span_s, found.throughput.requests_per_s, found.throughput.tokens_per_s) == (10.0, 0.3, 3.3)
    assert (found.ttft.p50, found.tpot.p50, found.e2e.p50) == pytest.approx((0.5, 0.1, 1.5))


def test_only_answers_have_latencies_and_everything_is_paid_for() -> None:
    samples = [sample(0), *(sample(0, population=p, ttft_s=9.0) for p in (Population.FAILED, Population.INCOMPLETE))]

    found = summarize(Level("m", Load(concurrency=3), samples), Goal(), warm_up=0)

    assert (found.ttft.n, found.answered, found.failed, found.throughput.output_tokens) == (1, 1, 2, 11)
    assert found.cost_usd == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("concurrency", "requests", "dropped"),
    [(4, 100, 4), (64, 100, 5), (8, 10, 0)],
    ids=["a round", "a twentieth", "few"],
)
def test_warm_up_is_a_twentieth_or_the_first_round(concurrency: int, requests: int, dropped: int) -> None:
    level = Level("m", Load(concurrency=concurrency), [sample(n, number=n) for n in range(requests)])

    found = summarize(level, Goal())

    assert (found.warm_up, found.measured) == (dropped, requests - dropped)


def test_warm_up_takes_its_share_of_the_time_and_so_counts_in_the_rates() -> None:
    """Eight at once, in rounds of a second: the server brings eight a second whichever of them are measured."""
    samples = [sample(n // 8, ttft_s=0.0, tpot_s=0.1, number=n) for n in range(80)]

    found = summarize(Level("m", Load(concurrency=8), samples), Goal(ttft_s=1.0), warm_up=4)

    assert (found.answered, found.ttft.n) == (76, 76)
    brought = found.throughput
    assert (brought.requests_per_s, brought.goodput_per_s, brought.tokens_per_s) == (8.0, 8.0, 88.0)


def test_in_an_open_loop_latency_counts_from_when_a_request_was_due() -> None:
    level = Level("m", Load(rate_per_s=1.0), [sample(n, late_s=2.0, number=n) for n in range(5)])

    found = summarize(level, Goal(), warm_up=0)

    assert (found.e2e.p50, found.ttft.p50) == pytest.approx((3.5, 0.5))


def test_an_answer_is_good_when_it_keeps_every_part_of_the_goal() -> None:
    samples = [sample(0), sample(1, ttft_s=0.9), sample(2, tpot_s=0.3), sample(3, tokens=1)]

    found = summarize(Level("m", Load(concurrency=1), samples), Goal(ttft_s=0.6, tpot_s=0.2), warm_up=0)

    # The last one has a single token, so no TPOT, and what is missing does not keep a goal.
    assert (found.throughput.good, found.answered) == (1, 4)


def test_without_usage_tokens_are_estimated_and_the_row_says_so() -> None:
    found = summarize(Level("m", Load(concurrency=1), [sample(0, usage=False)]), Goal(), warm_up=0)

    assert (found.throughput.output_tokens, found.tokens_estimated) == (11, True)


def test_a_level_of_which_nothing_ended_has_no_figures() -> None:
    found = summarize(Level("m", Load(concurrency=1)), Goal())

    assert (found.throughput.requests_per_s, found.ttft.p50, found.throughput.tokens_per_s) == (None, None, None)


def test_a_growing_backlog_is_seen_and_a_long_steady_one_is_not() -> None:
    steady = [sample(n / 10, ttft_s=3.0 + (n % 7) / 10, number=n) for n in range(200)]
    drowning = [sample(n / 10, ttft_s=0.5 + n / 40, number=n) for n in range(200)]

    assert not is_oversaturated(steady)
    assert is_oversaturated(drowning)
    assert not is_oversaturated(drowning[:20])


KNEES: list[tuple[str, list[LevelSummary], int]] = [
    ("in proportion", [summary(1, rate=1), summary(2, rate=2), summary(4, rate=4)], 2),
    ("flat after two", [summary(1, rate=1), summary(2, rate=2), summary(4, rate=2.2)], 1),
    ("falling", [summary(1, rate=4), summary(2, rate=3)], 0),
    ("failing", [summary(1, rate=1), summary(2, rate=2, failed=20)], 0),
]


@pytest.mark.parametrize(("summaries", "found"), [row[1:] for row in KNEES], ids=[row[0] for row in KNEES])
def test_the_knee_is_where_more_load_stops_paying(summaries: list[LevelSummary], found: int) -> None:
    assert knee(summaries) == found


def test_where_nothing_is_answered_there_is_no_knee() -> None:
    assert knee([summary(1, failed=100)]) is None
    assert next_load([summary(1, failed=100)], 64) is None


@pytest.mark.parametrize("capacity", [1, 3, 5, 6, 20, 100])
def test_a_sweep_ends_at_what_the_server_can_do(capacity: int) -> None:
    done: list[LevelSummary] = []
    while load := next_load(done, 64):
        at = load.concurrency or 1
        done.append(summary(at, rate=float(min(at, capacity))))
        assert len(done) < 12

    ordered = sorted(done, key=lambda one: one.load.size)
    at = knee(ordered)
    assert at is not None
    reached = ordered[at].load.concurrency or 0
    # Known to a factor of the square root of two, the step of the last look.
    assert min(capacity, 64) / 1.5 <= reached <= min(64, capacity * 2)
