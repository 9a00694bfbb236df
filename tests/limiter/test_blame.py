"""Which limit is blamed for a refusal that names none, and what becomes of wrong guesses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.bench.limits_paced import Paced
from workbench.bench.limits_run import RPM, WORKLOADS, Openness, Regime, spec_for
from workbench.bench.limits_world import World
from workbench.core.errors import LimitKind
from workbench.engine.admission import TokenCost
from workbench.engine.blame import Blame
from workbench.engine.lane_values import Flight, KeyState
from workbench.engine.limit_headers import Reading
from workbench.engine.window import Window
from workbench.simulator.quota import Quota


def flight(in_flight: int, window: int, *, paced: bool = False) -> Flight:
    return Flight(
        lane=None,  # type: ignore[arg-type]  # blame looks at the numbers alone
        key=KeyState(None),
        sent_s=0.0,
        cost=TokenCost(100, 100),
        costs=(1.0, 200.0, 100.0, 100.0),
        job="",
        in_flight=in_flight,
        window=window,
        epoch=0,
        totals=(0.0, 0.0, 0.0, 0.0),
        promised=0.0,
        asked=0.0,
        marks={},
        paced=paced,
    )


def blamed(blame: Blame, window: Window, in_flight: int, **fields) -> LimitKind:
    """One episode: refused with so many in flight, then something is accepted."""
    found = blame.of(flight(in_flight, in_flight), window, LimitKind.UNKNOWN, None, (), stale=False, **fields)
    window.unanswered = 0
    return found


def test_what_the_refusal_says_is_believed():
    blame = Blame()

    assert blame.of(flight(8, 8), Window(8, 64), LimitKind.TOKENS, None, (), stale=False) is LimitKind.TOKENS


@pytest.mark.parametrize(
    ("remaining", "expected"), [(50.0, LimitKind.TOKENS), (5_000.0, LimitKind.CONCURRENCY)], ids=["spent", "not spent"]
)
def test_a_limit_that_has_too_little_left_is_to_blame_and_otherwise_the_calls_in_flight(remaining, expected):
    readings = (Reading(LimitKind.TOKENS, 10_000.0, remaining),)

    assert Blame().of(flight(2, 8), Window(8, 64), LimitKind.UNKNOWN, None, readings, stale=False) is expected


def test_a_wait_is_asked_for_by_rates_alone():
    assert Blame().of(flight(8, 8), Window(8, 64), LimitKind.UNKNOWN, 3.0, (), stale=False) is LimitKind.UNKNOWN


def test_a_bucket_that_held_us_back_is_to_blame_while_the_window_has_room():
    blame, window = Blame(), Window(8, 64)

    assert blame.of(flight(3, 8, paced=True), window, LimitKind.UNKNOWN, None, (), stale=False) is LimitKind.UNKNOWN


def test_a_cap_that_is_found_again_where_it_was_stays_a_cap():
    blame, window = Blame(), Window(48, 64)

    assert {blamed(blame, window, calls) for calls in (49, 49, 50, 49, 49, 51)} == {LimitKind.CONCURRENCY}


def test_a_cap_that_was_raised_once_is_still_a_cap():
    blame, window = Blame(), Window(48, 64)

    assert {blamed(blame, window, calls) for calls in (17, 17, 49, 49, 50)} == {LimitKind.CONCURRENCY}


def test_a_cap_that_is_never_where_it_was_is_a_rate():
    blame, window = Blame(), Window(48, 64)

    assert [blamed(blame, window, calls) for calls in (15, 24, 40)] == [
        LimitKind.CONCURRENCY,
        LimitKind.CONCURRENCY,
        LimitKind.UNKNOWN,
    ]


@pytest.mark.parametrize("seed", range(3, 7))
def test_a_rate_that_nobody_names_is_told_from_a_cap_before_long(seed):
    """Few tokens, many calls: whenever a saved minute is spent, the window happens to be full."""
    spec = replace(spec_for(Openness.NONE), max_in_flight=None)

    world = World([Quota(spec)], WORKLOADS[Regime.RPM], [Paced([0], seed=seed)], seed=seed, until_s=900).run()

    assert world.refused_share(300, 900) <= 0.005
    assert world.requests_per_minute(300, 900) >= 0.97 * RPM
