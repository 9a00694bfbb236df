"""Whatever a provider allows and says, each prompt ends, and none is lost that could have been answered."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from limiter_soak import Prompt, Soak

from workbench.core.types import Priority
from workbench.simulator.quota import Competition, Quota, QuotaSpec, Reserve, ServerModel

LONG_S = 200_000.0
QUANTUM_S = 10.0
ENDS = {"answered", "cancelled"}


def limits_of(chance: Random) -> QuotaSpec:
    """From six requests a minute to thousands; headers, words and times on refusals, or nothing but 429."""
    scale = chance.choice([0.01, 0.05, 0.3, 1, 1, 10, 30])
    rpm, tpm = chance.choice([None, 600 * scale]), chance.choice([None, 100_000 * scale])
    open_about_it = chance.random() < 0.5
    return QuotaSpec(
        rpm=rpm if rpm or tpm else 600 * scale,
        tpm=tpm,
        max_in_flight=chance.choice([None, None, 48, 4, 1]),
        model=chance.choice(list(ServerModel)),
        quantum_s=QUANTUM_S,
        reserve=chance.choice(list(Reserve)),
        headers=chance.random() < 0.25,
        retry_after=open_about_it,
        classify=open_about_it and chance.random() < 0.7,
        count_refusals=chance.random() < 0.2,
    )


def quota_of(spec: QuotaSpec, chance: Random) -> tuple[Quota, float]:
    """With a drop for a while, and somebody else who spends some of it; and what the largest prompt may come to."""
    drop = chance.choice([0.4, 0.2]) if chance.random() < 0.25 else 1.0
    if chance.random() < 0.15:
        share = chance.choice([0.2, 0.5]) * drop
        size = 0.3 * (spec.tpm or 6000) / (spec.rpm or 60)
        spec = replace(spec, competition=Competition(rpm=(spec.rpm or 60) * share, input_tokens=int(size)))
    low_s = chance.uniform(30, 200)
    schedule = [(low_s, spec.scaled(drop)), (low_s + chance.uniform(100, 400), spec)]
    whole = math.inf if spec.tpm is None else spec.tpm * (QUANTUM_S / 60 if spec.model is ServerModel.QUANTISED else 1)
    return Quota(spec, schedule=schedule if drop < 1 else ()), whole * drop * (0.5 if spec.competition else 1.0)


def soak_of(seed: int) -> Soak:
    chance = Random(seed)
    spec = limits_of(chance)
    if spec.rpm is not None and spec.model is ServerModel.QUANTISED:
        spec = replace(spec, rpm=max(spec.rpm, 5 * 60 / QUANTUM_S))  # at least one, when only a fifth is left
    elif spec.rpm is not None:
        spec = replace(spec, rpm=max(spec.rpm, 5))
    count = chance.choice([1, 1, 1, 2, 3])
    one_account = chance.random() < 0.15
    if one_account:  # a cap below the number of its keys is fought over
        spec = replace(spec, max_in_flight=None)
    made = [quota_of(spec, chance) for _ in range(count)]
    if one_account:
        made = made[:1] * count
    room = min(largest for _, largest in made)
    whole = math.inf if spec.tpm is None else spec.tpm
    usual = max(8.0, min(chance.choice([80, 370, 2000]), room / 8))
    seconds = chance.choice([0.02, 1.5, 1.5, 8.0, 300.0])
    crowd = chance.choice(["equal", "plain", "plain", "some large", "poison", "poison"])
    spread_s = chance.choice([0.0, 0.0, 60.0, 300.0])
    prompts = []
    for number in range(chance.choice([6, 24, 60, 200])):
        size = usual if crowd == "equal" else usual * chance.lognormvariate(-0.18, 0.6)
        size = max(6.0, min(size, 0.9 * room))
        if crowd == "some large" and chance.random() < 0.08 and room < math.inf:
            size = 0.9 * room * chance.uniform(0.3, 1)
        poison = crowd == "poison" and whole < math.inf and number in (0, 20)
        tokens = int(size * 0.6)
        if poison:  # counted by its prompt alone as well
            tokens = int(whole * chance.uniform(1.15, 3))
        prompts.append(
            Prompt(
                number=number,
                input=tokens,
                max_output=max(1, int(size * 0.4)),
                output=max(1, int(size * chance.uniform(0.05, 0.4))),
                seconds=seconds * chance.lognormvariate(-0.125, 0.5),
                born_s=chance.uniform(0, spread_s),
                poison=poison,
                priority=Priority.INTERACTIVE if chance.random() < 0.05 else Priority.BULK,
            )
        )
    cancelled_s = {p.number: p.born_s + chance.expovariate(1 / 60) for p in prompts if chance.random() < 0.1}
    return Soak(
        [quota for quota, _ in made],
        prompts,
        seed,
        until_s=LONG_S,
        verdict_s=chance.choice([(0.08, 0.18), (0.08, 0.18), (0.5, 2.5)]),
        dead_from_s={0: chance.uniform(10, 200)} if count > 1 and chance.random() < 0.25 else {},
        cancelled_s=cancelled_s if chance.random() < 0.2 else {},
    )


@pytest.mark.parametrize("seed", range(200))
def test_each_prompt_ends_and_none_is_lost_that_could_be_answered(seed):
    soak = soak_of(seed).run()

    assert soak.wrong == []
    assert {prompt.end for prompt in soak.prompts if not prompt.poison} <= ENDS
    assert soak.refused <= 60 + len(soak.prompts) / 4


@pytest.mark.parametrize("seed", range(3))
def test_when_every_key_dies_all_that_is_left_ends_at_once(seed):
    soak = replace(soak_of(seed), quotas=[Quota(QuotaSpec(rpm=60))] * 2, dead_from_s={0: 5.0, 1: 8.0}).run()

    assert soak.wrong == []
    assert {prompt.end for prompt in soak.prompts} <= {*ENDS, "KeyRejected"}


@pytest.mark.parametrize("model", [ServerModel.CONTINUOUS, ServerModel.FIXED_WINDOW])
@pytest.mark.parametrize("openness", [True, False], ids=["hidden", "bare"])
def test_answers_that_come_faster_than_refusals_do_not_bring_hundreds_of_these(openness, model):
    spec = QuotaSpec(rpm=180, model=model, headers=False, retry_after=openness, classify=openness)
    prompts = [Prompt(number, 200, 100, 50, 0.02) for number in range(600)]

    soak = Soak([Quota(spec)], prompts, 1, until_s=LONG_S).run()

    assert soak.wrong == []
    assert soak.refused <= 110
    assert max(prompt.end_s for prompt in prompts) <= 60 * 600 / 180 + 60
