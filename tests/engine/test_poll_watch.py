"""The bound on how late a stamp can be."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
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


class Turns:
    """A loop whose polls and callbacks take as long as a test says, watched."""

    def __init__(self) -> None:
        self.clock = ManualClock(start_s=10)
        self.watch = PollWatch(self.clock.monotonic_ns)
        self._rest_s = 0.0
        self._selector = SimpleNamespace(select=self._poll)
        self.watch.install(SimpleNamespace(_selector=self._selector))  # type: ignore[arg-type]  # what is looked at

    def _poll(self, timeout: float | None) -> list[object]:
        self.clock.advance(self._rest_s)
        return []

    def turn(self, work_s: float, *, rest_s: float = 0.0) -> int:
        """Poll, which rests for so long, then work; returns when the work ended, in ns."""
        self._rest_s = rest_s
        self._selector.select(None if rest_s else 0)
        self.clock.advance(work_s)
        return self.clock.monotonic_ns()


MS = 1_000_000


def test_what_comes_while_the_loop_rests_is_stamped_as_late_as_the_turn_has_taken() -> None:
    loop = Turns()
    loop.turn(0.020)

    stamped_ns = loop.turn(0.001, rest_s=0.5)

    assert loop.watch.late_ns(stamped_ns) == 1 * MS


def test_what_comes_while_the_loop_works_may_have_lain_there_since_it_began_to() -> None:
    loop = Turns()
    loop.turn(0.020, rest_s=0.5)

    stamped_ns = loop.turn(0.001)

    assert loop.watch.late_ns(stamped_ns) == 21 * MS


def test_a_reader_that_is_woken_a_turn_later_is_told_of_the_turn_before() -> None:
    loop = Turns()
    loop.turn(0.500, rest_s=1.0)
    loop.turn(0.020)
    loop.turn(0.003)

    stamped_ns = loop.turn(0.001)

    # Read in the turn of 3 ms, at the latest, by a poll that had not been asked for 20 ms; half a second is long past.
    assert loop.watch.late_ns(stamped_ns) == 24 * MS


def test_a_frame_between_two_stamps_is_held_against_neither() -> None:
    loop = Turns()
    first_ns = loop.turn(0.001, rest_s=0.1)
    loop.turn(0.025, rest_s=0.1)
    later_ns = loop.turn(0.002, rest_s=0.1)

    assert (loop.watch.late_ns(first_ns), loop.watch.late_ns(later_ns)) == (1 * MS, 2 * MS)
    # The bound on all stamps of the request that lasted so long is the frame's.
    assert loop.watch.worst_ns(10 * NS_PER_S) == 25 * MS


def test_a_stamp_of_long_ago_is_as_late_as_the_latest_of_its_quarter_of_a_second() -> None:
    loop = Turns()
    stamped_ns = loop.turn(0.005, rest_s=0.1)
    for _ in range(50):
        loop.turn(0.0, rest_s=0.1)

    assert loop.watch.late_ns(stamped_ns) == 5 * MS
    loop.watch.remove()
    assert loop.watch.late_ns(stamped_ns) == 0


@settings(max_examples=200, deadline=None)
@given(
    before=st.lists(st.tuples(st.integers(0, 40), st.sampled_from((0, 1, 50))), max_size=10),
    working_ms=st.integers(0, 40),
    arrives=st.floats(0.0, 1.0),
    reading_ms=st.integers(0, 40),
    woken_ms=st.none() | st.integers(0, 40),
)
def test_no_byte_is_later_than_its_stamp_says(
    before: list[tuple[int, int]], working_ms: int, arrives: float, reading_ms: int, woken_ms: int | None
) -> None:
    loop = Turns()
    for work_ms, rest_ms in before:
        loop.turn(work_ms / 1e3, rest_s=rest_ms / 1e3)

    # It arrives while callbacks work, is read in the next turn, and stamped there or by a reader in the one after.
    worked_ns = loop.turn(working_ms / 1e3)
    arrived_ns = worked_ns - round(arrives * working_ms * MS)
    stamped_ns = loop.turn(reading_ms / 1e3)
    if woken_ms is not None:
        stamped_ns = loop.turn(woken_ms / 1e3)

    assert stamped_ns - arrived_ns <= loop.watch.late_ns(stamped_ns)
