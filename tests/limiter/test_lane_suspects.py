"""Which requests are given up as too large: those alone that are refused even when nothing else is asked for."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limiter_soak import MOST_REFUSALS, Prompt, Soak
from limiter_virtual_time import ticket

from workbench.core.errors import LimitKind
from workbench.engine.admission import Ticket
from workbench.engine.lane import Lane
from workbench.engine.lane_suspects import TRUSTED, Suspects
from workbench.engine.lane_values import Flight, KeyState
from workbench.engine.window import Window
from workbench.simulator.quota import Quota, QuotaSpec, ServerModel

BARE = {"headers": False, "retry_after": False, "classify": False}
LARGE, SMALL = ticket(tokens=9_000, attempt=6), ticket(tokens=100)


class Asked:
    """One lane, and a clock."""

    def __init__(self) -> None:
        self.suspects = Suspects()
        self.lane = Lane("lane", [KeyState(None)], Window(8, 512), Random(1), lambda change: None)
        self.now_s = 1000.0

    def send(self, asked: Ticket) -> Flight:
        costs = self.lane.meters.price(asked.cost, asked.job)
        return self.lane.send(self.now_s, asked.cost, costs, asked.job)

    def refuse(self, asked: Ticket, kind: LimitKind = LimitKind.UNKNOWN) -> bool:
        flight = self.send(asked)
        self.now_s += 0.1
        by_size = self.suspects.refused(asked, flight, self.now_s, kind)
        self.lane.unsent(self.now_s, flight)
        return by_size

    def let_in(self, asked: Ticket) -> None:
        flight = self.send(asked)
        self.suspects.accepted(asked, flight, self.now_s)
        self.now_s += 1.0
        self.lane.succeeded(self.now_s, flight, None)

    @property
    def too_large(self) -> bool:
        return self.suspects.too_large(LARGE, self.lane, self.now_s)


def test_what_is_refused_in_quiet_minutes_while_smaller_ones_are_let_in_is_too_large():
    asked = Asked()
    for _ in range(2):
        asked.let_in(SMALL)
        asked.now_s += 70.0
        asked.refuse(LARGE)

    asked.let_in(SMALL)

    assert asked.too_large


def test_what_is_refused_in_busy_minutes_is_not_given_up_however_often():
    asked = Asked()
    for _ in range(10):
        for _ in range(20):
            asked.let_in(SMALL)
        asked.refuse(LARGE)

    asked.let_in(SMALL)

    assert not asked.too_large
    assert asked.suspects.trial_s(LARGE, [asked.lane], asked.now_s) > asked.now_s


def test_refusals_with_none_let_in_between_say_nothing_of_size():
    asked = Asked()
    for _ in range(10):
        asked.now_s += 70.0
        asked.refuse(LARGE)

    assert not asked.too_large
    assert asked.suspects.trial_s(LARGE, [asked.lane], asked.now_s) is None


@pytest.mark.parametrize("passed", [LARGE, ticket(tokens=9_500)])
def test_one_that_is_no_smaller_and_passes_clears_it(passed):
    asked = Asked()
    for _ in range(3):
        asked.now_s += 70.0
        asked.refuse(LARGE)
        asked.let_in(SMALL)

    asked.let_in(passed)

    assert not asked.too_large
    assert not asked.suspects.seen


def test_one_that_is_less_than_half_of_what_passed_in_a_minute_is_never_too_large():
    asked = Asked()
    for _ in range(3):
        asked.now_s += 130.0
        asked.refuse(LARGE)
        for _ in range(3):
            asked.let_in(ticket(tokens=8_000))

    assert not asked.too_large


@pytest.mark.parametrize("kind", [LimitKind.CONCURRENCY, LimitKind.REQUESTS])
def test_a_limit_of_which_all_requests_take_as_much_is_no_matter_of_size(kind):
    asked = Asked()
    for _ in range(TRUSTED + 3):
        asked.now_s += 70.0
        by_size = asked.refuse(LARGE, kind)
        asked.let_in(SMALL)

    assert not by_size
    assert not asked.too_large


def test_others_leave_a_lane_to_a_trial_until_it_has_begun():
    asked = Asked()
    for _ in range(3):
        for _ in range(20):
            asked.let_in(SMALL)
        asked.refuse(LARGE)
    asked.let_in(SMALL)
    asked.suspects.trial_s(LARGE, [asked.lane], asked.now_s)

    before = asked.suspects.quiet_s(SMALL, asked.lane, asked.now_s)
    asked.suspects.over(LARGE)

    assert before > 0
    assert asked.suspects.quiet_s(SMALL, asked.lane, asked.now_s) == 0


def crowd(sizes: list[int], seconds: float = 3.0) -> list[Prompt]:
    return [Prompt(n, size - size // 3, size // 3, 1 + size // 4, seconds) for n, size in enumerate(sizes)]


@settings(max_examples=60, deadline=None)
@given(
    rpm=st.integers(1, 20),
    model=st.sampled_from([ServerModel.CONTINUOUS, ServerModel.FIXED_WINDOW, ServerModel.SLIDING_WINDOW]),
    count=st.integers(2, 24),
    spread=st.sampled_from([0.0, 0.6]),
    seed=st.integers(0, 1000),
)
def test_no_prompt_is_lost_to_a_limit_on_requests_that_says_nothing_of_itself(rpm, model, count, spread, seed):
    chance = Random(seed)
    sizes = [round(400 * chance.lognormvariate(0.0, spread)) for _ in range(count)]

    soak = Soak([Quota(QuotaSpec(rpm=rpm, model=model, **BARE))], crowd(sizes), seed, until_s=20_000.0).run()

    assert soak.wrong == []
    assert {prompt.end for prompt in soak.prompts} == {"answered"}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("model", [ServerModel.CONTINUOUS, ServerModel.FIXED_WINDOW, ServerModel.SLIDING_WINDOW])
def test_a_large_prompt_that_fits_is_given_its_chance_between_small_ones(model, seed):
    sizes = [300] * 150
    sizes[60] = 9_300
    spec = QuotaSpec(tpm=10_000, model=model, **BARE)

    soak = Soak([Quota(spec)], crowd(sizes, 1.0), seed, until_s=20_000.0).run()

    assert soak.wrong == []
    assert soak.prompts[60].end == "answered"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [[150_000], [150_000, 280_000, 190_000, 130_000]], ids=["one", "four"])
@pytest.mark.parametrize("tpm", [20_000, 100_000])
def test_prompts_that_are_too_large_are_named_and_hold_nobody_up_for_long(tpm, sizes, seed):
    """Also where the others use little of the limit, so that what they use says little of it."""
    prompts = crowd([370] * 900, 1.5)
    for index, size in enumerate(sizes):
        prompts[30 * index] = Prompt(30 * index, size // 2, size // 2, 100, 1.5, poison=True)
    for prompt in prompts:
        prompt.born_s = prompt.number * (0.7 if prompt.number > 200 else 0.0)

    soak = Soak([Quota(QuotaSpec(tpm=tpm, **BARE))], prompts, seed, until_s=20_000.0).run()

    named = [prompt for prompt in prompts if prompt.poison]
    ideal_s = max(900 * 0.7, (900 * 370 - tpm) / tpm * 60)
    assert soak.wrong == []
    assert {prompt.end for prompt in named} == {"RequestTooLarge"}
    assert all(prompt.refusals < MOST_REFUSALS for prompt in named)
    assert max(prompt.end_s for prompt in prompts if not prompt.poison) <= 1.05 * ideal_s + 150.0 * len(sizes)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tpm", [20_000, 100_000])
@pytest.mark.parametrize("openness", [{}, {"headers": False}], ids=["stated", "hidden"])
def test_beside_one_that_is_too_large_the_others_keep_the_limit_full(openness, tpm, seed):
    """It comes when the rate has been found: more than that gives in a minute takes one quiet trial, not two."""
    chance = Random(seed)
    prompts = [Prompt(n, 270, 100, 100, chance.lognormvariate(0.4, 0.5)) for n in range(tpm // 370 * 18)]
    large = prompts[tpm // 370 * 6] = Prompt(tpm // 370 * 6, tpm * 3 // 2, 100, 100, 1.5, poison=True)

    soak = Soak([Quota(QuotaSpec(tpm=tpm, **openness))], prompts, seed, until_s=20_000.0).run()

    used = sum(370 for prompt in prompts if prompt is not large and 300 <= prompt.end_s < 900)
    assert soak.wrong == []
    assert large.end == "RequestTooLarge"
    assert large.refusals <= 3
    assert used >= 0.95 * 10 * tpm


@pytest.mark.parametrize("openness", [{}, BARE], ids=["stated", "bare"])
def test_what_is_too_large_for_one_key_goes_over_another(openness):
    specs = [QuotaSpec(tpm=2_000, **openness), QuotaSpec(tpm=20_000, **openness)]
    prompts = crowd([300, 310, 5_000, 320, 330, 7_000, 340, 6_000, 300, 300] * 2)

    soak = Soak([Quota(spec) for spec in specs], prompts, 1, until_s=20_000.0).run()

    assert soak.wrong == []
    assert {prompt.end for prompt in prompts} == {"answered"}


def test_one_that_is_not_much_larger_than_what_was_ever_let_in_is_never_too_large():
    asked = Asked()
    asked.let_in(ticket(tokens=5_000))
    for _ in range(4):
        asked.now_s += 130.0
        asked.refuse(LARGE)
        asked.let_in(SMALL)

    assert not asked.too_large


@pytest.mark.parametrize(("attempt", "rest_s"), [(3, 0.0), (4, 10.0), (5, 20.0), (12, 60.0)])
def test_who_was_refused_often_lets_others_go_first_whatever_it_was_for(attempt, rest_s):
    refused = ticket(attempt=attempt)

    assert Suspects().rest_s(refused, others=True) == rest_s
    assert Suspects().rest_s(refused, others=False) == 0.0


@pytest.mark.parametrize("model", [ServerModel.CONTINUOUS, ServerModel.FIXED_WINDOW])
@pytest.mark.parametrize("rpm", [1, 2])
def test_a_prompt_alone_is_not_refused_by_each_key_of_one_account_until_it_is_given_up(rpm, model):
    account = Quota(QuotaSpec(rpm=rpm, model=model, **BARE))
    prompts = crowd([3_000] * 4, 8.0)
    for prompt in prompts:
        prompt.born_s = 15.0 * prompt.number

    soak = Soak([account] * 5, prompts, 1, until_s=5_000.0).run()

    assert soak.wrong == []
    assert {prompt.end for prompt in prompts} == {"answered"}
