"""Limits of a few requests a minute, and answers that take five minutes."""

from __future__ import annotations

import pytest
from limiter_soak import Prompt, Soak

from workbench.bench.limits_paced import Paced
from workbench.bench.limits_world import Workload, World
from workbench.core.errors import LimitKind
from workbench.simulator.quota import Quota, QuotaSpec, ServerModel

SHORT = Workload("370 tokens in 1.5 s", 250, 120, 400, 1.5)
LONG = Workload("370 tokens in 300 s", 250, 120, 400, 300.0)
HIDDEN = {"headers": False}
BARE = {"headers": False, "retry_after": False, "classify": False}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("rpm", "openness", "least", "most_refused"),
    [(2, HIDDEN, 0.9, 0.03), (5, HIDDEN, 0.9, 0.03), (5, BARE, 0.85, 0.05)],
    ids=["2, hidden", "5, hidden", "5, bare"],
)
def test_a_few_requests_a_minute_are_used_without_being_refused_all_the_time(rpm, openness, least, most_refused, seed):
    world = World(
        [Quota(QuotaSpec(rpm=rpm, **openness))], SHORT, [Paced([0], seed=seed)], seed=seed, until_s=7200
    ).run()

    assert world.requests_per_minute(2880, 7200) >= least * rpm
    assert world.refused_share(2880, 7200) <= most_refused


@pytest.mark.parametrize("model", [ServerModel.CONTINUOUS, ServerModel.FIXED_WINDOW, ServerModel.SLIDING_WINDOW])
def test_headers_of_answers_that_take_five_minutes_are_no_news_of_this_minute(model):
    world = World([Quota(QuotaSpec(rpm=10, model=model))], LONG, [Paced([0], seed=1)], seed=1, until_s=9000).run()

    assert world.requests_per_minute(4500, 9000) >= 0.95 * 10
    assert world.refused_share(4500, 9000) <= 0.001


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_left_of_a_request_is_not_lost_to_headers_in_whole_numbers(seed):
    prompts = [Prompt(number, 100, 600, 300, 3.0) for number in range(16)]

    soak = Soak([Quota(QuotaSpec(rpm=4))], prompts, seed, until_s=2000.0).run()

    assert soak.wrong == []
    assert max(prompt.end_s for prompt in prompts) <= 60 * 12 / 4 + 30


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_rate_that_was_put_far_too_low_is_found_again(seed):
    """Refusals that were about something else have left a few requests a minute of ten a second."""
    policy = Paced([0], seed=seed)
    low = {LimitKind.REQUESTS: 0.05, LimitKind.TOKENS: 20.0}
    world = World([Quota(QuotaSpec(rpm=600, **BARE))], SHORT, [policy], seed=seed, until_s=1500)
    world.at(
        300.0, lambda: [bucket.learn(300.0, low[bucket.kind]) for _, lane in policy.board for bucket in lane.paced]
    )
    world.run()

    assert world.requests_per_minute(1200, 1500) >= 0.5 * 600
