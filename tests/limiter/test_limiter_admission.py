"""The admission seam: leases, waiters, priorities, deadlines and ends, in a loop that waits in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from limiter_virtual_time import SPEC, in_virtual_time, keyring, lease_now, lease_of, make_limiter, queued, ticket

from workbench.core.errors import (
    EngineClosed,
    KeyRejected,
    LimitKind,
    MissingKey,
    QuotaSpent,
    RateLimited,
    RequestTooLarge,
    TimedOut,
)
from workbench.core.events import WaitReason
from workbench.core.types import Priority, Usage
from workbench.engine.admission import Outcome
from workbench.engine.limiter import Limiter, LimiterOptions
from workbench.engine.limiter_stats import KeyCondition, LaneState


def test_a_free_lane_gives_its_lease_at_once():
    async def scenario(clock):
        limiter = make_limiter(clock, "secret-1")

        lease = await lease_now(limiter.enqueue(ticket()))

        assert (lease.key, lease.key_alias, lease.admitted_ns) == ("secret-1", "acme#1", clock.monotonic_ns())
        assert "secret-1" not in repr(lease)
        assert limiter.statistics().in_flight == 1

    in_virtual_time(scenario)


def test_a_full_window_makes_the_next_one_wait_until_a_lease_is_settled():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=2)
        held = [await lease_now(limiter.enqueue(ticket())) for _ in range(2)]
        waiter = limiter.enqueue(ticket())

        event = await queued(waiter)
        held[0].settle(Outcome.NEUTRAL, clock.monotonic_ns())

        assert (event.reason, event.until_ns, event.detail) == (WaitReason.WINDOW, None, "2 of 2 in flight")
        assert (await lease_of(waiter)).key_alias == "acme#1"

    in_virtual_time(scenario)


def test_settling_twice_is_an_error_and_frees_one_place_only():
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.settle(Outcome.SUCCESS, clock.monotonic_ns())

        with pytest.raises(RuntimeError, match="settled before"):
            lease.settle(Outcome.SUCCESS, clock.monotonic_ns())

        assert limiter.statistics().in_flight == 0

    in_virtual_time(scenario)


def test_interactive_goes_before_retries_and_retries_before_bulk():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1)
        held = await lease_now(limiter.enqueue(ticket()))
        waiters = {
            "bulk": limiter.enqueue(ticket()),
            "retry": limiter.enqueue(ticket(attempt=2)),
            "interactive": limiter.enqueue(ticket(Priority.INTERACTIVE)),
        }
        order: list[str] = []

        async def take(name):
            lease = await lease_of(waiters[name])
            order.append(name)
            lease.settle(Outcome.NEUTRAL, clock.monotonic_ns())

        async with asyncio.TaskGroup() as tasks:
            for name in waiters:
                tasks.create_task(take(name))
            held.settle(Outcome.NEUTRAL, clock.monotonic_ns())

        assert order == ["interactive", "retry", "bulk"]

    in_virtual_time(scenario)


def test_a_refused_interactive_request_comes_back_before_the_others_of_its_kind():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1)
        held = await lease_now(limiter.enqueue(ticket(Priority.INTERACTIVE)))
        later = limiter.enqueue(ticket(Priority.INTERACTIVE))
        again = limiter.enqueue(ticket(Priority.INTERACTIVE, attempt=2))

        held.settle(Outcome.NEUTRAL, clock.monotonic_ns())

        await lease_of(again)
        assert (await queued(later)).ahead == 0

    in_virtual_time(scenario)


def test_who_waits_behind_interactive_work_is_told_so():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1)
        await lease_now(limiter.enqueue(ticket()))
        limiter.enqueue(ticket(Priority.INTERACTIVE))

        event = await queued(limiter.enqueue(ticket()))

        assert (event.reason, event.ahead) == (WaitReason.PRIORITY, 1)

    in_virtual_time(scenario)


def test_jobs_share_by_tokens_and_by_weight():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1)
        held = await lease_now(limiter.enqueue(ticket()))
        limiter.weigh("heavy", 2.0)
        waiters = [limiter.enqueue(ticket(job=job, tokens=100)) for job in ("light", "heavy") for _ in range(30)]
        limiter.weigh("heavy", 2.0)
        served: list[str] = []

        for _ in range(30):
            held.settle(Outcome.NEUTRAL, clock.monotonic_ns())
            waiter = next(waiter for waiter in waiters if waiter.state.name == "GRANTED")
            waiters.remove(waiter)
            held = await lease_of(waiter)
            served.append(waiter.ticket.job)

        assert served.count("heavy") == pytest.approx(20, abs=1)

    in_virtual_time(scenario)


def test_a_small_request_does_not_slip_past_a_large_one_that_waits():
    async def scenario(clock):
        limiter = make_limiter(clock)
        held = await lease_now(limiter.enqueue(ticket()))
        limiter.pin_limit(held.lane, LimitKind.TOKENS, 6000)
        await lease_now(limiter.enqueue(ticket(tokens=3900, max_output=100)))
        large = limiter.enqueue(ticket(tokens=3900, max_output=100))
        small = limiter.enqueue(ticket(tokens=50, max_output=50))

        events = [await queued(large), await queued(small)]

        assert [(event.reason, event.ahead) for event in events] == [(WaitReason.TOKENS, 0), (WaitReason.TOKENS, 1)]
        await lease_of(large)
        await lease_of(small)

    in_virtual_time(scenario)


def test_a_jobs_own_cap_holds_only_that_job_back():
    async def scenario(clock):
        limiter = make_limiter(clock)
        first = await lease_now(limiter.enqueue(ticket(job="small", max_in_flight=1)))
        second = limiter.enqueue(ticket(job="small", max_in_flight=1))

        await lease_now(limiter.enqueue(ticket(job="other")))
        event = await queued(second)
        first.settle(Outcome.SUCCESS, clock.monotonic_ns())

        assert "own cap" in event.detail
        await lease_of(second)

    in_virtual_time(scenario)


def test_a_refusal_is_waited_out_with_a_countdown_and_no_lease_held():
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("slow down", retry_after_s=7.0))
        refused_ns = clock.monotonic_ns()
        waiter = limiter.enqueue(ticket(attempt=2))

        event = await queued(waiter)
        again = await lease_of(waiter)

        assert event.reason is WaitReason.COOLING
        assert event.until_ns is not None
        assert 7.0 <= (event.until_ns - refused_ns) / 1e9 <= 7.7
        assert again.admitted_ns == pytest.approx(event.until_ns, abs=2e6)
        lane = limiter.statistics().lanes[0]
        assert (lane.refused, lane.state) == (1, LaneState.OPEN)

    in_virtual_time(scenario)


def test_one_keys_refusal_does_not_move_the_other_keys_requests():
    async def scenario(clock):
        limiter = make_limiter(clock, "one", "two")
        first = await lease_now(limiter.enqueue(ticket()))
        first.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", retry_after_s=60.0))

        aliases = {(await lease_now(limiter.enqueue(ticket()))).key_alias for _ in range(4)}

        assert aliases == {"acme#2"}
        conditions = {key.alias: key.condition for key in limiter.statistics().keys}
        assert conditions == {"acme#1": KeyCondition.COOLING, "acme#2": KeyCondition.READY}

    in_virtual_time(scenario)


def test_two_keys_take_turns():
    async def scenario(clock):
        limiter = make_limiter(clock, "one", "two")

        aliases = [(await lease_now(limiter.enqueue(ticket()))).key_alias for _ in range(6)]

        assert aliases.count("acme#1") == aliases.count("acme#2") == 3

    in_virtual_time(scenario)


def test_a_dead_key_among_live_ones_is_retired_and_the_rest_go_on():
    async def scenario(clock):
        limiter = make_limiter(clock, "one", "two")
        lease = await lease_now(limiter.enqueue(ticket()))
        error = KeyRejected("no such key", status=401, key_alias=lease.key_alias)

        lease.settle(Outcome.KEY_DEAD, clock.monotonic_ns(), error=error)

        aliases = {(await lease_now(limiter.enqueue(ticket()))).key_alias for _ in range(4)}
        assert aliases == {"acme#2"}
        stats = limiter.statistics()
        assert [(key.condition, key.why) for key in stats.keys] == [
            (KeyCondition.RETIRED, "key rejected"),
            (KeyCondition.READY, ""),
        ]
        assert any("acme#1 retired" in change.why for change in stats.history)

    in_virtual_time(scenario)


@pytest.mark.parametrize("error", [KeyRejected("401", status=401), QuotaSpent("402", status=402)], ids=["bad", "spent"])
def test_when_every_key_is_dead_all_who_wait_get_one_clear_error(error):
    async def scenario(clock):
        limiter = make_limiter(clock, "one", "two", initial_window=1)
        held = [await lease_now(limiter.enqueue(ticket())) for _ in range(2)]
        waiting = limiter.enqueue(ticket())

        for lease in held:
            lease.settle(Outcome.KEY_DEAD, clock.monotonic_ns(), error=error)

        for waiter in (waiting, limiter.enqueue(ticket())):
            with pytest.raises(type(error), match=r"No usable key is left for acme: acme#1 .*, acme#2") as caught:
                await waiter.next()
            assert caught.value.hint
        assert limiter.statistics().in_flight == limiter.statistics().waiting == 0

    in_virtual_time(scenario)


def test_of_an_only_key_it_is_said_once_what_the_provider_said():
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.settle(Outcome.KEY_DEAD, clock.monotonic_ns(), error=KeyRejected("Acme, key rejected (401): no."))

        with pytest.raises(KeyRejected) as caught:
            await limiter.enqueue(ticket()).next()

        assert caught.value.message == "acme#1 is left out now. Acme, key rejected (401): no."

    in_virtual_time(scenario)


def test_a_revived_key_is_used_again():
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.settle(Outcome.KEY_DEAD, clock.monotonic_ns(), error=QuotaSpent("empty"))

        limiter.revive("acme#1")

        await lease_now(limiter.enqueue(ticket()))

    in_virtual_time(scenario)


def test_a_spent_quota_retires_the_accounts_other_keys_without_another_call():
    async def scenario(clock):
        keys = tuple(replace(key, account="org") for key in keyring("one", "two")(SPEC))
        limiter = Limiter(keys=lambda spec: keys, clock=clock)
        lease = await lease_now(limiter.enqueue(ticket()))

        lease.settle(Outcome.KEY_DEAD, clock.monotonic_ns(), error=QuotaSpent("empty"))

        with pytest.raises(QuotaSpent):
            await limiter.enqueue(ticket()).next()

    in_virtual_time(scenario)


def test_no_key_is_said_with_the_variables_to_set():
    async def scenario(clock):
        limiter = Limiter(keys=lambda spec: (), clock=clock)

        with pytest.raises(MissingKey, match="ACME_API_KEY or ACME_KEYS"):
            await limiter.enqueue(ticket()).next()

    in_virtual_time(scenario)


def test_a_provider_that_needs_no_key_has_a_lane_without_one():
    async def scenario(clock):
        limiter = Limiter(keys=lambda spec: (), clock=clock)

        lease = await lease_now(limiter.enqueue(ticket(spec=replace(SPEC, needs_key=False))))

        assert (lease.key, lease.key_alias) == ("", None)

    in_virtual_time(scenario)


def test_new_keys_are_taken_into_use_and_missing_ones_are_not_used_any_more():
    async def scenario(clock):
        keys = keyring("one", "two")(SPEC)
        current = keys[:1]
        limiter = Limiter(keys=lambda spec: current, clock=clock)
        await lease_now(limiter.enqueue(ticket()))

        current = keys[1:]
        limiter.reload_keys()

        assert {(await lease_now(limiter.enqueue(ticket()))).key_alias for _ in range(3)} == {"acme#2"}

    in_virtual_time(scenario)


@pytest.mark.parametrize("remaining", ["9000", "10000"])
def test_a_request_larger_than_the_told_limit_fails_at_once_by_name(remaining):
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        headers = (("x-ratelimit-limit-tokens", "10000"), ("x-ratelimit-remaining-tokens", remaining))
        lease.observe(headers, clock.monotonic_ns())

        with pytest.raises(RequestTooLarge, match="needs 10,001 tokens, but acme#1 · model allows 10,000 per minute"):
            await limiter.enqueue(ticket(tokens=9901)).next()

    in_virtual_time(scenario)


def test_the_deadline_ends_the_wait_with_the_reason():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1)
        await lease_now(limiter.enqueue(ticket()))
        waiter = limiter.enqueue(ticket(deadline_s=1005.0))

        await queued(waiter)
        with pytest.raises(TimedOut, match="in-flight limit"):
            await waiter.next()

        assert clock.monotonic_ns() == pytest.approx(1005e9, rel=1e-9)
        assert limiter.statistics().waiting == 0

    in_virtual_time(scenario)


def test_cancelling_who_waits_leaves_nothing_behind():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1)
        held = await lease_now(limiter.enqueue(ticket()))
        gone, next_one = limiter.enqueue(ticket()), limiter.enqueue(ticket())

        gone.cancel()
        gone.cancel()
        held.settle(Outcome.NEUTRAL, clock.monotonic_ns())

        await lease_of(next_one)
        assert (limiter.statistics().waiting, limiter.statistics().in_flight) == (0, 1)

    in_virtual_time(scenario)


def test_a_lease_granted_to_a_cancelled_task_goes_to_the_next_one():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1)
        held = await lease_now(limiter.enqueue(ticket()))
        first, second = limiter.enqueue(ticket()), limiter.enqueue(ticket())
        await queued(first)
        task = asyncio.ensure_future(first.next())
        await asyncio.sleep(0)

        held.settle(Outcome.NEUTRAL, clock.monotonic_ns())  # grants to `first`, whose task has not run since
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await lease_of(second)
        assert limiter.statistics().in_flight == 1

    in_virtual_time(scenario)


def test_a_taken_lease_is_not_given_back_by_cancelling_its_waiter():
    async def scenario(clock):
        limiter = make_limiter(clock)
        waiter = limiter.enqueue(ticket())
        lease = await lease_now(waiter)

        waiter.cancel()

        assert limiter.statistics().in_flight == 1
        lease.settle(Outcome.SUCCESS, clock.monotonic_ns())

    in_virtual_time(scenario)


def test_closing_fails_everyone_who_waits_and_leases_can_still_be_settled():
    async def scenario(clock):
        limiter = make_limiter(clock, initial_window=1)
        held = await lease_now(limiter.enqueue(ticket()))
        waiting = [limiter.enqueue(ticket()) for _ in range(3)]

        await limiter.aclose()
        await limiter.aclose()

        for waiter in [*waiting, limiter.enqueue(ticket())]:
            with pytest.raises(EngineClosed):
                await waiter.next()
        held.settle(Outcome.SUCCESS, clock.monotonic_ns(), usage=Usage(10, output=10))
        assert limiter.statistics().in_flight == limiter.statistics().waiting == 0

    in_virtual_time(scenario)


def test_a_pause_by_hand_stops_a_lane_and_resuming_ends_every_pause():
    async def scenario(clock):
        limiter = make_limiter(clock)
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", retry_after_s=600.0))
        limiter.pause("acme#1 · model")
        waiter = limiter.enqueue(ticket())
        assert (await queued(waiter)).reason is WaitReason.PAUSED

        limiter.resume("acme#1 · model")

        await lease_now(waiter)
        assert clock.monotonic_ns() == 1000e9

    in_virtual_time(scenario)


def test_a_pinned_window_neither_grows_nor_shrinks_and_never_evicts():
    async def scenario(clock):
        limiter = make_limiter(clock)
        held = [await lease_now(limiter.enqueue(ticket())) for _ in range(6)]

        limiter.pin_window("acme#1 · model", 2)
        waiter = limiter.enqueue(ticket())
        for lease in held[:4]:
            lease.settle(Outcome.SUCCESS, clock.monotonic_ns())
            assert waiter.state.name == "WAITING"
        held[4].settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", limit=LimitKind.CONCURRENCY))

        lane = limiter.statistics().lanes[0]
        assert (lane.window, lane.window_pinned, lane.in_flight) == (2, True, 1)

    in_virtual_time(scenario)


def test_a_pinned_limit_paces_and_outranks_what_headers_say():
    async def scenario(clock):
        limiter = make_limiter(clock)
        first = await lease_now(limiter.enqueue(ticket()))
        limiter.pin_limit("acme#1 · model", LimitKind.REQUESTS, 2)
        first.observe((("x-ratelimit-limit-requests", "5000"), ("x-ratelimit-remaining-requests", "4999")), 0)

        waiters = [limiter.enqueue(ticket()) for _ in range(4)]
        times = [((await lease_of(waiter)).admitted_ns - 1000e9) / 1e9 for waiter in waiters]

        assert times[:1] == [0.0]
        assert times[3] - times[1] >= 59.0
        assert limiter.statistics().lanes[0].dimensions[0].limit == 2

    in_virtual_time(scenario)


def test_limits_from_the_settings_are_on_a_lane_from_the_start():
    class Pins:
        max_in_flight = 1
        requests_per_minute = 30
        tokens_per_minute = input_tokens_per_minute = output_tokens_per_minute = None

    async def scenario(clock):
        limiter = make_limiter(clock, lanes={"acme/model": Pins()})
        await lease_now(limiter.enqueue(ticket()))

        await queued(limiter.enqueue(ticket()))

        lane = limiter.statistics().lanes[0]
        assert (lane.window, lane.dimensions[0].limit) == (1, 30)

    in_virtual_time(scenario)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda limiter: limiter.pin_window("acme#1 · model", 0),
        lambda limiter: limiter.pin_limit("acme#1 · model", LimitKind.TOKENS, 0),
        lambda limiter: limiter.pin_limit("acme#1 · model", LimitKind.TOKENS, float("nan")),
        lambda limiter: limiter.weigh("job", -1),
    ],
    ids=["no window", "a limit of zero", "not a number", "a negative weight"],
)
def test_senseless_settings_by_hand_are_refused(wrong):
    async def scenario(clock):
        limiter = make_limiter(clock)
        await lease_now(limiter.enqueue(ticket()))

        with pytest.raises(ValueError):
            wrong(limiter)

    in_virtual_time(scenario)


def test_an_unknown_lane_or_key_is_named_in_the_error():
    async def scenario(clock):
        limiter = make_limiter(clock)

        with pytest.raises(KeyError, match="none yet"):
            limiter.pause("nobody")
        with pytest.raises(KeyError, match="acme#9"):
            limiter.revive("acme#9")

    in_virtual_time(scenario)


def test_changes_are_reported_as_they_happen():
    changes = []

    async def scenario(clock):
        limiter = Limiter(keys=keyring("one"), clock=clock, options=LimiterOptions(on_change=changes.append))
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", limit=LimitKind.REQUESTS))

    in_virtual_time(scenario)

    assert [(change.what, change.why) for change in changes] == [
        ("window", "refused before a rate could be measured"),
        ("pause", "requests per minute"),
    ]


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ((("x-ratelimit-limit-requests", "600"),), {("requests per minute", 600.0)}),
        (
            (("x-ratelimit-limit", "50"), ("x-tokenlimit-limit", "30000")),
            {("requests per second", 50.0), ("tokens per second", 30_000.0)},
        ),
    ],
    ids=["minute", "second"],
)
def test_a_limit_is_told_over_the_time_that_it_was_stated_for(headers, told):
    changes = []

    async def scenario(clock):
        limiter = Limiter(keys=keyring("one"), clock=clock, options=LimiterOptions(on_change=changes.append))
        lease = await lease_now(limiter.enqueue(ticket()))
        lease.observe(headers, clock.monotonic_ns())
        limiter.pin_limit(changes[0].lane, LimitKind.REQUESTS, 60)

    in_virtual_time(scenario)

    assert {(change.what, change.new) for change in changes[:-1]} == told
    assert (changes[-1].what, changes[-1].new) == ("requests per minute", 60)
    assert changes[-1].old == (600 if len(told) == 1 else 3_000)
