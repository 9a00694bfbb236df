"""The cache and single-flight in the pipeline: one call for many, and what a hit looks like."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from scripted import ScriptedAdapter, ScriptedAdmission, Wait, answer, ask, end, kinds, listen, make_engine, usage

from workbench.core.errors import IncompleteStream, ModelNotFound
from workbench.core.events import Delta, check_stream
from workbench.core.types import Channel, FinishReason, Params
from workbench.engine.admission import Outcome


async def test_identical_requests_make_one_call_and_the_next_one_is_a_hit(tmp_path: Path) -> None:
    adapter = ScriptedAdapter([Wait(0.01), *answer("shared ", "answer")])
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        async with asyncio.TaskGroup() as tasks:
            callers = [tasks.create_task(listen(engine, ask())) for _ in range(5)]
        hit = await listen(engine, ask())
        traffic = engine.statistics().traffic

    streams = [caller.result() for caller in callers]
    assert len(adapter.book.calls) == 1
    assert {check_stream(events).text for events in streams} == {"shared answer"}
    assert sum(not check_stream(events).cached for events in streams) == 1
    assert kinds(hit) == ["CacheHit", "Delta", "Finished"]
    assert (traffic.answered, traffic.shared, traffic.cached, traffic.requests) == (1, 4, 1, 6)
    assert traffic.ttft_s.n == 1


async def test_a_hit_costs_nothing_and_says_what_it_saved(tmp_path: Path) -> None:
    reasoning = Delta(0, Channel.REASONING, "hm")
    adapter = ScriptedAdapter([reasoning, "A", usage(input=1000, output=10), end()])
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        first = await engine.complete(ask())
        hit = check_stream(await listen(engine, ask()))

    assert (hit.text, hit.reasoning, hit.usage) == ("A", "hm", first.usage)
    assert (hit.cached, hit.cost_usd, hit.attempts) == (True, 0.0, 0)
    assert hit.saved_usd == first.cost_usd
    assert hit.saved_s is not None
    assert hit.timing.ttft_s is None


@pytest.mark.parametrize(
    ("modes", "calls"),
    [
        (["use", "use"], 1),
        (["off", "use"], 2),
        (["use", "off"], 2),
        (["read-only", "read-only"], 2),
        (["use", "read-only"], 1),
        (["use", "refresh", "use"], 2),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
async def test_cache_modes(tmp_path: Path, modes: list[str], calls: int) -> None:
    from workbench.core.types import CacheMode

    adapter = ScriptedAdapter(answer("1"), answer("2"), answer("3"))
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        texts = [(await engine.complete(ask(cache=CacheMode(mode)))).text for mode in modes]

    assert len(adapter.book.calls) == calls
    assert texts[-1] == str(calls)


async def test_samples_and_parameters_are_different_questions(tmp_path: Path) -> None:
    adapter = ScriptedAdapter(answer("x"))
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        for n in range(3):
            await engine.complete(ask(sample=n))
        await engine.complete(ask(model="local/m", params=Params(temperature=0.1)))
        await engine.complete(ask(model="local/m", params=Params(temperature=0.2)))

    assert len(adapter.book.calls) == 5


async def test_broken_and_refused_answers_are_asked_again(tmp_path: Path) -> None:
    adapter = ScriptedAdapter(
        ["half", IncompleteStream("cut")], ["I can't.", end(FinishReason.REFUSAL)], answer("whole"), answer("never")
    )
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        texts = [check_stream(await listen(engine, ask())).text for _ in range(4)]

    assert texts == ["half", "I can't.", "whole", "whole"]


async def test_a_cancelled_leader_leaves_the_call_to_its_follower(tmp_path: Path) -> None:
    adapter = ScriptedAdapter([Wait(0.02), *answer("fine")])
    admission = ScriptedAdmission()
    async with make_engine(adapter, admission, cache=True, root=tmp_path) as engine:
        leader = asyncio.create_task(engine.complete(ask()))
        follower = asyncio.create_task(engine.complete(ask()))
        await admission.granted.wait()
        leader.cancel()
        result = await follower
        traffic = engine.statistics().traffic

    assert (result.text, result.cached) == ("fine", False)
    assert len(adapter.book.calls) == 1
    assert admission.outcomes == [Outcome.SUCCESS]
    assert (traffic.answered, traffic.cancelled, traffic.requests) == (1, 1, 2)


async def test_a_chain_looks_for_each_of_its_targets_in_the_cache(tmp_path: Path) -> None:
    second = "anthropic/claude-sonnet-4-6"
    adapter = ScriptedAdapter(by_model={"gpt-5.4": [[ModelNotFound("gone", status=404)]], second: [answer("kept")]})
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        await engine.complete(ask(second))
        events = await listen(engine, ask(f"gpt-5.4 | {second}"))

    result = check_stream(events)
    assert kinds(events) == ["Admitted", "Retrying", "CacheHit", "Delta", "Finished"]
    assert (result.text, result.cached, result.attempts) == ("kept", True, 1)
    assert len(adapter.book.calls) == 2


async def test_what_a_prefix_cache_saves_is_what_the_same_call_would_cost_without_it(tmp_path: Path) -> None:
    spent = {"input": 5000, "output": 10}
    adapter = ScriptedAdapter(["A", usage(**spent), end()], ["B", usage(**spent, cached_input=4000), end()])
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:
        plain = await engine.complete(ask(text="first"))
        helped = await engine.complete(ask(text="second"))
        again = await engine.complete(ask(text="second"))

    assert plain.cost_usd is not None
    assert helped.cost_usd is not None
    assert (plain.prefix_saved_usd, again.prefix_saved_usd) == (None, None)
    assert helped.prefix_saved_usd == pytest.approx(plain.cost_usd - helped.cost_usd)
    assert again.saved_usd == helped.cost_usd
