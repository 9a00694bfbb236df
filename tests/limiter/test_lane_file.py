"""Lanes that processes share, and lanes that are remembered."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from limiter_virtual_time import in_virtual_time, lease_of, make_limiter, ticket

from workbench.bench.limits_paced import Paced
from workbench.bench.limits_run import IN_FLIGHT, TPM, WORKLOADS, Openness, Regime, spec_for
from workbench.bench.limits_world import World
from workbench.core.errors import LimitKind, RateLimited
from workbench.engine.admission import Outcome, TokenCost
from workbench.engine.lane import Lane
from workbench.engine.lane_file import FORMAT, SIZE, LaneFile, format_of
from workbench.engine.lane_state import Stateful
from workbench.engine.lane_values import KeyState
from workbench.engine.limiter_waiter import LimiterLease
from workbench.engine.lock_file import LockFile
from workbench.engine.window import Window
from workbench.simulator.quota import Quota

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks on bytes of a file there")

COST = TokenCost(100, 100)


class Moment:
    """Two clocks to turn by hand."""

    def __init__(self, now_s: float = 1000.0, wall_s: float = 1.7e9) -> None:
        self.at_s = now_s
        self.wall_at_s = wall_s

    def now_s(self) -> float:
        return self.at_s

    def wall_s(self) -> float:
        return self.wall_at_s

    def pass_(self, seconds: float) -> None:
        self.at_s += seconds
        self.wall_at_s += seconds


def lane_in(path: Path, moment: Moment) -> tuple[Lane, LaneFile]:
    lane = Lane("lane", [KeyState(None)], Window(8, 512), Random(1), lambda change: None)
    return lane, LaneFile(path, lane, moment.now_s, moment.wall_s)


def test_what_one_learns_all_know(tmp_path):
    moment = Moment()
    (one, first), (other, second) = (lane_in(tmp_path / "lane", moment) for _ in range(2))

    with one.books:
        one.buckets[LimitKind.TOKENS].learn(moment.at_s, 100.0)
        one.window.resize(17)
        flight = one.send(moment.at_s, COST, one.meters.price(COST, ""), "")
    with other.books:
        assert other.wait_s(moment.at_s, other.meters.price(COST, ""), 0.0) > 0
        assert other.buckets[LimitKind.TOKENS].rate == pytest.approx(90.0)
        assert (other.window.allowed, other.company.calls, other.company.rivals) == (17, 1, 1)
    with one.books:
        one.ended(moment.at_s, flight, None)
    with other.books:
        assert other.company.calls == 0

    first.close()
    second.close()


def test_one_refusal_is_one_cut_for_all_of_them(tmp_path):
    moment = Moment()
    lanes = [lane_in(tmp_path / "lane", moment) for _ in range(4)]
    flights = []
    for lane, _ in lanes:
        with lane.books:
            flights.append(lane.send(moment.at_s, COST, lane.meters.price(COST, ""), ""))
    moment.pass_(5.0)

    for (lane, _), flight in zip(lanes, flights, strict=True):
        with lane.books:
            lane.refused(moment.at_s, flight, LimitKind.TOKENS, 10.0, ())

    assert sum(lane.counters.cuts for lane, _ in lanes) == 1
    for lane, file in lanes:
        with lane.books:
            assert lane.wait_s(moment.at_s, lane.meters.price(COST, ""), 0.0) >= 9.9
        file.close()


def test_a_lane_that_somebody_leaves_goes_on(tmp_path):
    moment = Moment()
    (one, first), (other, second) = (lane_in(tmp_path / "lane", moment) for _ in range(2))
    with one.books:
        one.send(moment.at_s, COST, one.meters.price(COST, ""), "")

    first.close()

    with other.books:
        assert (other.company.calls, other.company.rivals) == (0, 0)
    assert not one.shared
    second.close()


def test_who_finds_the_books_locked_at_first_joins_later(tmp_path):
    moment = Moment()
    one, first = lane_in(tmp_path / "lane", moment)
    with one.books:
        one.window.resize(17)
        one.send(moment.at_s, COST, one.meters.price(COST, ""), "")
    somebody = LockFile.open(tmp_path / "lane", SIZE)
    assert somebody.lock()
    late, second = lane_in(tmp_path / "lane", moment)
    with late.books:
        early = late.send(moment.at_s, COST, late.meters.price(COST, ""), "")
    somebody.unlock()

    with late.books:
        assert (late.window.allowed, late.company.calls) == (17, 1)
    with one.books:
        assert one.company.calls == 1
    with late.books:
        late.succeeded(moment.at_s, early, None)
    with one.books:
        assert one.company.calls == 0

    for file in (first, second, somebody):
        file.close()


HOLDER = """
import sys, time
from pathlib import Path
from random import Random
from workbench.engine.admission import TokenCost
from workbench.engine.lane import Lane
from workbench.engine.lane_file import LaneFile
from workbench.engine.lane_values import KeyState
from workbench.engine.limiter_waiter import LimiterLease
from workbench.engine.window import Window

lane = Lane("lane", [KeyState(None)], Window(8, 512), Random(1), lambda change: None)
LaneFile(Path(sys.argv[1]), lane, time.monotonic, time.time)
cost = TokenCost(100, 100)
with lane.books:
    for _ in range(5):
        lane.send(time.monotonic(), cost, lane.meters.price(cost, ""), "")
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_calls_of_a_killed_process_are_crossed_out_within_a_second(tmp_path):
    path = tmp_path / "lane"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        moment = Moment(time.monotonic(), time.time())
        lane, file = lane_in(path, moment)
        with lane.books:
            assert (lane.company.calls, lane.company.owed) == (5, (500.0, 500.0))
    finally:
        process.kill()
        process.communicate()

    moment.pass_(0.5)

    with lane.books:
        assert (lane.company.calls, lane.company.rivals, lane.company.owed) == (0, 0, (0.0, 0.0))
    file.close()


@pytest.mark.parametrize(
    ("hours", "rate", "window"),
    [
        pytest.param(1, 0.8 * 90 * 0.9, 32, id="yesterday's limits, less a fifth"),
        pytest.param(25, None, 8, id="too old"),
    ],
)
def test_limits_are_remembered_for_a_day(tmp_path, hours, rate, window):
    moment = Moment()
    lane, file = lane_in(tmp_path / "lane", moment)
    with lane.books:
        lane.buckets[LimitKind.TOKENS].learn(moment.at_s, 100.0)
        lane.window.resize(40)
    file.close()
    moment.pass_(hours * 3600.0)

    again, file = lane_in(tmp_path / "lane", moment)

    assert again.buckets[LimitKind.TOKENS].rate == (None if rate is None else pytest.approx(rate))
    assert again.window.allowed == window
    assert again.pause_until_s < moment.at_s
    file.close()


def test_a_restarted_machine_whose_clock_began_anew_starts_warm(tmp_path):
    moment = Moment(now_s=1e6)
    lane, file = lane_in(tmp_path / "lane", moment)
    with lane.books:
        lane.window.resize(40)
        lane.refused(
            moment.at_s, lane.send(moment.at_s, COST, lane.meters.price(COST, ""), ""), LimitKind.TOKENS, 60.0, ()
        )
    file.close()
    rebooted = Moment(now_s=5.0, wall_s=moment.wall_at_s + 600)

    again, file = lane_in(tmp_path / "lane", rebooted)

    with again.books:
        assert again.wait_s(rebooted.at_s, again.meters.price(COST, ""), 0.0) == 0.0
    file.close()


@pytest.mark.parametrize("content", [b"", b"nonsense" * 2000, bytes(20_000)], ids=["empty", "garbage", "zeros"])
def test_a_file_that_is_none_of_ours_is_begun_anew(tmp_path, content):
    path = tmp_path / "lane"
    path.write_bytes(content)

    lane, file = lane_in(path, Moment())

    with lane.books:
        assert lane.window.allowed == 8
        assert lane.paced == []
    file.close()


def test_what_a_person_fixed_in_one_process_stays_in_that_process(tmp_path):
    moment = Moment()
    (one, first), (other, second) = (lane_in(tmp_path / "lane", moment) for _ in range(2))

    with one.books:
        one.pin_window(3, moment.at_s)
    with other.books:
        other.window.resize(50)
    with one.books:
        assert one.window.allowed == 3
    with other.books:
        assert other.window.allowed == 50

    first.close()
    second.close()


def test_letting_go_of_a_limit_leaves_the_others_what_they_have_learned_since(tmp_path):
    moment = Moment()
    (one, first), (other, second) = (lane_in(tmp_path / "lane", moment) for _ in range(2))
    with one.books:
        one.buckets[LimitKind.TOKENS].learn(moment.at_s, 100.0)
        one.pin_limit(LimitKind.TOKENS, 600.0, moment.at_s)
    with other.books:
        other.buckets[LimitKind.TOKENS].learn(moment.at_s, 20.0)

    with one.books:
        held = one.buckets[LimitKind.TOKENS].limit
        one.pin_limit(LimitKind.TOKENS, None, moment.at_s)

    for lane in (one, other):
        with lane.books:
            assert (lane.buckets[LimitKind.TOKENS].limit, lane.buckets[LimitKind.TOKENS].ceiling) == (None, 20.0)
    assert held == 600.0
    first.close()
    second.close()


def test_letting_go_of_a_window_takes_over_where_the_others_are(tmp_path):
    moment = Moment()
    (one, first), (other, second) = (lane_in(tmp_path / "lane", moment) for _ in range(2))
    with one.books:
        one.pin_window(3, moment.at_s)
    with other.books:
        other.window.resize(50)

    with one.books:
        one.pin_window(None, moment.at_s)

    for lane in (one, other):
        with lane.books:
            assert lane.window.allowed == 50
    first.close()
    second.close()


def test_a_window_that_nobody_else_has_changed_adapts_from_where_a_person_had_it(tmp_path):
    moment = Moment()
    lane, file = lane_in(tmp_path / "lane", moment)
    with lane.books:
        lane.pin_window(3, moment.at_s)
    with lane.books:
        lane.pin_window(None, moment.at_s)

    with lane.books:
        assert lane.window.allowed == 3
    file.close()


def test_what_a_person_fixed_before_anybody_came_is_not_told_to_those_who_come(tmp_path):
    moment = Moment()
    one, first = lane_in(tmp_path / "lane", moment)
    one.pin_window(3, moment.at_s)
    one.pin_limit(LimitKind.TOKENS, 600.0, moment.at_s)
    with one.books:
        pass

    other, second = lane_in(tmp_path / "lane", moment)

    with other.books:
        assert (other.window.allowed, other.paced) == (8, [])
    first.close()
    second.close()


def test_what_a_person_fixed_stays_when_the_file_of_yesterday_is_opened_late(tmp_path):
    moment = Moment()
    lane, file = lane_in(tmp_path / "lane", moment)
    lane.pin_limit(LimitKind.TOKENS, 600.0, moment.at_s)
    with lane.books:
        lane.start_warm(moment.at_s, 0.8)

        assert (lane.buckets[LimitKind.TOKENS].limit, len(lane.paced)) == (600.0, 1)
    file.close()


@pytest.mark.parametrize(
    ("regime", "openness"), [(Regime.TPM, Openness.ON), (Regime.TPM, Openness.HIDDEN), (Regime.IN_FLIGHT, Openness.ON)]
)
def test_four_processes_act_as_one_and_share_alike(tmp_path, regime, openness):
    policies = [Paced([0], seed=5, sender=n, lanes_dir=tmp_path) for n in range(4)]

    world = World([Quota(spec_for(openness))], WORKLOADS[regime], policies, seed=3, until_s=400).run()

    served = [sum(done.sender == n and done.at_s > 200 for done in world.done) for n in range(4)]
    used = (
        world.mean_in_flight(200, 400) / IN_FLIGHT
        if regime is Regime.IN_FLIGHT
        else world.tokens_per_minute(200, 400) / TPM
    )
    for policy in policies:
        policy.close()
    assert world.refused_share(200, 400) <= 0.003
    assert used >= 0.96
    assert sum(served) ** 2 / (4 * sum(count**2 for count in served)) >= 0.95


def test_limiters_with_one_state_directory_share_their_lanes(tmp_path):
    async def scenario(clock):
        one, other = (make_limiter(clock, state_dir=tmp_path) for _ in range(2))
        lease = await lease_of(one.enqueue(ticket()))
        await lease_of(other.enqueue(ticket()))

        lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", retry_after_s=20.0))

        event = await other.enqueue(ticket()).next()
        await one.aclose()
        await other.aclose()
        return event

    event = in_virtual_time(scenario)

    assert event.reason.value == "key cooling"


def test_versions_that_lay_out_a_lane_differently_keep_out_of_each_others_books(tmp_path, monkeypatch):
    async def scenario(clock):
        one = make_limiter(clock, state_dir=tmp_path)
        lease = await lease_of(one.enqueue(ticket()))
        monkeypatch.setattr("workbench.engine.limiter.FORMAT", 99.0)
        newer = make_limiter(clock, state_dir=tmp_path)
        await lease_of(newer.enqueue(ticket()))

        lease.settle(Outcome.REFUSED, clock.monotonic_ns(), error=RateLimited("no", retry_after_s=20.0))

        step = await newer.enqueue(ticket()).next()
        await one.aclose()
        await newer.aclose()
        return step

    assert isinstance(in_virtual_time(scenario), LimiterLease)


def test_a_layout_is_told_by_what_is_in_it_and_in_which_order():
    class Before(Stateful):
        FLOATS = ("rate", "level")

    class Turned(Stateful):
        FLOATS = ("level", "rate")

    class After(Stateful):
        FLOATS = ("rate", "level", "newly")

    formats = {format_of([Before]), format_of([Turned]), format_of([After]), format_of([Before, Before]), FORMAT}

    assert len(formats) == 5
