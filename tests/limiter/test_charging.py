"""What is charged for output up front and what at the end: read off what remains after each answer."""

from __future__ import annotations

from random import Random

import pytest
from limiter_virtual_time import in_virtual_time, lease_of, make_limiter, ticket

from workbench.core.errors import LimitKind
from workbench.core.types import Usage
from workbench.engine.admission import Outcome
from workbench.engine.charging import Books, Reconciliation

LIMIT = 100_000.0
PER_S = LIMIT / 60


def reconcile(ahead: float, *, looks: int = 60, jitter: float = 0.0, estimate_error: float = 0.0) -> Reconciliation:
    """Answers of a server that charges prompts of 200 tokens and that part of at most 400 tokens of output when they
    are sent, and the rest of 100 tokens of output at their end."""
    chance = Random(5)
    found = Reconciliation()
    running = ended = 0
    at_s = 0.0
    for _ in range(looks):
        at_s += chance.uniform(0.05, 0.3)
        ends = chance.randint(0, min(3, running))
        running, ended = running + 1 - ends, ended + ends
        admitted = running * (200 + 400) + ended * (200 + 100)
        charged = running * (200 + estimate_error + ahead * 400) + ended * (200 + 100)
        remaining = 50_000 + at_s * PER_S - charged + chance.uniform(-jitter, jitter)
        found.compare(Books(at_s, admitted, running * 400.0, running * 400.0), remaining, LIMIT, PER_S)
    return found


@pytest.mark.parametrize(("ahead", "expected"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)])
@pytest.mark.parametrize("jitter", [0.0, 60.0])
def test_the_part_that_is_charged_ahead_shows_in_what_remains(ahead, expected, jitter):
    assert reconcile(ahead, jitter=jitter).ahead == pytest.approx(expected, abs=0.11)


def test_a_handful_of_answers_is_no_evidence():
    assert reconcile(0.0, looks=6).ahead == 1.0


def test_an_estimate_of_the_prompt_that_is_too_low_counts_as_charged_ahead():
    """The sum is what must be right: 200 tokens too few for the prompt are half of the 400 that output may take."""
    assert reconcile(0.0, estimate_error=200.0).ahead == pytest.approx(0.5, abs=0.05)


def test_what_our_own_requests_explain_is_not_put_down_to_others():
    found = reconcile(0.0, looks=200)

    assert abs(found.unexplained) <= 0.05 * found.compared


def test_answers_out_of_order_are_left_out():
    found = Reconciliation()
    for at_s in (10.0, 4.0, 3.0):
        found.compare(Books(at_s, 600.0, 400.0, 400.0), 100.0, LIMIT, PER_S)

    assert (found.compared, found.unexplained) == (0.0, 0.0)


def test_output_in_flight_is_counted_by_what_its_lane_reserved_and_leaves_nothing_behind():
    async def scenario(clock):
        limiter = make_limiter(clock)
        leases = [await lease_of(limiter.enqueue(ticket(tokens=100, max_output=300))) for _ in range(3)]
        lane = leases[0]._waiter.flight.lane
        promised, asked = lane.promised, lane.asked
        leases[0].settle(Outcome.SUCCESS, clock.monotonic_ns(), usage=Usage(input=100, output=20))
        leases[1].settle(Outcome.NEUTRAL, clock.monotonic_ns())
        between = lane.promised
        leases[2].settle(Outcome.REFUSED, clock.monotonic_ns())
        await limiter.aclose()
        return promised, asked, between, lane.promised, lane.asked, lane.buckets[LimitKind.TOKENS].ahead

    assert in_virtual_time(scenario) == (900.0, 900.0, 300.0, 0.0, 0.0, 1.0)
