"""Callers who leave, engines that close, and engines used where they do not belong."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from scripted import (
    Hang,
    ScriptedAdapter,
    ScriptedAdmission,
    Wait,
    answer,
    ask,
    failure,
    listen,
    make_engine,
    virtually,
)

from workbench.core.errors import ConnectionFailed, EngineClosed, UsageError
from workbench.core.events import Delta, StreamEvent, check_stream
from workbench.engine.admission import Outcome
from workbench.engine.engine import Engine


def test_closing_the_generator_closes_the_response_at_once_and_settles_neutral() -> None:
    adapter = ScriptedAdapter(["some", Hang()])
    admission = ScriptedAdmission()

    async def main() -> tuple[list[str], int, float]:
        async with make_engine(adapter, admission) as engine:
            seen: list[str] = []
            async with aclosing(engine.stream(ask())) as events:
                async for event in events:
                    seen.append(type(event).__name__)
                    if isinstance(event, Delta):
                        break
            return seen, adapter.book.open_now, engine.statistics().traffic.cancelled

    assert virtually(main) == (["Admitted", "Opened", "Delta"], 0, 1)
    assert admission.outcomes == [Outcome.NEUTRAL]


def test_a_cancelled_caller_leaves_nothing_behind_wherever_it_stands() -> None:
    async def main() -> None:
        adapter = ScriptedAdapter([Wait(2), ConnectionFailed("reset")])
        for stop_at in (0.5, 1.5, 3.2, 4.1):
            admission = ScriptedAdmission(wait_s=1.0)
            async with make_engine(adapter, admission) as engine:
                caller = asyncio.create_task(engine.complete(ask()))
                await asyncio.sleep(stop_at)
                caller.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await caller

                assert (admission.waiting, admission.unsettled, adapter.book.open_now) == (0, 0, 0)
                assert engine._intake.under_way == 0

    virtually(main)


def test_closing_the_engine_ends_every_request_and_tells_its_caller() -> None:
    adapter = ScriptedAdapter(["some", Hang()])
    admission = ScriptedAdmission()

    async def main() -> list[StreamEvent]:
        async with make_engine(adapter, admission) as engine:
            caller = asyncio.create_task(listen(engine, ask()))
            await asyncio.sleep(1)
        return await caller

    events = virtually(main)

    assert isinstance(failure(events), EngineClosed)
    assert check_stream(events).text == "some"
    assert (adapter.book.open_now, admission.unsettled, admission.closed) == (0, 0, True)


def test_an_engine_that_is_not_open_says_so() -> None:
    async def main() -> None:
        engine = make_engine(ScriptedAdapter(answer("fine")))
        with pytest.raises(EngineClosed):
            await engine.complete(ask())
        async with engine:
            pass
        with pytest.raises(EngineClosed, match="closed"):
            await engine.complete(ask())

    virtually(main)


def test_an_engine_belongs_to_its_loop() -> None:
    engines: list[Engine] = []

    async def elsewhere() -> None:
        with pytest.raises(UsageError, match="another event loop"):
            await engines[0].complete(ask())

    async def main() -> None:
        async with make_engine(ScriptedAdapter(answer("fine"))) as engine:
            engines.append(engine)
            await asyncio.to_thread(lambda: asyncio.run(elsewhere()))

    asyncio.run(main())


def test_a_fault_of_ours_ends_its_own_request_and_no_other() -> None:
    adapter = ScriptedAdapter([ZeroDivisionError("oops")], answer("fine"))
    admission = ScriptedAdmission()

    async def main() -> tuple[list[StreamEvent], str]:
        async with make_engine(adapter, admission) as engine:
            return await listen(engine, ask()), (await engine.complete(ask())).text

    events, text = virtually(main)

    error = failure(events)
    assert "ZeroDivisionError: oops" in error.message
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert text == "fine"
    assert admission.unsettled == 0
