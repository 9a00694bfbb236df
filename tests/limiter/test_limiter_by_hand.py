"""Setting a limiter by hand and looking on: from the screen, from other threads, beside other processes."""

from __future__ import annotations

import asyncio
import sys

import pytest
from limiter_virtual_time import in_virtual_time, lease_now, lease_of, make_limiter, queued, ticket

from workbench.core.errors import LimitKind, RateLimited
from workbench.core.events import WaitReason
from workbench.engine.admission import Outcome

LANE = "acme#1 · model"
needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="no locks on bytes of a file there")


@pytest.mark.parametrize(
    ("change", "what", "why"),
    [
        (lambda limiter: limiter.pin_window(LANE, 3), "window", "set by hand"),
        (lambda limiter: limiter.pin_limit(LANE, LimitKind.TOKENS, 9_000), "tokens per minute", "set by hand"),
        (lambda limiter: limiter.pause(LANE), "pause", "stopped by hand"),
        (lambda limiter: limiter.resume(LANE), "pause", "resumed by hand"),
    ],
    ids=["window", "limit", "pause", "resume"],
)
def test_the_history_says_what_was_done_by_hand(change, what, why):
    async def scenario(clock):
        limiter = make_limiter(clock)
        await lease_now(limiter.enqueue(ticket()))

        change(limiter)

        last = limiter.statistics().history[-1]
        return last.lane, last.what, last.why

    assert in_virtual_time(scenario) == (LANE, what, why)


def test_a_larger_window_by_hand_lets_those_who_wait_go_at_once():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1)
        await lease_now(limiter.enqueue(ticket()))
        waiter = limiter.enqueue(ticket())
        assert (await queued(waiter)).reason is WaitReason.WINDOW

        limiter.pin_window(LANE, 2)

        await lease_now(waiter)

    in_virtual_time(scenario)


def test_another_thread_may_look_but_not_touch():
    async def scenario(clock):
        limiter = make_limiter(clock)
        await lease_now(limiter.enqueue(ticket()))
        seen = await asyncio.to_thread(limiter.statistics)
        for change in (
            lambda: limiter.pause(LANE),
            lambda: limiter.pin_window(LANE, 1),
            lambda: limiter.attend(True),
            lambda: limiter.weigh("job", 2.0),
            lambda: limiter.revive("acme#1"),
            limiter.reload_keys,
        ):
            with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
                await asyncio.to_thread(change)
        await lease_now(limiter.enqueue(ticket()))
        return seen.in_flight, limiter.statistics().history

    in_flight, history = asyncio.run(scenario(None))

    assert in_flight == 1
    assert history == ()


def _left_alone_again(headers):
    """A lane's limits before a person set one, while it held, and after it was left to itself again."""

    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.observe(headers, clock.monotonic_ns())
        seen = [limiter.statistics().lanes[0].dimensions]
        limiter.pin_limit(LANE, LimitKind.REQUESTS, 2)
        limiter.pin_limit(LANE, LimitKind.REQUESTS, 3)
        seen.append(limiter.statistics().lanes[0].dimensions)
        clock.advance(5.0)

        limiter.pin_limit(LANE, LimitKind.REQUESTS, None)

        return *seen, limiter.statistics().lanes[0].dimensions, limiter.statistics().history[-1]

    return in_virtual_time(scenario)


def test_a_limit_that_nobody_had_named_is_gone_when_a_person_lets_go_of_it():
    before, held, after, change = _left_alone_again(())

    assert [(one.limit, one.pinned) for one in held] == [(3, True)]
    assert before == after == ()
    assert (change.old, change.new, change.why) == (3, None, "left to the provider")


def test_a_stated_limit_is_back_when_a_person_lets_go_of_his_own():
    headers = (("x-ratelimit-limit-requests", "600"), ("x-ratelimit-remaining-requests", "500"))

    before, held, after, change = _left_alone_again(headers)

    assert [(one.limit, one.pinned) for one in (*before, *held, *after)] == [(600, False), (3, True), (600, False)]
    # What could be spent at once under the person's own limit is all that is there: nothing was saved up meanwhile.
    assert after[0].level <= 3
    assert (change.old, change.new) == (3, 600)


@needs_locks
def test_resuming_by_hand_resumes_a_shared_lane_for_all(tmp_path):
    async def scenario(clock):
        one, other = (make_limiter(clock, state_dir=tmp_path) for _ in range(2))
        lease = await lease_of(one.enqueue(ticket()))
        (await lease_of(other.enqueue(ticket()))).settle(Outcome.NEUTRAL, clock.monotonic_ns())
        lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", retry_after_s=600.0))
        waits = other.enqueue(ticket())
        assert (await queued(waits)).reason is WaitReason.COOLING

        one.resume(LANE)

        await lease_of(one.enqueue(ticket()))
        await lease_of(waits)
        waited_s = clock.monotonic_ns() / 1e9 - 1000.0
        await one.aclose()
        await other.aclose()
        return waited_s

    assert in_virtual_time(scenario) <= 1.0


@needs_locks
def test_looking_on_leaves_what_processes_share_as_it_is(tmp_path):
    async def scenario(clock):
        limiter = make_limiter(clock, state_dir=tmp_path)
        lease = await lease_of(limiter.enqueue(ticket()))
        limiter.pin_limit(LANE, LimitKind.REQUESTS, 600)
        (file,) = (tmp_path / "lanes").iterdir()
        clock.advance(20.0)
        before = file.read_bytes()

        used = limiter.statistics().lanes[0].dimensions[0].used

        assert file.read_bytes() == before
        clock.advance(200.0)
        later = limiter.statistics().lanes[0].dimensions[0].used
        lease.settle(Outcome.NEUTRAL, clock.monotonic_ns())
        await limiter.aclose()
        return used, later

    assert in_virtual_time(scenario) == (1.0, 0.0)


@needs_locks
def test_letting_go_of_a_limit_takes_over_what_another_process_was_told_meanwhile(tmp_path):
    async def scenario(clock):
        one, other = (make_limiter(clock, state_dir=tmp_path) for _ in range(2))
        told = [await lease_of(limiter.enqueue(ticket())) for limiter in (one, other)]
        told[0].observe((("x-ratelimit-limit-requests", "600"),), clock.monotonic_ns())
        one.pin_limit(LANE, LimitKind.REQUESTS, 3)
        told[1].observe((("x-ratelimit-limit-requests", "300"),), clock.monotonic_ns())

        one.pin_limit(LANE, LimitKind.REQUESTS, None)

        for lease in told:
            lease.settle(Outcome.NEUTRAL, clock.monotonic_ns())
        limits = [limiter.statistics().lanes[0].dimensions[0].limit for limiter in (one, other)]
        await one.aclose()
        await other.aclose()
        return limits

    assert in_virtual_time(scenario) == [300, 300]
