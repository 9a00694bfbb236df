"""The window of a server that queues: found without refusals, kept when the server changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from limiter_virtual_time import SPEC, in_virtual_time, lease_of, ticket

from workbench.engine.limiter import Limiter
from workbench.engine.window_latency import LatencyWindow


def serve(
    window: LatencyWindow, tokens_per_s: Callable[[float, int], float], until_s: float
) -> list[tuple[float, int]]:
    """Keep a server busy that gives each of n calls `tokens_per_s(now, n)`; the window over time."""
    chance = Random(1)
    now_s, sizes = 0.0, []
    active: list[list[float]] = []  # tokens left, tokens in all, start, epoch
    while now_s < until_s:
        while len(active) < window.allowed:
            tokens = float(max(5, int(chance.lognormvariate(4.5, 0.6))))
            active.append([tokens, tokens, now_s, window.epoch])
            window.note_sent(len(active))
        window.note_blocked()
        speed = tokens_per_s(now_s, len(active))
        done = min(active)
        step_s = done[0] / speed
        now_s += step_s
        for call in active:
            call[0] -= step_s * speed
        active.remove(done)
        window.timed(now_s - done[2], int(done[1]), int(done[3]))
        window.succeeded(now_s, len(active), int(done[3]))
        sizes.append((now_s, window.allowed))
    return sizes


def mean_size(sizes: list[tuple[float, int]], from_s: float) -> float:
    late = [size for at_s, size in sizes if at_s >= from_s]
    return sum(late) / len(late)


@pytest.mark.parametrize("capacity", [1, 4, 16, 48])
def test_the_window_settles_near_what_the_server_works_on_at_once(capacity):
    sizes = serve(LatencyWindow(8, 512), lambda now_s, calls: 50 * min(1.0, capacity / calls), 600)

    assert 0.65 * capacity <= mean_size(sizes, 300) <= 1.5 * capacity + 1.5


def test_a_batching_server_is_filled_beyond_its_first_slowdown():
    sizes = serve(LatencyWindow(8, 512), lambda now_s, calls: 1 / (0.01 + 0.0004 * calls), 600)

    assert 30 <= mean_size(sizes, 300) <= 120


def test_a_server_that_gets_weaker_or_stronger_is_followed():
    def shrinking(now_s, calls):
        return 50 * min(1.0, (16 if now_s < 300 else 4) / calls)

    def growing(now_s, calls):
        return 50 * min(1.0, (4 if now_s < 300 else 32) / calls)

    assert mean_size(serve(LatencyWindow(8, 512), shrinking, 900), 700) <= 7
    assert mean_size(serve(LatencyWindow(8, 512), growing, 900), 700) >= 20


def test_servers_without_usage_are_judged_by_whole_calls():
    window = LatencyWindow(2, 64)
    for _ in range(400):
        window.note_sent(window.allowed)
        window.note_blocked()
        window.timed(2.0, None, window.epoch)
        window.succeeded(100.0, window.allowed - 1, window.epoch)

    assert window.allowed == 64


def test_the_limiter_uses_it_for_rows_that_queue():
    async def scenario(clock):
        limiter = Limiter(keys=lambda spec: (), clock=clock)
        spec = replace(SPEC, needs_key=False, queues_instead_of_refusing=True)
        lease = await lease_of(limiter.enqueue(ticket(spec=spec)))
        return lease._waiter.flight.lane.window

    assert isinstance(in_virtual_time(scenario), LatencyWindow)
