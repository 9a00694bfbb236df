"""Looking at a limiter again and again: what has not changed is not read twice, and what has is seen at once."""

from __future__ import annotations

import pytest
from limiter_virtual_time import in_virtual_time, lease_now, make_limiter, ticket

from workbench.core.errors import KeyRejected, LimitKind, RateLimited
from workbench.engine.admission import Outcome

LANE = "acme#1 · model"
HEADERS = (("x-ratelimit-limit-requests", "600"), ("x-ratelimit-remaining-requests", "300"))


def _refuse(limiter, lease, clock):
    lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", retry_after_s=20.0))


def _reject(limiter, lease, clock):
    lease.settle(Outcome.KEY_DEAD, clock.monotonic_ns(), error=KeyRejected("no"))


CHANGES = {
    "in_flight": lambda limiter, lease, clock: limiter.enqueue(ticket()),
    "accepted": lambda limiter, lease, clock: lease.settle(Outcome.SUCCESS, clock.monotonic_ns()),
    "paused_until_ns": _refuse,
    "state": _reject,
    "headers": lambda limiter, lease, clock: lease.observe(HEADERS, clock.monotonic_ns()),
    "dimensions": lambda limiter, lease, clock: limiter.pin_limit(LANE, LimitKind.TOKENS, 500),
    "window": lambda limiter, lease, clock: limiter.pin_window(LANE, 3),
    "window_pinned": lambda limiter, lease, clock: limiter.pin_window(LANE, 8),
    "why": _refuse,
}


@pytest.mark.parametrize("since_s", [0.0, 0.1], ids=["at the same moment", "later"])
@pytest.mark.parametrize("field", CHANGES)
def test_a_change_shows_in_the_next_look(field, since_s):
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        clock.advance(0.2)
        before = limiter.statistics().lanes[0]

        clock.advance(since_s)
        CHANGES[field](limiter, lease, clock)

        return getattr(before, field), getattr(limiter.statistics().lanes[0], field)

    before, after = in_virtual_time(scenario)
    assert before != after


def test_holding_and_letting_go_show_in_the_next_look():
    async def scenario(clock):
        limiter = make_limiter(clock)
        await lease_now(limiter.enqueue(ticket()))
        clock.advance(5.0)
        states = []
        for change in (limiter.pause, limiter.resume):
            limiter.statistics()
            change(LANE)
            states.append(limiter.statistics().lanes[0].state.value)
        return states

    assert in_virtual_time(scenario) == ["held", "open"]


def test_what_time_changes_is_a_second_old_at_the_most():
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.observe(HEADERS, clock.monotonic_ns())
        clock.advance(0.1)
        levels = []
        for _ in range(9):
            levels.append(limiter.statistics().lanes[0].dimensions[0].level)
            clock.advance(0.25)
        return levels

    levels = in_virtual_time(scenario)
    # Ten requests come back each second.
    assert levels[4] - levels[0] == pytest.approx(10.0)
    assert levels[8] - levels[4] == pytest.approx(10.0)


def test_a_pause_is_over_when_it_is_over():
    async def scenario(clock):
        limiter = make_limiter(clock)
        _refuse(limiter, await lease_now(limiter.enqueue(ticket())), clock)
        pause_s = (limiter.statistics().lanes[0].paused_until_ns - clock.monotonic_ns()) / 1e9
        clock.advance(pause_s - 0.2)
        cooling = limiter.statistics().lanes[0].state.value
        clock.advance(0.3)
        return cooling, limiter.statistics().lanes[0].state.value

    assert in_virtual_time(scenario) == ("cooling", "open")


def test_a_lane_at_rest_is_not_read_again():
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.observe(HEADERS, clock.monotonic_ns())
        lease.settle(Outcome.SUCCESS, clock.monotonic_ns())
        clock.advance(130.0)
        first = limiter.statistics()
        clock.advance(3600.0)
        return first, limiter.statistics()

    first, later = in_virtual_time(scenario)

    assert later.lanes[0] is first.lanes[0]
    assert later.queues[0] is first.queues[0]
    assert later.at_ns > first.at_ns
