"""Many requests, a few at a time: order, bounds, failures as values, and nothing left running."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from workbench.core.errors import ServerError, WorkbenchError
from workbench.core.types import FinishReason, Message, Request, Result, Route, Timing
from workbench.session.fanout import collect, fan_out


def request(number: int) -> Request:
    return Request(model="m", messages=(Message.user(str(number)),))


def answer(asked: Request) -> Result:
    return Result(asked.messages[0].text, "", FinishReason.STOP, None, None, Timing(0), Route("m", "p", "m", ""))


async def test_results_come_back_in_the_order_of_the_source():
    async def complete(asked: Request) -> Result:
        for _ in range(10 - int(asked.messages[0].text)):
            await asyncio.sleep(0)
        return answer(asked)

    outcomes = await collect(complete, map(request, range(10)), in_flight=4)

    assert [outcome.text for outcome in outcomes if isinstance(outcome, Result)] == [
        str(number) for number in range(10)
    ]


async def test_no_more_than_the_bound_is_taken_from_the_source_at_once():
    running = peak = taken = 0

    def source() -> Iterator[Request]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield request(number)

    async def complete(asked: Request) -> Result:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        assert taken - int(asked.messages[0].text) <= 8
        await asyncio.sleep(0)
        running -= 1
        return answer(asked)

    await collect(complete, source(), in_flight=8)

    assert peak == 8


async def test_one_failure_stops_no_other():
    async def complete(asked: Request) -> Result:
        if asked.messages[0].text == "3":
            raise ServerError("broken")
        return answer(asked)

    outcomes = await collect(complete, map(request, range(6)), in_flight=2)

    assert [isinstance(outcome, WorkbenchError) for outcome in outcomes] == [i == 3 for i in range(6)]


async def test_a_fault_of_our_own_is_raised_and_ends_the_rest():
    cancelled = 0

    async def complete(asked: Request) -> Result:
        nonlocal cancelled
        if asked.messages[0].text == "1":
            raise ZeroDivisionError
        try:
            await asyncio.Event().wait()
        finally:
            cancelled += 1
        return answer(asked)

    with pytest.raises(ExceptionGroup) as caught:
        await collect(complete, map(request, range(3)), in_flight=3)

    assert caught.group_contains(ZeroDivisionError)
    assert cancelled == 2


async def test_leaving_early_cancels_what_is_running():
    cancelled = 0

    async def complete(asked: Request) -> Result:
        nonlocal cancelled
        if asked.messages[0].text == "0":
            return answer(asked)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled += 1
        return answer(asked)

    async with aclosing(fan_out(complete, map(request, range(5)), in_flight=5)) as ends:
        assert (await anext(ends)).index == 0

    assert cancelled == 4


async def test_an_empty_source_ends_at_once():
    async def complete(asked: Request) -> Result:
        return answer(asked)

    assert await collect(complete, [], in_flight=4) == []


async def test_a_slow_reader_is_not_run_ahead_of():
    begun = 0

    async def complete(asked: Request) -> Result:
        nonlocal begun
        begun += 1
        return answer(asked)

    async with aclosing(fan_out(complete, map(request, range(1000)), in_flight=4)) as ends:
        read = 0
        async for _ in ends:
            read += 1
            await asyncio.sleep(0)
            assert begun - read <= 2 * 4, "those that wait to be read, and those that wait for room behind them"

    assert read == 1000


async def test_leaving_a_full_queue_ends_everything():
    async def complete(asked: Request) -> Result:
        return answer(asked)

    async with aclosing(fan_out(complete, map(request, range(1000)), in_flight=4)) as ends:
        await anext(ends)
        await asyncio.sleep(0)

    assert asyncio.all_tasks() == {asyncio.current_task()}
