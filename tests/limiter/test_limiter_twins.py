"""Which keys share an account, told from what remains after each answer: soon if they do, and never if they do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.bench.limits_paced import Paced
from workbench.bench.limits_run import WORKLOADS, Openness, Regime, spec_for
from workbench.bench.limits_world import Workload, World
from workbench.simulator.quota import Grant, Quota, Reserve, ServerModel

WINDOWS = [ServerModel.SLIDING_WINDOW, ServerModel.FIXED_WINDOW]
SLOW = Workload("370 of 2250 tokens in 20 s", 250, 120, 2000, 20.0)


def changes_of_lanes(quotas, *, regime, seed, until_s, workload=None, from_s=0.0) -> list[tuple[int, int]]:
    """How many lanes became how many, in order."""
    policy = Paced(list(range(len(quotas))), seed=seed)
    world = World(quotas, workload or WORKLOADS[regime], [policy], seed=seed, until_s=until_s)
    world.now_s = from_s
    world.run()
    return [(int(change.old), int(change.new)) for change in policy.history.latest() if change.what == "lane"]


@pytest.mark.parametrize("keys", [2, 3])
@pytest.mark.parametrize("reserve", list(Reserve))
@pytest.mark.parametrize("regime", [Regime.TPM, Regime.RPM])
@pytest.mark.parametrize("model", WINDOWS)
def test_keys_of_one_account_become_one_lane_before_they_have_used_up_its_minute(model, regime, reserve, keys):
    shared = Quota(replace(spec_for(Openness.ON), model=model, reserve=reserve))

    assert changes_of_lanes([shared] * keys, regime=regime, seed=4, until_s=30) == [(keys, 1)]


@pytest.mark.parametrize("model", WINDOWS)
def test_keys_of_one_account_stay_one_lane_while_what_they_use_is_given_back(model):
    shared = Quota(replace(spec_for(Openness.ON), model=model))

    assert changes_of_lanes([shared, shared], regime=Regime.TPM, seed=2, until_s=300) == [(2, 1)]


@pytest.mark.parametrize(("keys", "seed"), [(2, 10), (2, 60), (3, 2), (3, 6), (3, 7), (3, 25), (3, 43)])
def test_keys_of_an_account_that_charges_output_at_the_end_become_one_lane_within_a_minute(keys, seed):
    shared = Quota(replace(spec_for(Openness.ON), reserve=Reserve.PROMPT))

    assert changes_of_lanes([shared] * keys, regime=Regime.TPM, seed=seed, until_s=60) == [(keys, 1)]


@pytest.mark.parametrize("model", WINDOWS)
@pytest.mark.parametrize("seed", [1, 3])
def test_separate_accounts_stay_apart_though_much_of_what_they_reserve_is_given_back_late(model, seed):
    spec = replace(spec_for(Openness.ON), model=model, max_in_flight=None)

    assert changes_of_lanes([Quota(spec), Quota(spec)], regime=Regime.TPM, seed=seed, until_s=260, workload=SLOW) == []


@pytest.mark.parametrize("model", WINDOWS)
@pytest.mark.parametrize("gap_s", [0.15, 0.3])
def test_separate_accounts_stay_apart_though_both_were_used_alike_a_moment_ago(model, gap_s):
    from_s = 50.0
    quotas = [Quota(replace(spec_for(Openness.ON), model=model)) for _ in range(2)]
    for quota in quotas:
        for n in range(int(30 / gap_s)):
            grant = quota.admit(from_s - 31 + n * gap_s, 200, 100)
            if isinstance(grant, Grant):
                quota.settle(grant, from_s - 31 + n * gap_s, 200, 100)

    assert changes_of_lanes(quotas, regime=Regime.TPM, seed=5, until_s=200, from_s=from_s) == []
