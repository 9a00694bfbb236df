"""A stored answer for a caller who wants no stream: given at once, and counted as any other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedAdapter, answer, ask, listen, make_engine

from workbench.core.events import check_stream
from workbench.core.types import CacheMode, Params, Request, Result
from workbench.engine.intake import CacheKeys, cache_keys
from workbench.engine.records import Population
from workbench.engine.stored_answer import cache_key


def at_once(work: Coroutine[Any, Any, Result]) -> Result:
    """What a coroutine comes to that never waits."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    result = ended.value.value
    assert isinstance(result, Result)
    return result


async def test_a_stored_answer_is_given_without_a_turn_of_the_loop(tmp_path: Path) -> None:
    adapter = ScriptedAdapter(answer("stored"))
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        first = await engine.complete(ask())

        again = at_once(engine.complete(ask()))

    assert (again.text, again.usage, again.cost_usd, again.cached) == ("stored", first.usage, 0.0, True)


async def test_it_is_the_answer_that_a_stream_ends_with(tmp_path: Path) -> None:
    adapter = ScriptedAdapter(answer("stored"))
    request = ask(notes=("a note of the caller's.",))
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        await engine.complete(ask())

        at_end = check_stream(await listen(engine, request))
        alone = await engine.complete(request)

    unlike = ("timing",)
    for name in at_end.__dataclass_fields__:
        if name not in unlike:
            assert getattr(alone, name) == getattr(at_end, name), name


async def test_it_is_recorded_and_counted_like_any_other_request(tmp_path: Path) -> None:
    adapter = ScriptedAdapter(answer("stored"))
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        await engine.complete(ask(job="j"))

        await engine.complete(ask(job="j"))
        statistics, record = engine.statistics(), engine.records[-1]

    assert (statistics.traffic.requests, statistics.traffic.answered, statistics.traffic.cached) == (2, 1, 1)
    assert statistics.cache is not None
    assert (statistics.cache.hits, statistics.cache.misses) == (1, 1)
    assert (record.population, record.number, record.job, record.attempts) == (Population.CACHED, 2, "j", ())
    assert record.route is not None


async def test_an_answer_from_disk_is_given_at_once_too(tmp_path: Path) -> None:
    adapter = ScriptedAdapter(answer("stored"))
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        await engine.complete(ask())
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        await engine.warm([])

        again = at_once(engine.complete(ask()))

    assert (again.text, again.cached, len(adapter.book.calls)) == ("stored", True, 1)


@pytest.mark.parametrize(
    "request_",
    [ask(cache=CacheMode.OFF), ask(cache=CacheMode.REFRESH), ask(replay_speed=1000.0), ask(text="Another?")],
    ids=["cache off", "refresh", "at its own pace", "another question"],
)
async def test_whatever_needs_more_goes_the_usual_way(tmp_path: Path, request_: Request) -> None:
    adapter = ScriptedAdapter(answer("stored"))
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        await engine.complete(ask())

        asking = asyncio.create_task(engine.complete(request_))
        await asyncio.sleep(0)

        assert not asking.done()
        await asking


async def test_asking_for_thousands_lets_the_loop_turn_now_and_then(tmp_path: Path) -> None:
    adapter = ScriptedAdapter(answer("stored"))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        await engine.complete(ask())
        other = asyncio.create_task(others())
        for _ in range(1000):
            await engine.complete(ask())
        other.cancel()
        await asyncio.wait([other])

    assert turns >= 1000 // 32


def test_parameters_that_python_takes_for_equal_are_different_questions() -> None:
    keys = CacheKeys()
    with_engine = make_engine(ScriptedAdapter(answer("x")))
    targets = with_engine.route("gpt-5.4")
    asked = [ask(params=Params(extra=(("flag", value),))) for value in (1, True, 1.0, 1)]

    named = [keys.of(request, targets) for request in asked]

    assert named[0] == named[3]
    assert len(set(named)) == 3
    assert named == [cache_keys(request, targets) for request in asked]


def test_requests_without_parameters_share_what_was_worked_out() -> None:
    targets = make_engine(ScriptedAdapter(answer("x"))).route("gpt-5.4")
    keys = CacheKeys()

    (first,), (second,) = keys.of(ask(), targets), keys.of(ask(params=Params()), targets)

    assert first == second
    assert first != cache_key(targets[0].route, ask().messages, {"temperature": 1.0}, 0)
