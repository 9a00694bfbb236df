"""Which limit is blamed for a refusal that names none, and what becomes of wrong guesses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.bench.limits_paced import Paced
from workbench.bench.limits_run import RPM, TPM, WORKLOADS, Openness, Regime, spec_for
from workbench.bench.limits_world import World
from workbench.core.errors import LimitKind
from workbench.engine.admission import TokenCost
from workbench.engine.blame import Blame
from workbench.engine.lane_values import Flight, KeyState
from workbench.engine.limit_headers import Reading
from workbench.engine.window import Window
from workbench.simulator.quota import Quota, QuotaSpec


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


def blamed(blame: Blame, window: Window, in_flight: int, *, let_in: int) -> LimitKind:
    """One episode: refused with so many in flight after `let_in` at once were accepted, then something is accepted."""
    blame.accepted(let_in)
    found = blame.of(flight(in_flight, in_flight), window, LimitKind.UNKNOWN, None, (), stale=False)
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

    assert {blamed(blame, window, calls, let_in=48) for calls in (49, 49, 50, 49, 49, 51)} == {LimitKind.CONCURRENCY}


def test_a_cap_that_was_raised_once_is_still_a_cap():
    blame, window = Blame(), Window(48, 64)

    found = {blamed(blame, window, calls, let_in=calls - 1) for calls in (17, 17, 49, 49, 50)}
    assert found == {LimitKind.CONCURRENCY}


def test_a_server_that_is_late_to_notice_the_end_of_a_call_has_a_cap():
    """Now and then it refuses a number that it let in before."""
    blame, window = Blame(), Window(48, 64)

    found = {blamed(blame, window, 48, let_in=let_in) for let_in in (47, 48, 48, 47, 48, 47, 48, 48, 47)}
    assert found == {LimitKind.CONCURRENCY}


def test_a_cap_that_is_never_where_it_was_is_a_rate():
    blame, window = Blame(), Window(48, 64)

    assert [blamed(blame, window, calls, let_in=calls - 1) for calls in (9, 15, 24, 40)] == [
        *[LimitKind.CONCURRENCY] * 3,
        LimitKind.UNKNOWN,
    ]


def test_a_cap_that_refuses_what_it_let_in_is_a_rate_and_the_window_becomes_what_it_was():
    blame, window = Blame(), Window(34, 64)

    found = []
    for calls in (34, 24, 17):
        window.resize(calls)
        found.append(blamed(blame, window, calls, let_in=calls))

    assert found == [LimitKind.CONCURRENCY, LimitKind.CONCURRENCY, LimitKind.UNKNOWN]
    assert window.allowed == 34, "as before the first guess that proved wrong"


def test_more_than_was_ever_let_in_is_a_cap_although_the_window_has_just_grown_beyond_it():
    blame = Blame()
    blame.accepted(47)

    kind = blame.of(flight(49, 79), Window(79, 128), LimitKind.UNKNOWN, None, (), stale=False)

    assert kind is LimitKind.CONCURRENCY


def falls(blame: Blame, window: Window) -> LimitKind:
    """What is blamed when 48 calls were refused, and then, before anything was let in, 30 of 47."""
    blamed(blame, window, 48, let_in=48)
    window.unanswered = 1
    return blame.of(flight(30, 47), window, LimitKind.UNKNOWN, None, (), stale=False)


def test_a_cap_that_has_long_been_the_same_may_fall():
    blame, window = Blame(), Window(48, 64)
    for _ in range(4):
        blamed(blame, window, 49, let_in=48)

    assert falls(blame, window) is LimitKind.CONCURRENCY


def test_what_was_never_a_cap_does_not_fall():
    blame, window = Blame(), Window(48, 64)
    for calls in (49, 54, 47, 52):
        blamed(blame, window, calls, let_in=calls - 1)

    assert falls(blame, window) is LimitKind.UNKNOWN


FEW_TOKENS = WORKLOADS[Regime.RPM]


@pytest.mark.parametrize(
    "workload",
    [FEW_TOKENS, replace(FEW_TOKENS, latency_s=0.4), replace(WORKLOADS[Regime.TPM], latency_s=10.0)],
    ids=["many calls", "quick calls", "slow calls"],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_rate_that_nobody_names_is_told_from_a_cap_before_long(workload, seed):
    """Whenever a saved minute is spent, the window happens to be full."""
    spec = replace(spec_for(Openness.NONE), max_in_flight=None)

    world = World([Quota(spec)], workload, [Paced([0], seed=seed)], seed=seed, until_s=700).run()

    assert world.refused_share(300, 700) <= 0.005
    tokens, requests = world.tokens_per_minute(300, 700) / TPM, world.requests_per_minute(300, 700) / RPM
    assert max(tokens, requests) >= 0.97


@pytest.mark.parametrize("seed", [1, 2])
def test_a_cap_that_was_raised_threefold_is_found_and_not_taken_for_a_rate(seed):
    high = QuotaSpec(max_in_flight=48, headers=False, retry_after=False, classify=False)
    quota = Quota(replace(high, max_in_flight=16), schedule=[(200.0, high)])

    workload = WORKLOADS[Regime.IN_FLIGHT]
    world = World([quota], workload, [Paced([0], seed=seed)], seed=seed, until_s=600).run()

    assert world.mean_in_flight(320, 600) >= 0.97 * 48
    assert world.refused_share(200, 600) <= 0.01
