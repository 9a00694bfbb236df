"""The retry policy: which errors, how long, how often, and what stops it. All in numbers, no clock and no wire."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.clock import NS_PER_S
from workbench.core.errors import (
    BadRequest,
    Conflict,
    ConnectionFailed,
    ContentBlocked,
    EmptyStream,
    IncompleteStream,
    KeyRejected,
    MalformedResponse,
    ModelNotFound,
    OutOfFiles,
    Overloaded,
    ProviderError,
    QuotaSpent,
    RateLimited,
    ServerError,
    TimedOut,
    TimeoutKind,
    TLSFailed,
    UnsupportedParameter,
)
from workbench.engine.retry import (
    BackOff,
    Requeue,
    RetryBudget,
    RetryPolicy,
    RetryState,
    SendWithout,
    Stop,
    Verdict,
    decide,
    fingerprint,
)

POLICY = RetryPolicy()


def verdict(
    error: ProviderError,
    state: RetryState | None = None,
    *,
    policy: RetryPolicy = POLICY,
    draw: float = 0.5,
    left_s: float = 600.0,
    budget: RetryBudget | None = None,
    patience_s: float = 20.0,
) -> Verdict:
    return decide(
        policy,
        state or RetryState(),
        error,
        now_ns=0,
        deadline_ns=round(left_s * NS_PER_S),
        budget=budget or RetryBudget(),
        patience_s=patience_s,
        draw=draw,
    )


@pytest.mark.parametrize(
    "error",
    [
        Conflict("timeout", status=408),
        Conflict("conflict", status=409),
        ServerError("boom", status=500),
        Overloaded("busy", status=529),
        ConnectionFailed("reset"),
        IncompleteStream("cut"),
        EmptyStream("nothing"),
        TimedOut("late", kind=TimeoutKind.CONNECT),
        TimedOut("late", kind=TimeoutKind.FIRST_TOKEN),
    ],
    ids=repr,
)
def test_passing_faults_are_tried_again(error: ProviderError) -> None:
    assert isinstance(verdict(error), BackOff)


@pytest.mark.parametrize(
    "error",
    [
        BadRequest("no", status=400),
        ModelNotFound("no", status=404),
        ContentBlocked("no"),
        MalformedResponse("no"),
        TLSFailed("no"),
        TimedOut("late", kind=TimeoutKind.TOTAL),
    ],
    ids=repr,
)
def test_what_will_never_work_is_not_tried_again(error: ProviderError) -> None:
    assert verdict(error) == Stop("")


@pytest.mark.parametrize(("retries", "ceiling_s"), [(0, 0.5), (1, 1.0), (2, 2.0), (5, 16.0), (6, 20.0), (30, 20.0)])
def test_the_wait_is_anywhere_under_a_ceiling_that_doubles(retries: int, ceiling_s: float) -> None:
    assert POLICY.back_off_s(retries, 0.0) == 0.0
    assert POLICY.back_off_s(retries, 0.5) == ceiling_s / 2


def test_three_retries_and_no_more() -> None:
    state, delays = RetryState(), []
    while isinstance(again := verdict(ConnectionFailed("reset"), state, draw=0.999), BackOff):
        state = again.state
        delays.append(round(again.delay_s, 1))

    assert delays == [0.5, 1.0, 2.0]
    assert again == Stop("3 retries are used up")


def test_retries_can_be_turned_off() -> None:
    assert verdict(ConnectionFailed("reset"), policy=replace(POLICY, max_retries=0)) == Stop("retries are off")


def test_who_found_no_file_to_open_tries_again_as_long_as_there_is_time_and_costs_no_retry() -> None:
    spent = RetryBudget()
    while spent.reserve(0, 0.0) is not None:
        pass
    used_up = RetryState(retries=POLICY.max_retries)

    again = verdict(OutOfFiles("none"), used_up, budget=spent, patience_s=0.0)
    too_late = verdict(OutOfFiles("none"), used_up, left_s=0.5)

    assert again == BackOff(used_up, 2.0)
    assert isinstance(too_late, Stop)


def test_the_provider_s_word_overrules_the_table() -> None:
    assert verdict(ServerError("boom", status=500, should_retry=False)) == Stop("")
    assert verdict(RateLimited("slow", status=429, should_retry=False)) == Stop("")
    assert isinstance(verdict(BadRequest("odd", status=400, should_retry=True)), BackOff)


def test_retry_after_is_a_lower_bound_with_a_little_spread() -> None:
    hinted = ServerError("boom", status=503, retry_after_s=30.0)

    assert verdict(hinted, draw=0.0) == BackOff(RetryState(retries=1, same=1, fingerprint="503||boom"), 30.0)
    late = verdict(hinted, draw=0.999)
    assert isinstance(late, BackOff)
    assert 30.0 < late.delay_s <= 33.0


def test_a_wait_past_the_deadline_is_not_begun() -> None:
    assert verdict(ServerError("boom", retry_after_s=30.0), left_s=29.0) == Stop(
        "the next try would come after the deadline"
    )


def test_the_same_server_error_three_times_is_not_transient() -> None:
    state = RetryState()
    for request_id in ("req_8a1", "req_9b2"):
        again = verdict(ServerError(f"Internal error, id {request_id}", status=500), state)
        assert isinstance(again, BackOff)
        state = again.state

    assert verdict(ServerError("Internal error, id req_0c3", status=500), state) == Stop(
        "the same answer 3 times is not a passing fault"
    )


def test_server_errors_that_differ_do_not_add_up() -> None:
    state = RetryState()
    for words in ("disk full", "worker lost", "disk full"):
        again = verdict(ServerError(words, status=500), state)
        assert isinstance(again, BackOff)
        state = again.state

    assert state.same == 1


def test_overload_is_transient_however_often_it_says_so() -> None:
    state = RetryState(retries=2, same=2)

    assert isinstance(verdict(Overloaded("Overloaded", status=529), state), BackOff)


def test_a_refusal_goes_back_to_the_queue_twelve_tries_long() -> None:
    state, tries = RetryState(), 1
    while isinstance(again := verdict(RateLimited("slow", status=429), state), Requeue):
        state = again.state
        tries += 1

    assert tries == 12
    assert again == Stop("refused 12 times")
    assert state.retries == 0


@pytest.mark.parametrize("error", [KeyRejected("no", status=401), QuotaSpent("empty", should_retry=False)], ids=repr)
def test_a_dead_key_sends_the_request_to_the_next_one_without_waiting(error: ProviderError) -> None:
    assert verdict(error) == Requeue(RetryState(refusals=1))


def test_an_unsupported_parameter_is_taken_out_once() -> None:
    refused = UnsupportedParameter("no temperature", parameter="temperature", status=400)

    first = verdict(refused)

    assert first == SendWithout(RetryState(dropped=("temperature",)), "temperature")
    assert verdict(refused, first.state) == Stop("")


def test_a_request_is_not_whittled_down_for_ever() -> None:
    state, dropped = RetryState(), []
    for n in range(20):
        again = verdict(UnsupportedParameter("no", parameter=f"p{n}"), state)
        if not isinstance(again, SendWithout):
            break
        state = again.state
        dropped.append(again.parameter)

    assert dropped == ["p0", "p1", "p2", "p3"]


def test_an_empty_budget_stops_the_impatient_and_delays_the_patient() -> None:
    budget = RetryBudget()
    for _ in range(20):
        budget.reserve(0, 0.0)

    assert verdict(ConnectionFailed("reset"), budget=budget, patience_s=1.0) == Stop(
        "too much of what this provider got lately were retries"
    )
    waits = [verdict(ConnectionFailed("reset"), budget=budget, patience_s=600.0, draw=0.0) for _ in range(3)]
    assert [wait.delay_s for wait in waits if isinstance(wait, BackOff)] == [2.0, 4.0, 6.0]


def test_the_budget_earns_by_time_and_by_requests() -> None:
    budget = RetryBudget()
    for _ in range(20):
        assert budget.reserve(0, 0.0) == 0.0
    assert budget.reserve(0, 0.0) is None

    for _ in range(10):
        budget.earn(0)
    assert budget.reserve(0, 0.0) == 0.0
    assert budget.reserve(2 * NS_PER_S, 0.0) == 0.0
    assert budget.reserve(2 * NS_PER_S, 0.0) is None


def test_a_clock_that_steps_back_does_not_fill_the_budget() -> None:
    budget = RetryBudget()
    for _ in range(20):
        budget.reserve(10 * NS_PER_S, 0.0)

    assert budget.reserve(0, 0.0) is None
    assert budget.reserve(NS_PER_S, 0.0) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=300))
def test_retries_never_exceed_a_tenth_of_requests_plus_one_per_two_seconds(steps: list[tuple[bool, float]]) -> None:
    budget = RetryBudget()
    requests = retries = 0
    now_ns = 0
    for is_request, gap_s in steps:
        now_ns += round(gap_s * NS_PER_S)
        if is_request:
            requests += 1
            budget.earn(now_ns)
        elif budget.reserve(now_ns, 0.0) is not None:
            retries += 1

        assert retries <= RetryBudget.CAPACITY + requests * 0.1 + now_ns / NS_PER_S * 0.5 + 1e-6


def test_fingerprints_ignore_ids_and_numbers_but_not_words() -> None:
    one = ServerError("Failed at 12:03:07, request req-77ab01", status=500)
    two = ServerError("Failed at 14:13:59, request req-12cd99", status=500)
    other = ServerError("Failed at 12:03:07, model not loaded", status=500)

    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint(other)
