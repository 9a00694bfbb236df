"""The spend cap: pauses at the cap, never lets a burst through, loses nothing when somebody gives up."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engine.budget import Budget


async def started(*waiting: asyncio.Task) -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_without_a_cap_everything_goes_and_is_counted():
    budget = Budget()

    (await budget.reserve(5.0)).settle(4.0)
    (await budget.reserve(5.0)).settle(None)

    stats = budget.statistics()
    assert (stats.spent_usd, stats.reserved_usd, stats.unpriced, stats.is_spent) == (4.0, 0.0, 1, False)


async def test_a_burst_cannot_spend_the_same_money_twice():
    budget = Budget(1.0)

    taken = [budget.try_reserve(0.3) for _ in range(10)]

    assert sum(reservation is not None for reservation in taken) == 3


async def test_at_the_cap_requests_wait_until_it_is_raised():
    budget = Budget(1.0)
    (await budget.reserve(0.5)).settle(1.2)
    waiting = asyncio.create_task(budget.reserve(0.5))
    await started(waiting)
    assert budget.statistics().is_spent
    assert budget.statistics().waiting == 1

    budget.raise_to(5.0)

    (await waiting).settle(0.1)
    assert budget.statistics().spent_usd == pytest.approx(1.3)


async def test_a_large_request_goes_alone_while_there_is_money():
    budget = Budget(1.0)

    first = await budget.reserve(9.0)
    assert budget.try_reserve(0.1) is None
    first.settle(0.2)

    assert budget.try_reserve(0.1) is not None


async def test_waiting_is_in_order():
    budget = Budget(1.0)
    held = await budget.reserve(1.0)
    order: list[str] = []

    async def ask(name: str, usd: float) -> None:
        reservation = await budget.reserve(usd)
        order.append(name)
        reservation.settle(0.01)

    tasks = [asyncio.create_task(ask(name, usd)) for name, usd in [("large", 0.9), ("small", 0.01)]]
    await started(*tasks)
    held.release()
    await asyncio.gather(*tasks)

    assert order == ["large", "small"]


async def test_a_waiter_that_gives_up_leaves_nothing_behind():
    budget = Budget(1.0)
    held = await budget.reserve(1.0)
    waiting = asyncio.create_task(budget.reserve(1.0))
    await started(waiting)

    held.release()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert (budget.statistics().reserved_usd, budget.statistics().waiting) == (0.0, 0)


def test_a_settled_reservation_settles_once():
    budget = Budget(1.0)
    reservation = budget.try_reserve(0.5)
    assert reservation is not None

    reservation.settle(0.4)
    reservation.settle(0.4)
    reservation.release()

    assert budget.statistics().spent_usd == 0.4


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_a_cap_below_zero_is_refused(limit: float):
    with pytest.raises(ValueError, match="zero or more"):
        Budget(limit)


@given(st.lists(st.tuples(st.floats(0.01, 0.5), st.floats(0, 1)), max_size=60))
def test_spending_goes_over_the_cap_by_no_more_than_estimates_were_wrong(costs: list[tuple[float, float]]):
    budget = Budget(3.0)
    excess = 0.0

    for expected, share in costs:
        if (reservation := budget.try_reserve(expected)) is not None:
            excess = max(excess, expected)
            reservation.settle(expected * share)

    assert budget.statistics().spent_usd <= 3.0 + excess
