"""The whole asyncio limiter in virtual time: many tasks, a provider that refuses, and how often anybody is woken."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from limiter_virtual_time import SPEC, in_virtual_time, keyring, lease_of, make_limiter, ticket

from workbench.bench.limits_paced import KINDS, header_pairs
from workbench.core.errors import LimitKind, RateLimited
from workbench.core.events import Queued, WaitReason
from workbench.core.settings import LaneLimits
from workbench.core.types import Priority, Usage
from workbench.engine.admission import Outcome
from workbench.engine.limiter import Limiter
from workbench.simulator.quota import Grant, Quota, QuotaSpec


def test_a_batch_of_tasks_runs_at_the_limit_with_no_refusal_to_speak_of():
    """1,000 tasks at 600 per minute: a minute's worth at once, the rest as it refills."""

    async def scenario(clock):
        quota = Quota(QuotaSpec(rpm=600, max_in_flight=100), now_s=clock.monotonic_ns() / 1e9)
        limiter = make_limiter(clock)
        chance = Random(7)
        refused = 0

        async def request() -> None:
            nonlocal refused
            attempt = 1
            while True:
                lease = await lease_of(limiter.enqueue(ticket(attempt=attempt)))
                now_s = clock.monotonic_ns() / 1e9
                grant = quota.admit(now_s, 100, 100)
                headers = header_pairs(quota.snapshot(now_s))
                if isinstance(grant, Grant):
                    lease.observe(headers, clock.monotonic_ns())
                    await asyncio.sleep(chance.uniform(0.5, 2.5))
                    quota.settle(grant, clock.monotonic_ns() / 1e9, 100, 50)
                    lease.settle(Outcome.SUCCESS, clock.monotonic_ns(), usage=Usage(100, output=50))
                    return
                refused += 1
                error = RateLimited("no", limit=KINDS[grant.kind], retry_after_s=grant.retry_after_s, headers=headers)
                lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=error)
                attempt += 1

        started_s = clock.monotonic_ns() / 1e9
        async with asyncio.TaskGroup() as tasks:
            for _ in range(1000):
                tasks.create_task(request())
        return clock.monotonic_ns() / 1e9 - started_s, refused, limiter.statistics()

    took_s, refused, stats = in_virtual_time(scenario)

    assert took_s <= 47.0, "40 s are what the limit allows, and the last answers take a while"
    assert refused <= 12, "the cap on calls in flight has to be found once"
    assert (stats.in_flight, stats.waiting) == (0, 0)


def test_a_hundred_thousand_waiters_cost_one_wake_up_per_send():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=4, max_window=4)
        waiters = [limiter.enqueue(ticket()) for _ in range(100_000)]
        woken = 0

        async def waits(waiter) -> None:
            nonlocal woken
            while isinstance(await waiter.next(), Queued):
                woken += 1
            woken += 1

        tasks = [asyncio.ensure_future(waits(waiter)) for waiter in waiters[:2000]]
        await asyncio.sleep(0)
        told_first = woken
        for waiter in waiters[:1000]:
            await asyncio.sleep(0.01)
            limiter.settle(waiter, Outcome.SUCCESS, None, None)
        sent = limiter.statistics().lanes[0].sent
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return sent, woken - told_first

    sent, woken = in_virtual_time(scenario)

    assert sent == 1004
    # Ten seconds in which those at the front are told four times a second where they stand.
    assert woken <= sent + 10 * 4 * 32 + 100


def test_who_waits_is_told_of_a_new_reason_and_counts_down_to_it():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1, max_window=1)
        lease = await lease_of(limiter.enqueue(ticket()))
        waiter = limiter.enqueue(ticket())
        events: list[Queued] = []

        async def listen() -> None:
            while isinstance(event := await waiter.next(), Queued):
                events.append(event)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listen())
            await asyncio.sleep(1.0)
            lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", retry_after_s=5.0))
        return events

    events = in_virtual_time(scenario)

    assert [event.reason for event in events] == [WaitReason.WINDOW, WaitReason.COOLING]
    assert events[1].until_ns is not None
    assert 5.0 <= (events[1].until_ns - 1001e9) / 1e9 <= 5.6
    assert events[1].at_ns <= 1001.3e9


def test_who_is_not_the_next_counts_down_as_well_before_anything_has_waited_before():
    async def scenario(clock):
        limiter = make_limiter(clock, lanes={"acme": LaneLimits(requests_per_minute=4)})
        for _ in range(4):
            await lease_of(limiter.enqueue(ticket()))
        waiters = [limiter.enqueue(ticket()) for _ in range(3)]
        return [await waiter.next() for waiter in waiters], clock.monotonic_ns()

    events, now_ns = in_virtual_time(scenario)

    assert [event.ahead for event in events] == [0, 1, 2]
    lasts_s = [(event.until_ns - now_ns) / 1e9 for event in events]
    assert lasts_s == pytest.approx([15.0, 30.0, 45.0], rel=0.05)


def test_a_cancelled_crowd_leaves_no_lease_behind():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=3, max_window=3)
        chance = Random(3)

        async def request() -> None:
            lease = await lease_of(limiter.enqueue(ticket()))
            try:
                await asyncio.sleep(chance.uniform(0.1, 1.0))
            finally:
                lease.settle(Outcome.NEUTRAL, clock.monotonic_ns())

        tasks = [asyncio.ensure_future(request()) for _ in range(200)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.05)
            chance.choice(tasks).cancel()
            assert limiter.statistics().in_flight <= 3
        await asyncio.gather(*tasks, return_exceptions=True)
        return limiter.statistics()

    stats = in_virtual_time(scenario)

    assert (stats.in_flight, stats.waiting) == (0, 0)


def test_a_clock_that_jumps_neither_wakes_too_early_nor_hangs():
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_of(limiter.enqueue(ticket()))
        lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", retry_after_s=30.0))
        waiter = limiter.enqueue(ticket(attempt=2))

        clock.advance(365 * 86_400.0)

        again = await lease_of(waiter)
        again.settle(Outcome.SUCCESS, clock.monotonic_ns())
        return limiter.statistics()

    stats = in_virtual_time(scenario)

    assert (stats.in_flight, stats.waiting) == (0, 0)


def test_two_models_of_one_key_have_lanes_of_their_own_unless_they_are_declared_one_family():
    async def scenario(clock):
        apart = make_limiter(clock, initial_window=1)
        together = make_limiter(clock, initial_window=1, families={"big": "series", "small": "series"})
        found = []
        for limiter in (apart, together):
            await lease_of(limiter.enqueue(ticket(model="big")))
            found.append(isinstance(await limiter.enqueue(ticket(model="small")).next(), Queued))
        return found, [[lane.family for lane in limiter.statistics().lanes] for limiter in (apart, together)]

    assert in_virtual_time(scenario) == ([False, True], [["big", "small"], ["series"]])


def test_statistics_change_nothing_and_say_what_is_going_on():
    async def scenario(clock):
        limiter = Limiter(keys=keyring("one"), clock=clock)
        lease = await lease_of(limiter.enqueue(ticket(Priority.INTERACTIVE)))
        lease.observe((("x-ratelimit-limit-tokens", "1000"), ("x-ratelimit-remaining-tokens", "400")), 0)
        await asyncio.sleep(6.0)
        return limiter.statistics(), limiter.statistics()

    first, second = in_virtual_time(scenario)

    assert first == second
    (lane,) = first.lanes
    (tokens,) = lane.dimensions
    assert (lane.name, lane.provider, lane.family, lane.keys) == ("acme#1 · model", SPEC.name, "model", ("acme#1",))
    assert (tokens.kind, tokens.limit, tokens.used, tokens.level) == (LimitKind.TOKENS, 1000, 200, 500)
    assert [(key.alias, key.source, key.in_flight) for key in first.keys] == [("acme#1", "ACME_KEYS", 1)]
