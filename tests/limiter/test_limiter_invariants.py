"""What must hold whatever happens: property tests and worst cases of the pure decisions."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limiter_virtual_time import keyring, ticket

from workbench.core.errors import KeyRejected, LimitKind, QuotaSpent, RateLimited, RequestTooLarge
from workbench.core.types import Priority, Usage
from workbench.engine.admission import Outcome, Ticket
from workbench.engine.dispatcher import Dispatcher
from workbench.engine.lane import Lane
from workbench.engine.lane_board import LaneBoard
from workbench.engine.lane_group import PendingClaim
from workbench.engine.lane_queue import ClaimState
from workbench.engine.lane_values import History, KeyState
from workbench.engine.window import Window
from workbench.simulator.quota import Quota, QuotaSpec, Refusal


class Claim(PendingClaim):
    """Remembers what became of it, and how its lane stood at that moment."""

    def __init__(self, ticket: Ticket, history: History) -> None:
        super().__init__(ticket)
        self.history = history
        self.grants = 0
        self.error: Exception | None = None
        self.within_window = True
        self.during_pause = False

    def granted(self) -> None:
        self.grants += 1
        assert self.flight is not None
        lane = self.flight.lane
        self.within_window = len(lane.flights) <= lane.window.allowed
        # As it was recorded: where a cap has fallen, a call that is sent makes the next one wait.
        self.during_pause = any(
            change.at_s <= self.flight.sent_s < change.at_s + (change.new or 0.0)
            for change in self.history.latest()
            if change.what == "pause" and change.lane == lane.name
        )

    def failed(self, error: Exception) -> None:
        self.error = error


class Bench:
    """A dispatcher with keys, and a clock to turn by hand."""

    def __init__(self, *secrets: str, window: int = 8, largest: int = 512) -> None:
        self.history = History(10_000)
        self.board = LaneBoard(
            keyring(*(secrets or ("one",))), lambda spec: Window(window, largest), Random(1), self.history.add
        )
        self.dispatcher = Dispatcher(self.board, family=lambda t: t.route.wire_model, wall_s=lambda: 0.0)
        self.now_s = 100.0

    def ask(self, **fields) -> Claim:
        claim = Claim(ticket(**fields), self.history)
        self.dispatcher.enqueue(claim, self.now_s)
        return claim

    def answer(self, claim: Claim, output: int = 50) -> None:
        usage = Usage(input=claim.ticket.cost.input, output=output)
        self.dispatcher.settle(claim, Outcome.SUCCESS, self.now_s, usage=usage)

    def refuse(self, claim: Claim, limit: LimitKind = LimitKind.UNKNOWN, retry_after_s: float | None = None, **details):
        error = RateLimited("429", limit=limit, retry_after_s=retry_after_s, **details)
        self.dispatcher.settle(claim, Outcome.REFUSED, self.now_s, error=error)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.dispatcher.pump_due(self.now_s)

    @property
    def lane(self) -> Lane:
        (_, lane), *_ = self.board
        return lane

    def changes(self, what: str) -> list[float | None]:
        return [change.new for change in self.history.latest() if change.what == what]


def test_the_sequence_that_made_a_semaphore_over_admit_ends_within_the_window():
    """Start with 32, refuse one under load, let it grow again, five times over."""
    bench = Bench(window=32, largest=32)
    claims = [bench.ask() for _ in range(400)]
    for _ in range(5):
        *flying, last = [claim for claim in claims if claim.state is ClaimState.GRANTED and not claim.flight.settled]
        bench.refuse(last, LimitKind.CONCURRENCY)
        for claim in flying:
            bench.wait(0.5)
            bench.answer(claim)
    in_flight = sum(claim.state is ClaimState.GRANTED and not claim.flight.settled for claim in claims)

    assert in_flight <= 32
    assert all(claim.within_window for claim in claims)


def test_a_hundred_simultaneous_refusals_are_one_episode():
    bench = Bench(window=100)
    warm = [bench.ask() for _ in range(100)]
    bench.wait(10.0)
    for claim in warm:
        bench.answer(claim)
    claims = [bench.ask() for _ in range(100)]
    bench.wait(0.1)

    for claim in claims:
        bench.refuse(claim, LimitKind.TOKENS)

    assert bench.lane.counters.cuts == 1
    assert len(bench.changes("tokens per minute")) == 1


def test_a_long_pause_on_every_refusal_freezes_neither_window_nor_rate_after_it():
    bench = Bench(window=8)
    for _ in range(3):
        for claim in [bench.ask() for _ in range(8)]:
            if claim.grants:
                bench.refuse(claim, LimitKind.REQUESTS, retry_after_s=89.0)
            else:
                bench.dispatcher.withdraw(claim, bench.now_s)
        bench.wait(100.0)
    window, rate = bench.lane.window.allowed, bench.lane.buckets[LimitKind.REQUESTS].rate

    for _ in range(1200):
        claim = bench.ask()
        bench.wait(0.5)
        if claim.state is ClaimState.GRANTED:
            bench.answer(claim)

    assert bench.lane.pause_until_s < bench.now_s
    grown = bench.lane.buckets[LimitKind.REQUESTS].rate
    assert bench.lane.window.allowed >= window
    assert rate is None or (grown is not None and grown > rate)


def test_a_refusal_of_something_sent_before_the_cut_only_prolongs_the_pause():
    bench = Bench(window=8)
    early, late = bench.ask(), bench.ask()
    bench.wait(5.0)
    bench.answer(bench.ask())
    bench.refuse(early, LimitKind.TOKENS, retry_after_s=2.0)
    cuts, until_s = bench.lane.counters.cuts, bench.lane.pause_until_s
    bench.wait(0.1)

    bench.refuse(late, LimitKind.TOKENS, retry_after_s=30.0)

    assert bench.lane.counters.cuts == cuts
    assert bench.lane.pause_until_s > until_s


def test_what_was_sent_before_a_limit_was_told_says_nothing_against_it():
    """The first requests of all leave at once; the refusal of some is how a small limit makes itself known."""
    told = {"limit": "4", "remaining": "0", "reset": "15s"}
    headers = tuple((f"x-ratelimit-{name}-requests", value) for name, value in told.items())
    bench = Bench(window=8)
    first, second, later = [bench.ask() for _ in range(3)]

    for claim in (first, second):
        bench.refuse(claim, LimitKind.REQUESTS, retry_after_s=15.0, headers=headers)
    bench.answer(later)
    bucket = bench.lane.buckets[LimitKind.REQUESTS]
    before = bucket.limit, bucket.rate, bench.lane.counters.cuts
    bench.wait(60.0)
    known = next(claim for claim in [bench.ask() for _ in range(4)] if claim.grants)
    bench.refuse(known, LimitKind.REQUESTS, retry_after_s=15.0, headers=headers)

    assert before == (4, pytest.approx(4 / 60), 0)
    assert bench.lane.pause_until_s > bench.now_s
    assert bench.lane.counters.cuts == 1, "whoever is refused within what was told shares the account with others"


@pytest.mark.parametrize(
    ("in_flight", "remaining", "after_s", "read"),
    [
        pytest.param(100, 99_900, 0.0, False, id="plenty is left"),
        pytest.param(100, 99_900, 0.1, True, id="the last one is a while ago"),
        pytest.param(100, 40_000, 0.0, True, id="little is left"),
        pytest.param(10, 99_990, 0.0, True, id="few calls"),
    ],
)
def test_of_many_answers_at_once_one_is_read_while_plenty_is_left(in_flight, remaining, after_s, read):
    def headers(limit: int) -> list[tuple[str, str]]:
        return [("x-ratelimit-limit-requests", str(limit)), ("x-ratelimit-remaining-requests", str(remaining))]

    bench = Bench(window=200)
    claims = [bench.ask() for _ in range(in_flight)]
    bench.dispatcher.observe(claims[0], headers(100_000), bench.now_s)
    bench.wait(after_s)

    bench.dispatcher.observe(claims[1], headers(120_000), bench.now_s)

    assert bench.lane.buckets[LimitKind.REQUESTS].limit == (120_000 if read else 100_000)


def test_an_unnamed_refusal_is_blamed_on_what_held_us_back():
    bench = Bench(window=4)
    claims = [bench.ask() for _ in range(6)]

    bench.refuse(claims[3])

    assert bench.lane.window.ceiling == 3, "the window was full, and no rate was known"


def test_after_eight_wrong_guesses_at_concurrency_a_rate_is_suspected():
    bench = Bench(window=64)
    queue = [bench.ask() for _ in range(64)]
    for _ in range(12):
        flying = [claim for claim in queue if claim.state is ClaimState.GRANTED and not claim.flight.settled]
        for claim in flying:
            bench.wait(0.02)
            bench.refuse(claim)
        queue = [bench.ask() for _ in range(80)]
        bench.wait(40.0)

    assert any(change.why == "rate limit" for change in bench.history.latest())


@pytest.mark.parametrize("hint_s", [-5.0, math.nan, math.inf, 86_400.0 * 365, None])
def test_an_absurd_hint_never_parks_a_lane(hint_s):
    bench = Bench()
    bench.refuse(bench.ask(), LimitKind.REQUESTS, retry_after_s=hint_s)

    assert bench.lane.pause_until_s <= bench.now_s + 1.0


@pytest.mark.parametrize("hint_s", [-5.0, math.nan, math.inf, -math.inf, 86_400.0 * 365])
def test_an_absurd_hint_of_an_overloaded_provider_parks_nothing(hint_s):
    bench = Bench()
    error = RateLimited("529", retry_after_s=hint_s)

    bench.dispatcher.settle(bench.ask(), Outcome.OVERLOADED, bench.now_s, error=error)

    assert bench.ask().grants == 1


def test_an_account_that_allows_nothing_is_asked_less_and_less_and_leaves_nothing_behind():
    bench = Bench()
    quota = Quota(QuotaSpec(rpm=0, retry_after=False, classify=False, headers=False))
    asked = 0
    claim = bench.ask()
    for _ in range(6_000):  # ten minutes
        if claim.grants:
            assert isinstance(quota.admit(bench.now_s, 100, 100), Refusal)
            asked += 1
            bench.refuse(claim)
            claim = bench.ask(attempt=asked + 1)
        bench.wait(0.1)
    bench.dispatcher.withdraw(claim, bench.now_s)

    assert asked <= 40
    assert claim.grants <= 1
    assert bench.lane.in_flight == 0
    assert bench.lane.window.allowed >= 1


RESETS = (("x-ratelimit-limit-requests", "600"), ("x-ratelimit-remaining-requests", "0"))


@pytest.mark.parametrize(
    ("headers", "shortest_s", "longest_s"),
    [
        pytest.param((*RESETS, ("x-ratelimit-reset-requests", "48s")), 0.01, 1.0, id="when all of it is free again"),
        pytest.param((*RESETS, ("x-ratelimit-reset-requests", "48s"), ("retry-after", "48")), 48.0, 53.0, id="a wait"),
        pytest.param((), 48.0, 53.0, id="in the message"),
    ],
)
def test_the_time_until_a_whole_limit_is_free_is_not_taken_for_a_wait(headers, shortest_s, longest_s):
    bench = Bench()
    bench.refuse(bench.ask(), LimitKind.CONCURRENCY, retry_after_s=48.0, headers=headers)

    pause_s = bench.lane.pause_until_s - bench.now_s
    assert shortest_s <= pause_s <= longest_s


def test_repeated_refusals_without_a_hint_back_off_to_half_a_minute_at_most():
    bench = Bench()
    waits = []
    for attempt in range(1, 12):
        claim = bench.ask(attempt=attempt)
        bench.wait(max(0.0, bench.lane.pause_until_s - bench.now_s) + 0.001)
        bench.refuse(claim, LimitKind.REQUESTS)
        waits.append(bench.lane.pause_until_s - bench.now_s)

    assert waits[0] < 1.0
    assert 30.0 <= max(waits) <= 33.0


def test_nothing_is_sent_during_a_pause():
    bench = Bench()
    bench.refuse(bench.ask(), LimitKind.REQUESTS, retry_after_s=10.0)
    waiting = bench.ask()
    bench.wait(9.9)
    assert waiting.grants == 0

    bench.wait(2.0)

    assert waiting.grants == 1


def test_a_request_that_is_too_large_for_a_limit_nobody_told_us_is_parked_and_then_named():
    bench = Bench(window=8)
    refusals, passed = 0, 0
    claim = bench.ask(tokens=50_000)
    for _ in range(2000):
        small = bench.ask(tokens=50)
        if claim.grants and not claim.flight.settled:
            bench.refuse(claim)
            refusals += 1
            claim = bench.ask(tokens=50_000, attempt=refusals + 1)
        bench.wait(1.0)
        if small.grants:
            bench.answer(small)
            passed += 1
        else:
            bench.dispatcher.withdraw(small, bench.now_s)

    assert isinstance(claim.error, RequestTooLarge)
    assert "larger than this key's per-minute limit" in str(claim.error)
    assert refusals <= 12
    assert passed >= 1900
    assert bench.lane.counters.cuts <= 3, "a request that is too large says nothing about the rate"


@pytest.mark.parametrize(
    "absurd",
    [("x-ratelimit-limit-tokens", "1"), ("x-ratelimit-limit-requests", "0.2"), ("x-ratelimit-limit-tokens", "20")],
)
def test_a_limit_that_its_own_answer_contradicts_is_not_believed(absurd):
    bench = Bench()
    claim = bench.ask(tokens=500)
    bench.dispatcher.observe(claim, (absurd,), bench.now_s)
    bench.answer(claim)

    another = bench.ask(tokens=500)

    assert another.error is None
    assert another.grants == 1


def test_a_limit_below_a_prompt_that_was_let_in_is_believed_since_that_may_have_been_cached():
    bench = Bench()
    claim = bench.ask(tokens=50_000)
    bench.dispatcher.observe(claim, (("x-ratelimit-limit-tokens", "20000"),), bench.now_s)
    bench.answer(claim)

    another = bench.ask(tokens=50_000)

    assert isinstance(another.error, RequestTooLarge)


@pytest.mark.parametrize("error", [QuotaSpent("no money left", status=429), KeyRejected("401", status=401)])
def test_a_spent_or_rejected_key_is_never_used_again(error):
    bench = Bench("one", "two", window=1)
    first, second, third = bench.ask(), bench.ask(), bench.ask()
    bench.dispatcher.settle(first, Outcome.KEY_DEAD, bench.now_s, error=error)
    bench.answer(second)

    assert third.grants == 1
    assert third.flight.key.label == "acme#2"
    assert [state.sent for _, state in bench.board.key_states()] == [1, 2]


def test_jobs_that_idled_collect_no_arrears():
    bench = Bench(window=1, largest=1)
    held = bench.ask(job="busy")
    busy = [bench.ask(job="busy") for _ in range(40)]
    for claim in busy[:20]:
        bench.answer(held)
        held = claim
    late = [bench.ask(job="late") for _ in range(20)]

    order = []
    for _ in range(20):
        bench.answer(held)
        held = next(claim for claim in busy + late if claim.grants and not claim.flight.settled)
        order.append(held.ticket.job)

    assert 9 <= order.count("late") <= 11


def test_bulk_work_does_not_starve_behind_people_who_never_stop():
    bench = Bench(window=1, largest=1)
    people = [bench.ask(priority=Priority.INTERACTIVE) for _ in range(40)]
    bulk = bench.ask()
    for _ in range(20):
        bench.wait(1.5)
        bench.answer(next(claim for claim in [*people, bulk] if claim.grants and not claim.flight.settled))

    sent_before = sum(person.grants and person.flight.sent_s <= bulk.flight.sent_s for person in people)
    assert 8 <= sent_before <= 12


def test_a_tenth_is_kept_for_people_while_one_is_there():
    bench = Bench(window=20)
    bench.dispatcher.person_present = True
    bulk = [bench.ask() for _ in range(30)]
    assert sum(claim.grants for claim in bulk) == 18

    people = [bench.ask(priority=Priority.INTERACTIVE) for _ in range(3)]

    assert [claim.grants for claim in people] == [1, 1, 0]


def test_a_response_from_before_a_cut_does_not_grow_the_window():
    window = Window(4, 100)
    before = window.epoch
    window.note_blocked()
    window.refused(10.0, 4, stale=False)
    size = window.allowed

    for _ in range(50):
        window.succeeded(20.0, 3, before)

    assert window.allowed == size


def test_a_window_that_is_not_used_does_not_grow():
    window = Window(8, 100)
    window.rate_cut()

    for _ in range(200):
        window.note_sent(2)
        window.succeeded(10.0, 1, window.epoch)

    assert window.allowed == 8


def test_overload_halves_the_window_at_most_and_cuts_no_rate():
    bench = Bench(window=40)
    for claim in [bench.ask() for _ in range(40)]:
        bench.dispatcher.settle(claim, Outcome.OVERLOADED, bench.now_s)

    assert bench.lane.window.allowed == 20
    assert bench.lane.paced == []
    assert bench.lane.counters.cuts == 0


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(list(Priority)), st.integers(1, 3000)),
        st.tuples(st.just("wait"), st.floats(-20.0, 50.0), st.just(0)),
        st.tuples(st.just("answer"), st.integers(0, 50), st.integers(0, 200)),
        st.tuples(st.just("headers"), st.integers(0, 50), st.integers(0, 5000)),
        st.tuples(st.just("refuse"), st.integers(0, 50), st.sampled_from([None, 0.0, 3.0, 89.0, -1.0, math.nan])),
        st.tuples(st.just("break"), st.integers(0, 50), st.just(0)),
        st.tuples(st.just("overload"), st.integers(0, 50), st.sampled_from([None, 2.0])),
        st.tuples(st.just("cancel"), st.integers(0, 50), st.just(0)),
    ),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(actions=ACTIONS, secrets=st.sampled_from([("one",), ("one", "two", "three")]), seed=st.integers(0, 9))
def test_whatever_happens_nothing_leaks_and_nothing_is_sent_too_early(actions, secrets, seed):
    bench = Bench(*secrets, window=4)
    chance = Random(seed)
    claims: list[Claim] = []

    def flying() -> list[Claim]:
        return [c for c in claims if c.state is ClaimState.GRANTED and not c.flight.settled]

    for name, first, second in actions:
        before = len(flying())
        match name:
            case "ask":
                claims.append(bench.ask(priority=first, tokens=second, max_output=chance.choice([1, 200, 4000])))
            case "wait":
                bench.now_s += first  # backwards as well
                bench.dispatcher.pump_due(bench.now_s)
            case "cancel" if claims:
                bench.dispatcher.withdraw(claims[first % len(claims)], bench.now_s)
            case _ if flying():
                claim = flying()[first % before]
                match name:
                    case "answer":
                        bench.answer(claim, output=second)
                    case "headers":
                        limit = chance.choice([0, 5, 1000, 5000, -1])
                        pairs = [
                            ("x-ratelimit-limit-tokens", str(limit)),
                            ("x-ratelimit-remaining-tokens", str(second)),
                        ]
                        bench.dispatcher.observe(claim, pairs, bench.now_s)
                    case "refuse":
                        bench.refuse(claim, chance.choice(list(LimitKind)), retry_after_s=second)
                    case "break":
                        bench.dispatcher.settle(claim, Outcome.NEUTRAL, bench.now_s)
                    case "overload":
                        error = RateLimited("529", retry_after_s=second)
                        bench.dispatcher.settle(claim, Outcome.OVERLOADED, bench.now_s, error=error)
        for claim in claims:
            assert claim.grants <= 1
            assert claim.within_window
            assert not claim.during_pause

    for claim in flying():
        bench.dispatcher.settle(claim, Outcome.NEUTRAL, bench.now_s)
    for claim in claims:
        bench.dispatcher.withdraw(claim, bench.now_s)
    for _, lane in bench.board:
        assert lane.in_flight == 0
        for bucket in lane.paced:
            assert bucket.level <= bucket.depth + 1e-6
            assert math.isfinite(bucket.level)
    for _, state in bench.board.key_states():
        assert state.in_flight == 0
    for group in bench.dispatcher.groups.values():
        assert group.queue.size == 0
        assert group.queue.in_flight == {}


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(1.0, 900.0)), min_size=1, max_size=80),
    rate=st.floats(1.0, 2000.0),
)
def test_a_learned_rate_is_never_exceeded_by_more_than_its_burst(steps, rate):
    lane = Lane("lane", [KeyState(None)], Window(8, 512), Random(1), lambda change: None)
    bucket = lane.buckets[LimitKind.TOKENS]
    bucket.largest = 900.0
    bucket.learn(0.0, rate)
    now_s, sent = 0.0, 0.0
    for step_s, cost in steps:
        now_s += step_s
        if bucket.wait_s(now_s, cost, 0.0) == 0.0:
            bucket.take(now_s, cost)
            sent += cost

    ceiling = rate * (1 + 0.1 * max(0.0, now_s / 60 - 1) ** 3) * 1.3
    assert sent <= ceiling * now_s + max(bucket.depth, 900.0) + 900.0


@pytest.mark.parametrize("rate", [1 / 60, 0.5, 20.0])
def test_a_rate_grows_as_soon_as_it_is_used_however_slow_it_is(rate):
    """Who waits for half a minute is held back all that time, though he is asked only at its end."""
    lane = Lane("lane", [KeyState(None)], Window(8, 512), Random(1), lambda change: None)
    bucket = lane.buckets[LimitKind.REQUESTS]
    bucket.learn(0.0, rate)
    now_s, began = 0.0, bucket.rate
    while now_s < 300.0:
        wait_s = bucket.wait_s(now_s, 1.0, 0.0)
        now_s += wait_s
        lane.log.add(now_s, 1.0, 0.0, 0.0)
        bucket.take(now_s, 1.0)

    assert bucket.rate > 1.2 * began
