"""The provider's side of a limit, in virtual time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.simulator.quota import (
    Competition,
    Dimension,
    DimensionState,
    Grant,
    Quota,
    QuotaSpec,
    Refusal,
    Reserve,
    ServerModel,
)


def drain(quota: Quota, now_s: float, input_tokens: int = 0, max_output_tokens: int = 0) -> list[Grant]:
    """Everything that is let in at one moment."""
    grants: list[Grant] = []
    while isinstance(answer := quota.admit(now_s, input_tokens, max_output_tokens), Grant):
        grants.append(answer)
    return grants


def refused(quota: Quota, now_s: float, input_tokens: int = 0, max_output_tokens: int = 0) -> Refusal:
    answer = quota.admit(now_s, input_tokens, max_output_tokens)
    assert isinstance(answer, Refusal)
    return answer


@pytest.mark.parametrize(
    ("model", "at_half_a_minute", "at_one_minute"),
    [
        pytest.param(ServerModel.CONTINUOUS, 30, 30, id="a bucket refills evenly"),
        pytest.param(ServerModel.FIXED_WINDOW, 0, 60, id="a fixed window refills at the full minute"),
        pytest.param(ServerModel.SLIDING_WINDOW, 0, 60, id="a sliding window refills a minute after use"),
        pytest.param(ServerModel.QUANTISED, 5, 5, id="a quantised bucket never holds more than its quantum"),
    ],
)
def test_each_server_model_gives_back_in_its_own_way(model, at_half_a_minute, at_one_minute):
    quota = Quota(QuotaSpec(rpm=60, model=model, quantum_s=5.0))
    drain(quota, 0.0)

    assert len(drain(quota, 30.0)) == at_half_a_minute
    assert len(drain(quota, 60.0)) == at_one_minute


def test_the_reservation_is_corrected_to_what_was_used():
    quota = Quota(QuotaSpec(tpm=1000))
    grant = quota.admit(0.0, 100, 400)
    assert isinstance(grant, Grant)
    assert quota.snapshot(0.0)[Dimension.TOKENS] == DimensionState(limit=1000, remaining=500, reset_s=30.0)

    quota.settle(grant, 0.0, 100, 50)

    assert quota.snapshot(0.0)[Dimension.TOKENS].remaining == 850


def test_charging_the_prompt_alone_may_run_into_debt():
    quota = Quota(QuotaSpec(tpm=600, reserve=Reserve.PROMPT))
    grant = quota.admit(0.0, 500, 4000)
    assert isinstance(grant, Grant)

    quota.settle(grant, 0.0, 500, 200)

    assert refused(quota, 0.0, 1).wait_s == pytest.approx(10.1)


def test_a_refund_goes_to_the_window_in_which_the_charge_was_counted():
    for model in (ServerModel.FIXED_WINDOW, ServerModel.SLIDING_WINDOW):
        quota = Quota(QuotaSpec(tpm=1000, model=model))
        grant = quota.admit(0.0, 100, 900)
        assert isinstance(grant, Grant)
        drain(quota, 70.0, 500)

        quota.settle(grant, 71.0, 100, 0)

        assert quota.snapshot(71.0)[Dimension.TOKENS].remaining == 0, model


def test_input_and_output_are_metered_apart():
    quota = Quota(QuotaSpec(itpm=1000, otpm=200))

    assert isinstance(quota.admit(0.0, 900, 100), Grant)
    assert refused(quota, 0.0, 200, 10).kind is Dimension.INPUT_TOKENS
    assert refused(quota, 0.0, 50, 150).kind is Dimension.OUTPUT_TOKENS


def test_too_many_in_flight_says_no_time_and_settling_makes_room():
    quota = Quota(QuotaSpec(max_in_flight=2))
    first, _ = drain(quota, 0.0)

    refusal = refused(quota, 0.0)
    quota.settle(first, 1.0, 0, 0)

    assert (refusal.kind, refusal.retry_after_s) == (Dimension.IN_FLIGHT, None)
    assert isinstance(quota.admit(1.0, 0, 0), Grant)


def test_a_refusal_waits_whole_seconds_and_never_zero():
    quota = Quota(QuotaSpec(rpm=600))
    drain(quota, 0.0)

    refusal = refused(quota, 0.0)

    assert (refusal.retry_after_s, refusal.wait_s) == (1, pytest.approx(0.1))


def test_a_close_mouthed_provider_names_neither_limit_nor_time():
    quota = Quota(QuotaSpec(rpm=1, retry_after=False, classify=False))
    drain(quota, 0.0)

    refusal = refused(quota, 0.0)

    assert (refusal.retry_after_s, refusal.named) == (None, False)


@pytest.mark.parametrize(
    ("spec", "tokens"),
    [
        pytest.param(QuotaSpec(tpm=100), 101, id="more than a minute holds"),
        pytest.param(QuotaSpec(tpm=6000, model=ServerModel.QUANTISED), 101, id="more than a quantum holds"),
        pytest.param(QuotaSpec(rpm=0), 1, id="a limit of zero"),
        pytest.param(QuotaSpec(max_in_flight=0), 1, id="no call in flight allowed"),
    ],
)
def test_what_can_never_fit_is_called_too_large(spec, tokens):
    refusal = refused(Quota(spec), 0.0, tokens)

    assert refusal.too_large
    assert math.isinf(refusal.wait_s)
    assert refusal.retry_after_s is None


def test_day_limits_are_apart_from_minute_limits():
    quota = Quota(QuotaSpec(rpm=60, rpd=70))
    drain(quota, 0.0)
    drain(quota, 60.0)

    refusal = refused(quota, 60.0)

    assert refusal.kind is Dimension.REQUESTS_PER_DAY
    assert refusal.retry_after_s == 86_400 - 60


def test_refusals_may_count_as_requests():
    quota = Quota(QuotaSpec(rpm=60, tpm=10, count_refusals=True))
    for _ in range(60):
        refused(quota, 0.0, 11)

    assert quota.snapshot(0.0)[Dimension.REQUESTS].remaining == 0


def test_a_schedule_changes_limits_without_giving_back_what_was_used():
    quota = Quota(QuotaSpec(rpm=600), schedule=[(10.0, QuotaSpec(rpm=60)), (20.0, QuotaSpec(rpm=600))])
    drain(quota, 0.0)

    assert quota.snapshot(10.0)[Dimension.REQUESTS] == DimensionState(limit=60, remaining=60, reset_s=0.0)
    assert quota.snapshot(20.0)[Dimension.REQUESTS].remaining == 60
    assert quota.snapshot(30.0)[Dimension.REQUESTS].remaining == 160


def test_two_keys_of_one_organisation_share_what_they_hold_together():
    quota = Quota(QuotaSpec(rpm=10))
    keys = {"a": quota, "b": quota}

    drain(keys["a"], 0.0)

    assert isinstance(keys["b"].admit(0.0, 0, 0), Refusal)


def test_competing_traffic_spends_the_same_account():
    quota = Quota(QuotaSpec(rpm=60, max_in_flight=10, competition=Competition(rpm=30, in_flight=4)))
    grants = drain(quota, 0.0)
    assert len(grants) == 6
    for grant in grants:
        quota.settle(grant, 0.0, 0, 0)

    used = sum(len([quota.settle(g, float(t), 0, 0) for g in drain(quota, float(t))]) for t in range(61, 661))

    assert used == pytest.approx(300, abs=60)


@pytest.mark.parametrize("model", list(ServerModel))
@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.floats(-5, 20), st.integers(0, 400), st.integers(0, 400), st.floats(0, 1)), min_size=1, max_size=60
    )
)
def test_no_minute_is_granted_more_than_two_limits_and_nothing_leaks(model, steps):
    """A bucket may spend its saved minute on top of the running one; a clock that steps back changes nothing."""
    quota = Quota(QuotaSpec(tpm=1000, max_in_flight=5, model=model, quantum_s=6.0))
    now_s = latest_s = 0.0
    used: list[tuple[float, int]] = []
    for step_s, input_tokens, output_tokens, share in steps:
        now_s += step_s
        latest_s = max(latest_s, now_s)
        answer = quota.admit(now_s, input_tokens, output_tokens)
        if isinstance(answer, Grant):
            actual = int(output_tokens * share)
            quota.settle(answer, now_s, input_tokens, actual)
            used.append((latest_s, input_tokens + actual))

    assert quota.in_flight == 0
    assert 0 <= quota.snapshot(now_s)[Dimension.TOKENS].remaining <= 1000
    for start_s, _ in used:
        assert sum(amount for at_s, amount in used if start_s <= at_s < start_s + 60) <= 2000


@pytest.mark.parametrize("bad", [{"rpm": -1}, {"tpm": math.nan}, {"quantum_s": 0.0}, {"rpd": math.inf}])
def test_a_senseless_spec_is_refused_by_name(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        QuotaSpec(**bad)
