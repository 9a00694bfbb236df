"""The bound on how late a stamp can be."""

from __future__ import annotations

import asyncio
import time

from scripted import LoopClock, VirtualLoop

from workbench.core.clock import NS_PER_S, ManualClock
from workbench.engine.poll_watch import PollWatch


async def turn() -> None:
    """Let the loop poll once."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_callback_that_holds_the_loop_is_the_bound() -> None:
    clock = ManualClock(start_s=10)
    watch = PollWatch(clock.monotonic_ns)
    assert watch.install(asyncio.get_running_loop())
    await turn()

    clock.advance(0.025)
    await turn()
    worst_ns = watch.worst_ns(10 * NS_PER_S)
    watch.remove()

    assert worst_ns == 25_000_000


async def test_the_turn_under_way_counts() -> None:
    clock = ManualClock(start_s=10)
    watch = PollWatch(clock.monotonic_ns)
    watch.install(asyncio.get_running_loop())
    await turn()

    clock.advance(0.004)
    worst_ns = watch.worst_ns(10 * NS_PER_S)
    watch.remove()

    assert worst_ns == 4_000_000


async def test_what_happened_before_a_request_is_not_held_against_it() -> None:
    clock = ManualClock(start_s=10)
    watch = PollWatch(clock.monotonic_ns)
    watch.install(asyncio.get_running_loop())
    await turn()
    clock.advance(0.5)
    await turn()

    clock.advance(0.002)
    await turn()
    recent_ns, all_ns = watch.worst_ns(round(10.51 * NS_PER_S)), watch.worst_ns(10 * NS_PER_S)
    slots = watch.percentiles(clock.monotonic_ns())
    watch.remove()

    # A quarter of a second is one slot: what is newer than the last slot's start is not told apart.
    assert (recent_ns, all_ns) == (500_000_000, 500_000_000)
    assert (slots.n, slots.max) == (2, 0.5)


async def test_an_old_stall_is_forgotten_slot_by_slot() -> None:
    clock = ManualClock(start_s=10)
    watch = PollWatch(clock.monotonic_ns)
    watch.install(asyncio.get_running_loop())
    await turn()
    clock.advance(0.2)
    await turn()
    for _ in range(30):
        clock.advance(0.01)
        await turn()

    worst_ns = watch.worst_ns(round(10.3 * NS_PER_S))
    watch.remove()

    assert worst_ns == 10_000_000


def test_waiting_in_the_poll_itself_is_not_lateness() -> None:
    async def main() -> int:
        clock = LoopClock()
        watch = PollWatch(clock.monotonic_ns)
        watch.install(asyncio.get_running_loop())
        await asyncio.sleep(3600)
        worst_ns = watch.worst_ns(0)
        watch.remove()
        return worst_ns

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == 0


async def test_it_leaves_the_loop_as_it_was() -> None:
    loop = asyncio.get_running_loop()
    watch = PollWatch(time.monotonic_ns)

    watch.install(loop)
    assert "select" in vars(loop._selector)  # type: ignore[attr-defined]  # private to asyncio, and what this is about
    watch.remove()

    assert "select" not in vars(loop._selector)  # type: ignore[attr-defined]
    assert watch.worst_ns(0) == 0


async def test_two_engines_on_one_loop_do_not_take_each_other_s_watch_away() -> None:
    loop = asyncio.get_running_loop()
    clock = ManualClock(start_s=10)
    first, second = PollWatch(clock.monotonic_ns), PollWatch(clock.monotonic_ns)
    first.install(loop)
    second.install(loop)

    first.remove()
    await turn()
    clock.advance(0.003)
    await turn()
    worst_ns = second.worst_ns(10 * NS_PER_S)
    second.remove()

    assert worst_ns == 3_000_000


def test_a_loop_without_a_selector_is_not_watched() -> None:
    class Other:
        pass

    watch = PollWatch(time.monotonic_ns)

    assert watch.install(Other()) is False  # type: ignore[arg-type]  # stands in for another kind of loop
    assert watch.worst_ns(0) == 0
