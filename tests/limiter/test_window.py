"""How a cap on calls in flight is found again after it has changed, and what looking for it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.bench.limits_paced import Paced
from workbench.bench.limits_run import WORKLOADS, Regime
from workbench.bench.limits_world import World
from workbench.engine.window import LONGEST_PROBE_WAIT_S, Window
from workbench.simulator.quota import Quota, QuotaSpec


class Server:
    """Lets in `cap` calls, each of which takes `call_s`; the client sends as many as its window allows."""

    def __init__(self, cap: int, *, call_s: float = 8.0) -> None:
        self.cap = cap
        self.call_s = call_s
        self.now_s = 0.0
        self.window = Window(8, 512)
        self.refused_s: list[float] = []
        self.answered = 0
        self._ends: list[tuple[float, int]] = []
        """When each call in flight ends, and in which epoch it was sent; staggered, so in order."""

    def run(self, until_s: float) -> None:
        while self.now_s < until_s:
            self._fill()
            ends_s, epoch = self._ends.pop(0)
            self.now_s = ends_s
            self.answered += 1
            self.window.unanswered = 0
            self.window.succeeded(self.now_s, len(self._ends), epoch)

    def _fill(self) -> None:
        while len(self._ends) < self.window.allowed:
            in_flight = len(self._ends) + 1
            self.window.note_sent(in_flight)
            if in_flight > self.cap:
                self.refused_s.append(self.now_s)
                self.window.refused(self.now_s, in_flight, stale=False)
            else:
                last_s = self._ends[-1][0] if self._ends else self.now_s
                ends_s = max(self.now_s + self.call_s, last_s + self.call_s / self.cap)
                self._ends.append((ends_s, self.window.epoch))
        self.window.note_blocked()


@pytest.mark.parametrize(("cap", "most_refused"), [(1, 0.015), (2, 0.011), (4, 0.006), (8, 0.006), (16, 0.01)])
def test_the_fewer_calls_a_cap_lets_in_the_less_often_it_is_probed_in_vain(cap, most_refused):
    server = Server(cap)
    server.run(300)
    server.refused_s.clear()
    server.answered = 0

    server.run(300 + 7200)

    assert len(server.refused_s) <= most_refused * server.answered
    assert max(b - a for a, b in zip(server.refused_s, server.refused_s[1:], strict=False)) <= (
        LONGEST_PROBE_WAIT_S + 2 * server.call_s
    )


def test_a_cap_of_some_size_is_probed_every_minute_however_often_that_failed():
    server = Server(16)
    server.run(1800)

    gaps_s = [b - a for a, b in zip(server.refused_s[-10:], server.refused_s[-9:], strict=False)]
    assert max(gaps_s) <= 60 + 2 * server.call_s


def test_a_refusal_that_no_probe_explains_makes_the_next_probe_due_in_a_minute():
    server = Server(4)
    server.run(3600)
    assert server.window.in_vain > 2

    server.cap = 3
    server.run(server.now_s + 30)
    fell_s = server.refused_s[-1]
    server.run(fell_s + 60 + 4 * server.call_s)

    assert fell_s + 60 <= server.refused_s[-1] <= fell_s + 60 + 4 * server.call_s


@pytest.mark.parametrize("phase_s", range(0, 60, 10))
def test_a_cap_that_rises_is_used_within_a_minute_and_a_half(phase_s):
    server = Server(16)
    server.run(900 + phase_s)
    rose_s = server.now_s

    server.cap = 48
    server.run(rose_s + 90)

    assert server.window.allowed >= 0.9 * 48


def test_where_refusals_take_long_a_probe_is_given_longer_before_the_next():
    window = Window(16, 512)
    window.refused(0.0, 17, after_s=5.0, stale=False)
    window.unanswered = 0

    sizes = []
    for now_s in (61.0, 64.0, 69.0, 72.0):
        for _ in range(16):
            window.note_sent(window.allowed)
            window.note_blocked()
            window.succeeded(now_s, window.allowed - 1, window.epoch)
        sizes.append(window.allowed)

    assert sizes == [17, 17, 17, 19]


def test_a_window_between_one_call_and_two_can_grow():
    window = Window(1.5, 512)
    window.rate_cut()

    for now_s in range(8):
        window.note_sent(1)
        window.note_blocked()
        window.succeeded(float(now_s), 0, window.epoch)

    assert window.allowed > 1


def test_beyond_what_was_let_in_since_the_last_refusal_calls_go_one_after_the_other():
    window = Window(16, 512)
    assert window.spacing_s(16) == 0.0, "nothing has been refused yet"
    window.refused(0.0, 17, after_s=0.1, stale=False)

    assert [window.spacing_s(calls) for calls in (16, 17, 17, 18)] == [0.0, 0.1, 0.0, 0.1]


def test_a_cap_that_is_overrun_refuses_hardly_more_than_the_call_that_finds_it():
    high = QuotaSpec(max_in_flight=48, headers=False)
    quota = Quota(replace(high, max_in_flight=16), schedule=[(200.0, high)])

    world = World([quota], WORKLOADS[Regime.IN_FLIGHT], [Paced([0])], seed=1, until_s=500).run()

    assert sum(refused for at_s, refused in world.attempts if at_s > 200.0) <= 6


def test_slow_start_does_not_double_faster_than_a_refusal_comes():
    """Answers of 20 ms would have it at hundreds of calls by then."""
    window = Window(8, 512)
    now_s = 100.0
    while now_s < 100.35:
        now_s += 0.001
        window.note_blocked()
        window.succeeded(now_s, window.allowed, window.epoch)

    assert window.allowed == 32
