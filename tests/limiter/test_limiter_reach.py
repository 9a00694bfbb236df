"""How much of a limit is used and how often it is refused: the real dispatcher against the simulator's quota models.

Shorter than `llm-workbench bench limits`, and with room for the noise of a short run.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.bench.limits_paced import Paced
from workbench.bench.limits_run import IN_FLIGHT, PACED, RPM, TPM, WORKLOADS, Openness, Regime, run_cell, spec_for
from workbench.bench.limits_world import World
from workbench.bench.report import percentile
from workbench.simulator.quota import Competition, Quota, QuotaSpec, Reserve, ServerModel

WARM_S = 300.0


def world_of(regime, openness, policies, *, seed=1, until_s, spec=None, schedule=(), quotas=None, **options) -> World:
    spec = spec or spec_for(openness)
    quotas = quotas or [Quota(spec, schedule=[(at_s, change(spec)) for at_s, change in schedule])]
    return World(quotas, WORKLOADS[regime], policies, seed=seed, until_s=until_s, **options).run()


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize("regime", list(Regime))
@pytest.mark.parametrize("openness", list(Openness))
def test_one_key_fills_its_limit_and_is_hardly_refused(regime, openness, seed):
    row = run_cell(PACED.name, regime, openness, 1, seed=seed, measured_s=400)

    most_refused = 0.001 if openness is Openness.ON and regime is not Regime.IN_FLIGHT else 0.005
    assert row.share >= 0.97
    assert row.refused <= most_refused
    assert row.lost == 0


@pytest.mark.parametrize(
    "limits",
    [pytest.param({}, id="together"), pytest.param({"tpm": None, "itpm": 68_000, "otpm": 32_000}, id="apart")],
)
@pytest.mark.parametrize("max_output", [400, 4000])
def test_a_provider_that_charges_output_when_it_is_there_is_seen_through(limits, max_output):
    spec = replace(spec_for(Openness.ON), reserve=Reserve.PROMPT, **limits)
    workload = replace(WORKLOADS[Regime.TPM], max_output=max_output)

    world = World([Quota(spec)], workload, [Paced([0])], seed=2, until_s=700).run()

    assert world.tokens_per_minute(WARM_S, 700) >= 0.97 * TPM
    assert world.refused_share(WARM_S, 700) <= 0.001


@pytest.mark.parametrize(("openness", "seed"), [(Openness.HIDDEN, 2), (Openness.NONE, 1), (Openness.NONE, 8)])
@pytest.mark.parametrize("regime", list(Regime))
def test_three_keys_of_separate_accounts_give_three_times(regime, openness, seed):
    row = run_cell(PACED.name, regime, openness, 3, seed=seed, measured_s=300)

    assert row.share >= 2.9 / 3
    assert row.refused <= 0.005


@pytest.mark.parametrize("openness", [Openness.ON, Openness.HIDDEN])
def test_unequal_keys_give_their_sum(openness):
    spec = spec_for(openness)
    quotas = [Quota(spec.scaled(scale)) for scale in (1.0, 0.5, 2.0)]

    world = world_of(Regime.TPM, openness, [Paced([0, 1, 2])], until_s=600, quotas=quotas)

    assert world.tokens_per_minute(WARM_S, 600) >= 0.95 * 3.5 * TPM
    assert world.refused_share(WARM_S, 600) <= 0.005


@pytest.mark.parametrize("model", [ServerModel.FIXED_WINDOW, ServerModel.SLIDING_WINDOW, ServerModel.QUANTISED])
@pytest.mark.parametrize(
    ("openness", "least", "most_refused"),
    [(Openness.ON, 0.95, 0.003), (Openness.HIDDEN, 0.85, 0.008), (Openness.NONE, 0.75, 1.0)],
)
@pytest.mark.parametrize("regime", [Regime.TPM, Regime.RPM])
def test_servers_that_refill_in_steps_are_paced(model, openness, least, most_refused, regime):
    spec = replace(spec_for(openness), model=model, quantum_s=3.0)

    world = world_of(regime, openness, [Paced([0])], until_s=900, spec=spec)

    tokens, requests = world.tokens_per_minute(WARM_S, 900), world.requests_per_minute(WARM_S, 900)
    assert (tokens / TPM if regime is Regime.TPM else requests / RPM) >= least
    assert world.refused_share(WARM_S, 900) <= most_refused


@pytest.mark.parametrize("seed", [3, 4, 9])
def test_a_window_that_slides_is_filled_again_after_a_refusal(seed):
    spec = replace(spec_for(Openness.ON), model=ServerModel.SLIDING_WINDOW)

    world = world_of(Regime.TPM, Openness.ON, [Paced([0], seed=seed)], seed=seed, until_s=1200, spec=spec)

    assert world.tokens_per_minute(WARM_S, 1200) >= 0.95 * TPM
    assert world.refused_share(WARM_S, 1200) <= 0.001


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("openness", "most_refused", "restored_s"), [(Openness.ON, 0.002, 5), (Openness.HIDDEN, 0.01, 150)]
)
def test_a_drop_of_the_limit_is_survived_and_its_return_is_found(openness, most_refused, restored_s, seed):
    low_s, back_s = 400.0, 1000.0
    schedule = [(low_s, lambda spec: replace(spec, tpm=0.4 * TPM)), (back_s, lambda spec: spec)]

    world = world_of(Regime.TPM, openness, [Paced([0], seed=seed)], until_s=1200, schedule=schedule, seed=seed)

    assert world.refused_share(low_s, back_s) <= most_refused
    assert any(world.refused_share(low_s + s, low_s + s + 60) <= 0.02 for s in range(31)), "no clean minute"
    assert world.tokens_per_minute(low_s + 60, back_s) >= 0.95 * 0.4 * TPM
    assert any(world.tokens_per_minute(back_s + s, back_s + s + 30) >= 0.9 * TPM for s in range(int(restored_s) + 1)), (
        "the limit came back and was not used"
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_drop_that_nobody_explains_costs_a_hundredth_or_two(seed):
    schedule = [(400.0, lambda spec: replace(spec, tpm=0.4 * TPM))]

    world = world_of(Regime.TPM, Openness.NONE, [Paced([0])], until_s=1000, schedule=schedule, seed=seed)

    assert world.refused_share(400, 1000) <= 0.015
    assert world.tokens_per_minute(460, 1000) >= 0.95 * 0.4 * TPM


@pytest.mark.parametrize(
    ("openness", "seed", "low_s"),
    [
        (Openness.ON, 1, 345.0),
        (Openness.ON, 7, 315.0),
        (Openness.HIDDEN, 5, 637.0),
        (Openness.NONE, 2, 400.0),
        (Openness.NONE, 3, 345.0),
        (Openness.NONE, 7, 615.0),
    ],
)
def test_a_cap_on_calls_that_falls_and_rises_is_followed(openness, seed, low_s):
    """Whenever that happens between two probes, and also where nobody says that it is a cap."""
    back_s = low_s + 600.0
    schedule = [(low_s, lambda spec: replace(spec, max_in_flight=16)), (back_s, lambda spec: spec)]
    policy = Paced([0], seed=seed)

    world = world_of(Regime.IN_FLIGHT, openness, [policy], until_s=back_s + 120, schedule=schedule, seed=seed)

    assert world.refused_share(low_s, back_s) <= 0.02
    assert world.mean_in_flight(low_s + 30, back_s) >= 0.95 * 16
    assert any(world.mean_in_flight(back_s + s, back_s + s + 10) >= 0.9 * IN_FLIGHT for s in range(91))


def test_two_keys_that_turn_out_to_be_one_account_fill_it_as_one_lane():
    policy = Paced([0, 1])
    shared = Quota(spec_for(Openness.ON))

    world = world_of(Regime.TPM, Openness.ON, [policy], until_s=400, quotas=[shared, shared])

    merged = [change for change in policy.history.latest() if change.what == "lane"]
    assert [change.lane for change in merged] == ["bench#1 + bench#2 · model"]
    assert world.tokens_per_minute(100, 400) >= 0.97 * TPM
    assert world.refused_share(100, 400) <= 0.001


@pytest.mark.parametrize("regime", [Regime.TPM, Regime.RPM])
@pytest.mark.parametrize("seed", [1, 4, 5, 9, 13, 17, 20, 28])
def test_keys_of_one_account_become_one_lane_within_a_minute(regime, seed):
    """Also where one of them gets hardly any answers, or the limit that counts requests is hardly used."""
    policy = Paced([0, 1], seed=seed)
    shared = Quota(spec_for(Openness.ON))

    world_of(regime, Openness.ON, [policy], seed=seed, until_s=60, quotas=[shared, shared])

    assert len(list(policy.board)) == 1


@pytest.mark.parametrize("reserve", list(Reserve))
@pytest.mark.parametrize("regime", [Regime.TPM, Regime.RPM])
def test_keys_of_separate_accounts_stay_apart(regime, reserve):
    policy = Paced([0, 1, 2])
    quotas = [Quota(replace(spec_for(Openness.ON), reserve=reserve)) for _ in range(3)]

    world_of(regime, Openness.ON, [policy], until_s=200, quotas=quotas)

    assert len(list(policy.board)) == 3


def test_a_merge_that_was_a_mistake_is_undone_for_good():
    """Somebody else spends both accounts just as fast as we do, until he stops."""
    rivals = Competition(rpm=300)
    spec = QuotaSpec(rpm=600)
    quotas = [Quota(replace(spec, competition=rivals), schedule=[(120.0, spec)]) for _ in range(2)]
    policy = Paced([0, 1])

    world = world_of(Regime.RPM, Openness.ON, [policy], until_s=420, quotas=quotas)

    assert [change.new for change in policy.history.latest() if change.what == "lane"] == [1, 2]
    assert len(list(policy.board)) == 2
    assert world.requests_per_minute(300, 420) >= 0.95 * 2 * RPM


def test_people_hardly_notice_the_bulk_work_and_bulk_hardly_notices_them():
    world = world_of(Regime.TPM, Openness.ON, [Paced([0])], until_s=1200, seed=3, interactive_per_s=0.2)

    people = [done for done in world.done if done.interactive and done.at_s > WARM_S]
    unloaded_s = percentile([done.latency_s for done in people], 0.95)
    assert percentile([done.turnaround_s for done in people], 0.95) <= 1.15 * unloaded_s
    assert world.tokens_per_minute(WARM_S, 1200) >= 0.95 * TPM
    bulk = sum(done.tokens for done in world.done if not done.interactive and done.at_s > WARM_S)
    asked = sum(done.tokens for done in people)
    assert bulk >= 0.9 * (TPM * (1200 - WARM_S) / 60 - asked)
