"""When things leave: deadlines, coalescing, scales. In virtual time, except for one look at the clock."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import selectors
import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.simulator.answers import Answer, Finish, schedule
from workbench.simulator.pacing import Bursts, Pace, Pacer
from workbench.simulator.server import SimulatorThread
from workbench.simulator.stream import Step, coalesced

T = TypeVar("T")


class _NoWaiting(selectors.DefaultSelector):
    """Reports how long it was asked to wait instead of waiting."""

    def __init__(self, elapsed: Callable[[float], None]) -> None:
        super().__init__()
        self._elapsed = elapsed

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self._elapsed(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only in timers, and then at once."""

    def __init__(self) -> None:
        self._virtual_s = 1_000.0
        super().__init__(_NoWaiting(self._pass))

    def _pass(self, seconds: float) -> None:
        self._virtual_s += seconds

    def time(self) -> float:
        return self._virtual_s


def in_virtual_time(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def test_deadlines_are_absolute_so_lateness_does_not_add_up() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        pacer, start = Pacer(loop, 1.0), loop.time()
        reached = []
        for number in range(1, 101):
            await pacer.until(number * 0.01)
            reached.append(loop.time() - start)
            assert isinstance(loop, VirtualLoop)
            loop._pass(0.004)  # work that takes almost half of every gap
        return reached

    late = [at - number * 0.01 for number, at in enumerate(in_virtual_time(main), 1)]

    assert max(late) < 0.002
    assert min(late) > -0.001


def test_the_scale_multiplies_every_wait() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        pacer, start = Pacer(loop, 0.25), loop.time()
        await pacer.until(8.0)
        return loop.time() - start

    assert in_virtual_time(main) == pytest.approx(2.0, abs=0.002)


def test_on_beats_several_answers_say_at_one_moment_what_they_have_to_say() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        reached = []

        async def answer(begins_s: float) -> None:
            await asyncio.sleep(begins_s)
            pacer = Pacer(loop, 1.0, beat_s=0.5)
            for offset_s in (0.1, 0.6):
                await pacer.until(offset_s)
                reached.append(round(loop.time() - 1_000.0, 2))

        await asyncio.gather(answer(0.0), answer(0.2), answer(0.39))
        return reached

    assert in_virtual_time(main) == pytest.approx([0.5, 0.5, 0.5, 1.0, 1.0, 1.0], abs=0.02)


def test_bursts_grow_to_their_largest_with_silence_in_between() -> None:
    pace = Bursts(0.2, 0.0, 0.5, 0.0, first=10, growth=2.0, most=30)

    moments = list(pace.moments(0.2, [1] * 100, random.Random(0)))

    bursts = [(round(at, 3), len(list(same))) for at, same in itertools.groupby(moments)]
    assert bursts == [(0.2, 10), (0.7, 20), (1.2, 30), (1.7, 30), (2.2, 10)]


def test_stopping_wakes_whoever_waits() -> None:
    async def main() -> tuple[bool, bool, float]:
        loop = asyncio.get_running_loop()
        pacer, start = Pacer(loop, 1.0), loop.time()
        loop.call_later(1.0, pacer.stop)
        return await pacer.until(3_600.0), await pacer.until(7_200.0), loop.time() - start

    assert in_virtual_time(main) == (False, False, pytest.approx(1.0, abs=0.002))


def test_an_answer_without_latency_still_lets_others_have_a_turn() -> None:
    async def main() -> int:
        pacer, turns = Pacer(asyncio.get_running_loop(), 0.0), 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        for _ in range(400):
            await pacer.until(5.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return turns

    assert in_virtual_time(main) >= 40


@given(st.integers(1, 9), st.lists(st.text("ab c", min_size=1, max_size=4), max_size=60), st.integers(0, 99))
def test_a_timetable_carries_every_token_once_and_in_order(per_event: int, tokens: list[str], seed: int) -> None:
    answer = Answer(tuple(tokens[:10]), tuple(tokens[10:]), Finish.STOP)

    timing = schedule(answer, Pace(0.3, 0.2, 0.01, 0.5), per_event, random.Random(seed))

    events = [*timing.reasoning, *timing.text]
    assert "".join(event.text for event in events) == "".join(tokens)
    assert sum(event.tokens for event in events) == len(tokens)
    assert [event.at_s for event in events] == sorted(event.at_s for event in events)
    assert timing.open_s <= (events[0].at_s if events else timing.end_s) <= timing.end_s


def test_latencies_spread_around_their_median() -> None:
    pace, rng = Pace(0.5, 0.3, 0.01, 0.3), random.Random(4)

    drawn = [pace.first_token_s(rng) for _ in range(4_000)]

    assert statistics.median(drawn) == pytest.approx(0.5, rel=0.05)
    assert statistics.stdev(map(math.log, drawn)) == pytest.approx(0.3, rel=0.1)


@given(st.lists(st.tuples(st.floats(0, 0.2), st.binary(min_size=1, max_size=3)), max_size=40), st.floats(0.001, 0.5))
def test_coalescing_keeps_bytes_tokens_and_order(gaps: list[tuple[float, bytes]], span_s: float) -> None:
    at_s, steps = 0.0, []
    for gap, data in gaps:
        at_s += gap
        steps.append(Step(at_s, data, 1))

    joined = list(coalesced(steps, span_s))

    assert b"".join(step.data or b"" for step in joined) == b"".join(data for _, data in gaps)
    assert sum(step.tokens for step in joined) == len(steps)
    assert len(joined) <= len(steps)
    for step in joined:
        inside = [s.at_s for s in steps if s.at_s <= step.at_s]
        assert step.at_s in inside


async def arrivals(simulator: SimulatorThread, tokens: int) -> list[float]:
    """Seconds from sending the request to each read that brought text."""
    body = {
        "model": "gpt-4.1",
        "stream": True,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": "Write 900 words about tulips."}],
    }
    found = []
    async with httpx.AsyncClient() as client:
        url = f"{simulator.base_urls['openai']}/chat/completions"
        headers = {"authorization": f"Bearer {simulator.api_key}"}
        start = time.perf_counter()
        async with client.stream("POST", url, headers=headers, json=body) as response:
            async for chunk in response.aiter_raw():
                found.extend([time.perf_counter() - start] * chunk.count(b'"delta":{"content":"'))
    return found


async def test_the_steady_profile_is_never_early_on_a_real_clock() -> None:
    """200 ms to the first token and 10 ms per token. How late it may be is for virtual time: here a machine decides."""
    with SimulatorThread("steady", seed=1) as simulator:
        await arrivals(simulator, 1)
        found = await arrivals(simulator, 41)

    late = [at - (0.2 + 0.01 * number) for number, at in enumerate(found)]
    assert len(found) == 41
    assert min(late) > -0.002


async def test_one_write_may_carry_what_is_due_together() -> None:
    body = {
        "model": "gpt-4.1",
        "stream": True,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Write 900 words about tulips."}],
    }
    with SimulatorThread("fast", coalesce_s=1.0) as simulator:
        async with httpx.AsyncClient() as client:
            url = f"{simulator.base_urls['openai']}/chat/completions"
            headers = {"authorization": f"Bearer {simulator.api_key}"}
            async with client.stream("POST", url, headers=headers, json=body) as response:
                chunks = [chunk async for chunk in response.aiter_raw()]

    assert len(chunks) < 10
    assert b"".join(chunks).count(b"data: ") > 100
