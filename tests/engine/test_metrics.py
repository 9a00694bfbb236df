"""Counters, live distributions and records: what counts where, and what is kept apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.clock import NS_PER_S
from workbench.core.errors import RateLimited, ServerError, WorkbenchError
from workbench.core.events import Delta, Queued, WaitReason
from workbench.core.stats import SETTLED
from workbench.core.types import Channel, FinishReason, KeyAlias, Message, Request, Result, Route, Usage
from workbench.engine.admission import Outcome
from workbench.engine.metrics import MetricsHub
from workbench.engine.observation import Observation
from workbench.engine.records import MANY_LANES, Population, RequestRecord, Underway
from workbench.engine.timeline import Span
from workbench.providers.base import WireOpened

ROUTE = Route("gpt-5.4", "openai", "gpt-5.4", "http://x")
REQUEST = Request("gpt-5.4", (Message.user("?"),))


def at(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def answered(
    hub: MetricsHub,
    *,
    start_s: float = 0.0,
    ttft_s: float = 0.5,
    usage: Usage | None = None,
    cost_usd: float | None = 0.01,
    population: Population = Population.ANSWERED,
    pieces: int = 3,
    error: WorkbenchError | None = None,
    **changes: object,
) -> RequestRecord:
    """One request: admitted at once, `pieces` pieces of four characters, a tenth of a second apart."""
    observation = Observation(hub, REQUEST, at(start_s))
    observation.aim(ROUTE)
    observation.enqueue(at(start_s))
    observation.admit(None, at(start_s))
    observation.open(WireOpened(at(start_s + 0.1), at(start_s), (), None, ""))
    for n in range(pieces):
        observation.output(Delta(at(start_s + ttft_s + n / 10), Channel.TEXT, "four"))
    done_ns = at(start_s + ttft_s + pieces / 10)
    observation.end_attempt(Outcome.SUCCESS, done_ns)
    result = Result(
        text="four" * pieces,
        reasoning="",
        finish_reason=FinishReason.STOP,
        usage=usage,
        cost_usd=cost_usd,
        timing=observation.timing(done_ns),
        route=ROUTE,
    )
    return observation.finish(population, replace(result, **changes), error)  # type: ignore[arg-type]  # test shorthand


def test_a_fresh_hub_says_nothing() -> None:
    traffic = MetricsHub().statistics(0)

    assert (traffic.requests, traffic.in_flight, traffic.ttft_s.n, traffic.tokens_per_s) == (0, 0, 0, 0.0)
    assert traffic.ttft_s.p50 is None


def test_populations_are_counted_apart_and_only_answers_have_a_latency() -> None:
    hub = MetricsHub()
    for population in Population:
        answered(hub, population=population, saved_usd=0.25)

    traffic = hub.statistics(at(2))

    counted = (traffic.answered, traffic.cached, traffic.shared, traffic.incomplete, traffic.failed, traffic.cancelled)
    assert counted == (1, 1, 1, 1, 1, 1)
    assert traffic.e2e_s.n == 1


def test_cached_and_shared_answers_cost_nothing_and_add_to_what_was_saved() -> None:
    hub = MetricsHub()
    spent = Usage(input=10, output=5)
    answered(hub, usage=spent, cost_usd=0.02)
    answered(hub, population=Population.CACHED, usage=spent, cost_usd=0.0, saved_usd=0.02)
    answered(hub, population=Population.SHARED, usage=spent, cost_usd=0.0, saved_usd=0.02)

    traffic = hub.statistics(at(2))

    assert (traffic.cost_usd, traffic.saved_usd) == (0.02, 0.04)
    assert (traffic.input_tokens, traffic.output_tokens) == (10, 5)


def test_tokens_of_broken_answers_still_count_for_the_bill() -> None:
    hub = MetricsHub()

    answered(hub, population=Population.CANCELLED, usage=Usage(input=100, output=7), cost_usd=0.003)

    traffic = hub.statistics(at(2))
    assert (traffic.output_tokens, traffic.cost_usd, traffic.e2e_s.n) == (7, 0.003, 0)


def test_an_unknown_price_is_counted_and_never_zero_dollars() -> None:
    hub = MetricsHub()

    answered(hub, usage=Usage(output=1), cost_usd=None)
    answered(hub, usage=Usage(output=1), cost_usd=0.5)

    traffic = hub.statistics(at(2))
    assert (traffic.cost_usd, traffic.unpriced) == (0.5, 1)


def test_latencies_are_of_the_last_minute_and_totals_of_the_whole_run() -> None:
    hub = MetricsHub()
    for n in range(30):
        answered(hub, start_s=n, ttft_s=0.4)

    soon, late = hub.statistics(at(31)), hub.statistics(at(300))

    assert soon.ttft_s.n == 30
    assert soon.ttft_s.p95 == pytest.approx(0.4, rel=0.01)
    assert (late.ttft_s.n, late.ttft_s.p50, late.answered) == (0, None, 30)


def test_tpot_and_the_longest_gap_are_per_answer() -> None:
    hub = MetricsHub()

    record = answered(hub, pieces=5, usage=Usage(output=21))

    lane = hub.statistics(at(2)).models[0]
    assert lane.tpot_s.p50 == pytest.approx(0.4 / 20, rel=0.01)
    assert lane.gap_s.p50 == pytest.approx(0.1, rel=0.01)
    assert record.longest_gap_ns == at(0.1)
    assert record.tokens_per_chunk == 21 / 5


def test_waits_add_up_by_cause() -> None:
    hub = MetricsHub()
    observation = Observation(hub, REQUEST, 0)
    observation.aim(ROUTE)
    observation.enqueue(0)
    observation.wait(Queued(at(1), WaitReason.WINDOW))
    observation.wait(Queued(at(3), WaitReason.TOKENS))
    observation.wait(Queued(at(4), WaitReason.WINDOW))
    observation.admit(None, at(9))
    observation.end_attempt(Outcome.SUCCESS, at(10))

    timing = observation.timing(at(10))
    result = Result("", "", FinishReason.STOP, None, None, timing, ROUTE)
    record = observation.finish(Population.ANSWERED, result)

    assert dict(record.waits) == {WaitReason.WINDOW: at(7), WaitReason.TOKENS: at(1)}


def test_refusals_and_retries_are_different_things() -> None:
    hub = MetricsHub()
    observation = Observation(hub, REQUEST, 0)
    observation.aim(ROUTE)
    for outcome, error in (
        (Outcome.REFUSED, RateLimited("slow", status=429)),
        (Outcome.NEUTRAL, ServerError("boom", status=500)),
    ):
        observation.enqueue(0)
        observation.admit(None, 0)
        observation.end_attempt(outcome, at(1), error, failed=True)
    observation.back_off(at(1))

    traffic = hub.statistics(at(2))

    assert (traffic.refusals, traffic.refusals_window) == (1, 1)
    assert (traffic.retries, traffic.retries_window, traffic.backing_off) == (1, 1, 1)
    assert hub.statistics(at(120)).refusals_window == 0


def test_the_rate_is_estimated_by_what_a_model_s_tokens_have_turned_out_to_be() -> None:
    hub = MetricsHub()
    for n in range(20):
        answered(hub, start_s=n, pieces=40, usage=Usage(output=80))

    before = hub.statistics(at(100)).tokens_per_s
    observation = Observation(hub, REQUEST, at(100))
    observation.aim(ROUTE)
    observation.output(Delta(at(100), Channel.TEXT, "x" * 200))

    # Two characters a token here, not four; the window is ten seconds long.
    assert (before, hub.statistics(at(100)).tokens_per_s) == (0.0, pytest.approx(10.0, rel=0.01))


def test_reasoning_that_is_not_shown_does_not_distort_the_estimate() -> None:
    hub = MetricsHub()
    for n in range(20):
        answered(hub, start_s=n, pieces=40, usage=Usage(output=4_000, reasoning=3_960))

    assert hub.model(ROUTE).characters_per_token == 4.0


def test_usual_answers_are_what_is_reserved_for_the_next_one() -> None:
    hub = MetricsHub()
    assert hub.typical_output(ROUTE) is None

    answered(hub, usage=Usage(output=100))
    answered(hub, usage=Usage(output=200))

    assert hub.typical_output(ROUTE) == 120.0


def test_every_ending_is_told_at_once_and_the_last_ones_are_kept() -> None:
    told: list[RequestRecord] = []
    hub = MetricsHub(told.append)

    records = [answered(hub, start_s=n) for n in range(3)]

    assert told == records
    assert hub.records == tuple(records)
    assert [record.number for record in records] == [1, 2, 3]


LANE = "openai#1 · gpt-5.4"


def admitted(hub: MetricsHub, start_s: float, *, lane: str = LANE, limit: int | None = 8) -> Observation:
    observation = Observation(hub, REQUEST, at(start_s))
    observation.aim(ROUTE)
    observation.enqueue(at(start_s))
    observation.admit(KeyAlias("openai#1"), at(start_s), lane, limit)
    return observation


def finished(observation: Observation, done_s: float, population: Population = Population.ANSWERED) -> RequestRecord:
    observation.end_attempt(Outcome.SUCCESS, at(done_s))
    timing = observation.timing(at(done_s))
    return observation.finish(population, Result("", "", FinishReason.STOP, None, None, timing, ROUTE))


def test_a_lane_of_the_limiter_is_counted_by_its_own_name() -> None:
    hub = MetricsHub()
    first = admitted(hub, 0)
    admitted(hub, 0, lane="openai#2 · gpt-5.4")
    first.open(WireOpened(at(0.1), at(0.05), (), None, ""))
    first.output(Delta(at(0.4), Channel.TEXT, "four"))
    finished(first, 1)

    traffic = hub.statistics(at(2))

    assert {name: lane.in_flight for name, lane in traffic.by_lane.items()} == {LANE: 0, "openai#2 · gpt-5.4": 1}
    assert (traffic.by_lane[LANE].answered, traffic.by_lane[LANE].ttft_s.n) == (1, 1)
    assert (traffic.models[0].in_flight, traffic.in_flight) == (1, 1)


def test_the_limit_of_everything_is_the_sum_of_what_its_lanes_may() -> None:
    hub = MetricsHub()
    first = admitted(hub, 0, limit=8)
    admitted(hub, 0, lane="openai#2 · gpt-5.4", limit=5)
    first.end_attempt(Outcome.REFUSED, at(1), limit=4)

    series = hub.series(Span.MINUTE, at(3))

    assert series.limit == (13, 9, 9)
    assert hub.series(Span.MINUTE, at(3), LANE).limit == (8, 4, 4)
    assert len(hub.series(Span.MINUTE, at(3), "nobody's")) == 0


def test_a_limit_set_by_hand_shows_though_nothing_is_sent() -> None:
    hub = MetricsHub()
    admitted(hub, 0, limit=8).end_attempt(Outcome.SUCCESS, at(1), limit=8)

    hub.note_window(LANE, 3, at(2))
    hub.note_window("a lane that has carried nothing", 5, at(2))

    assert hub.series(Span.MINUTE, at(4), LANE).limit == (8, 8, 3, 3)
    assert hub.series(Span.MINUTE, at(4)).limit == (8, 8, 3, 3)


def test_what_is_on_the_wire_now_tells_the_slow_from_the_stalled() -> None:
    hub = MetricsHub()
    admitted(hub, 1)
    brisk, stuck = admitted(hub, 0), admitted(hub, 0)
    stuck.output(Delta(at(2), Channel.TEXT, "word"))
    brisk.output(Delta(at(8.5), Channel.TEXT, "word"))

    underway = hub.statistics(at(9)).models[0].underway

    assert underway == Underway(
        unanswered=1, streaming=2, stalled=1, longest_wait_s=8.0, longest_silence_s=7.0, newest_s=8.0, unheard=1
    )


def test_what_is_on_its_way_out_is_told_from_what_waits_for_a_first_token() -> None:
    hub = MetricsHub()
    untold, dialling, writing, written = (admitted(hub, 0) for _ in range(4))
    for request, second in ((dialling, 1), (writing, 2), (written, 3)):
        assert request.sending is not None
        request.sending.dial(at(second))
    assert writing.sending is not None
    writing.sending.connected_ns = at(5)
    assert written.sending is not None
    written.sending.connected_ns, written.sending.sent_ns = at(5), at(6)

    underway = hub.statistics(at(9)).models[0].underway

    assert untold.sending is not None
    assert underway == Underway(
        unanswered=4,
        longest_wait_s=9.0,
        newest_s=9.0,
        unheard=4,
        connecting=1,
        longest_connect_s=8.0,
        writing=1,
        longest_write_s=4.0,
    )


def test_a_server_that_has_begun_to_answer_is_heard_of() -> None:
    hub = MetricsHub()
    heard, _ = admitted(hub, 0), admitted(hub, 0)
    heard.open(WireOpened(at(2), at(1), (), None, "HTTP/2"))

    underway = hub.statistics(at(9)).models[0].underway

    assert (underway.unanswered, underway.unheard) == (2, 1)


def test_a_request_that_failed_before_an_answer_keeps_how_far_it_had_come() -> None:
    hub = MetricsHub()
    request = admitted(hub, 0)
    assert request.sending is not None
    request.sending.dial(at(1))
    request.sending.connected_ns, request.sending.sent_ns = at(2), at(3)

    request.end_attempt(Outcome.NEUTRAL, at(9), failed=True)
    timing = request.timing(at(9))

    assert (timing.dialled_ns, timing.connected_ns, timing.sent_ns) == (at(1), at(2), at(3))


def test_waits_of_this_moment_and_of_the_last_minute_have_their_causes() -> None:
    hub = MetricsHub()
    observation = Observation(hub, REQUEST, 0)
    observation.aim(ROUTE)
    observation.enqueue(0)
    observation.wait(Queued(0, WaitReason.TOKENS))
    waiting = hub.statistics(at(1)).waiting
    observation.wait(Queued(at(3), WaitReason.WINDOW))
    observation.admit(None, at(4))

    after = hub.statistics(at(5))

    assert waiting == ((WaitReason.TOKENS, 1),)
    assert after.waiting == ()
    assert dict(after.waited_s) == {WaitReason.TOKENS: 3.0, WaitReason.WINDOW: 1.0}


def test_a_circuit_that_let_it_through_is_not_blamed_for_the_queue_behind_it() -> None:
    hub = MetricsHub()
    observation = Observation(hub, REQUEST, 0)
    observation.aim(ROUTE)
    observation.wait(Queued(0, WaitReason.BREAKER))
    observation.enqueue(at(2))
    observation.wait(Queued(at(5), WaitReason.WINDOW))
    observation.admit(None, at(6))

    assert dict(finished(observation, 7).waits) == {WaitReason.BREAKER: at(2), WaitReason.WINDOW: at(1)}


def test_each_attempt_keeps_its_own_stamps_and_connection() -> None:
    hub = MetricsHub()
    observation = admitted(hub, 0)
    observation.open(WireOpened(at(0.4), at(0.3), (), None, "", fresh=True))
    observation.end_attempt(Outcome.NEUTRAL, at(1), failed=True)
    observation.back_off(at(1))
    observation.enqueue(at(3))
    observation.admit(None, at(4), LANE)
    observation.open(WireOpened(at(4.3), at(4.1), (), None, ""))
    observation.output(Delta(at(5), Channel.REASONING, "hm"))
    observation.output(Delta(at(6), Channel.TEXT, "yes"))

    record = finished(observation, 7)

    first, second = record.attempts
    assert (first.connect_ns, first.first_token_ns, first.last_token_ns) == (at(0.3), None, None)
    assert (second.connect_ns, second.first_token_ns, second.first_answer_ns) == (None, at(5), at(6))
    # Queue 1 s (3 to 4), retries 3 s (0 to 3): together all that passed before the second admission.
    assert (record.timing.queue_s, record.timing.retry_wait_ns, record.timing.ttft_s) == (1.0, at(3), 0.9)
    traffic = hub.statistics(at(8))
    assert (traffic.connect_s.n, traffic.perceived_s.p50) == (1, pytest.approx(5, rel=0.01))
    assert traffic.ttfa_s.p50 == pytest.approx(1.9, rel=0.01)


@pytest.mark.parametrize("usage", [None, Usage(output=0), Usage(output=-5), Usage(input=-1, output=0)])
def test_usage_that_is_missing_or_nonsense_makes_no_rate(usage: Usage | None) -> None:
    hub = MetricsHub()
    answered(hub, usage=usage)

    lane = hub.statistics(at(2)).models[0]

    assert (lane.tpot_s.n, lane.tpot_s.p50, lane.answered) == (0, None, 1)
    assert lane.unreported == (usage is None)


def test_a_lane_at_rest_is_not_looked_at_again_until_something_happens() -> None:
    hub = MetricsHub()
    answered(hub, ttft_s=0.5, usage=Usage(output=20))
    busy = hub.statistics(at(2)).models[0]

    rest, later = (hub.statistics(at(seconds)).models[0] for seconds in (200, 300))
    answered(hub, start_s=400)

    assert (busy.ttft_s.n, rest.ttft_s.n, rest.answered) == (1, 0, 1)
    assert later is rest
    assert hub.statistics(at(402)).models[0].answered == 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["aim", "enqueue", "wait", "admit", "end", "back", "finish"]))
    )
)
def test_gauges_come_back_to_zero_whatever_the_order(steps: list[tuple[int, str]]) -> None:
    hub = MetricsHub()
    observations = [Observation(hub, REQUEST, 0) for _ in range(5)]
    done: set[int] = set()
    for now, (which, step) in enumerate(steps):
        if which in done:
            continue
        observation, now_ns = observations[which], at(now)
        match step:
            case "aim":
                observation.aim(ROUTE, now_ns)
            case "enqueue":
                observation.enqueue(now_ns)
            case "wait":
                observation.wait(Queued(now_ns, WaitReason.WINDOW))
            case "admit":
                observation.admit(None, now_ns, f"lane {which % 2}", now % 5)
            case "end":
                observation.end_attempt(Outcome.NEUTRAL, now_ns, failed=True)
            case "back":
                observation.back_off(now_ns)
            case _:
                finished(observation, now)
                done.add(which)
    for which in {0, 1, 2, 3, 4} - done:
        finished(observations[which], len(steps))

    traffic = hub.statistics(at(len(steps)))

    assert (traffic.in_flight, traffic.queued, traffic.backing_off, traffic.waiting) == (0, 0, 0, ())
    assert traffic.underway == Underway()
    assert all(lane.in_flight == lane.queued == 0 for lane in (*traffic.models, *traffic.by_lane.values()))


def test_a_look_without_times_brings_counters_alone_up_to_date() -> None:
    hub = MetricsHub()
    for _ in range(SETTLED):
        answered(hub, ttft_s=0.4)
    before = hub.statistics(at(2))

    answered(hub, start_s=2, ttft_s=0.8)

    glance, look = hub.statistics(at(4), times=False), hub.statistics(at(4))
    assert (glance.answered, glance.models[0].answered) == (SETTLED + 1, SETTLED + 1)
    assert (glance.ttft_s, glance.models[0].ttft_s) == (before.ttft_s, before.models[0].ttft_s)
    assert (look.ttft_s.n, look.models[0].ttft_s.n) == (SETTLED + 1, SETTLED + 1)


def test_a_look_without_times_sees_each_of_a_few_answers() -> None:
    hub = MetricsHub()
    answered(hub, ttft_s=0.4)
    hub.statistics(at(2))

    answered(hub, start_s=2, ttft_s=0.8)

    glance = hub.statistics(at(4), times=False)
    assert (glance.ttft_s.n, glance.models[0].ttft_s.max) == (2, 0.8)


def test_a_lane_at_rest_changes_only_when_something_falls_out_of_its_minute() -> None:
    hub = MetricsHub()
    answered(hub, start_s=0, ttft_s=0.4)
    answered(hub, start_s=20, ttft_s=0.4)

    rest = hub.statistics(at(40)).models[0]

    assert hub.statistics(at(59)).models[0] is rest
    assert hub.statistics(at(61)).models[0].ttft_s.n == 1
    assert hub.statistics(at(100)).models[0].ttft_s.n == 0


def test_how_long_something_has_been_under_way_and_was_the_last_time() -> None:
    hub = MetricsHub()
    assert hub.statistics(at(9)).run_s is None

    first = Observation(hub, REQUEST, at(10))
    answered(hub, start_s=11, ttft_s=0.5)
    during = hub.statistics(at(15))
    done = Result("", "", FinishReason.STOP, None, None, first.timing(at(20)), ROUTE)
    first.finish(Population.CANCELLED, done)
    after = hub.statistics(at(60))

    assert (during.unfinished, during.run_s) == (1, 5.0)
    assert (after.unfinished, after.run_s) == (0, 10.0)


def test_an_answer_out_of_the_cache_is_no_run() -> None:
    hub = MetricsHub()
    answered(hub, start_s=1, ttft_s=0.7)
    stored = Observation(hub, REQUEST, at(50))
    stored.finish(Population.CACHED, Result("", "", FinishReason.STOP, None, None, stored.timing(at(50)), ROUTE))

    assert hub.statistics(at(60)).run_s == pytest.approx(1.0)


def test_what_a_usual_answer_takes_follows_the_last_ones_and_no_failure() -> None:
    hub = MetricsHub()
    assert hub.model(ROUTE).snapshot(0).service_s is None

    for _ in range(20):
        answered(hub, ttft_s=0.7, cost_usd=0.02)
    answered(hub, ttft_s=90.0, population=Population.INCOMPLETE, cost_usd=9.0)
    (model,) = hub.statistics(at(100)).models

    assert model.service_s == pytest.approx(1.0)
    assert model.usd_per_answer == pytest.approx(0.02)


def test_the_newest_on_the_wire_and_those_backing_off_are_told() -> None:
    hub = MetricsHub()
    for start_s in (1, 4):
        observation = Observation(hub, REQUEST, at(start_s))
        observation.aim(ROUTE)
        observation.enqueue(at(start_s))
        observation.admit(None, at(start_s))
    assert hub.statistics(at(6)).underway.newest_s == 2.0

    observation.end_attempt(Outcome.REFUSED, at(7), failed=True)
    observation.back_off(at(7))
    (model,) = hub.statistics(at(8)).models

    assert (model.backing_off, model.left, model.underway.newest_s) == (1, 2, 7.0)


def crowd(count: int) -> tuple[MetricsHub, list[Observation]]:
    """A hub with so many models, each with one answer on the wire."""
    hub, underway = MetricsHub(), []
    for n in range(count):
        observation = Observation(hub, REQUEST, at(1))
        observation.aim(replace(ROUTE, wire_model=f"model-{n}"))
        observation.enqueue(at(1))
        observation.admit(None, at(1), f"lane-{n}")
        underway.append(observation)
    return hub, underway


def test_of_many_lanes_those_that_go_on_as_they_were_are_read_in_turns_and_none_is_old() -> None:
    hub, _ = crowd(MANY_LANES + 50)
    first = hub.statistics(at(10))
    again = [sum(new is old for new, old in zip(hub.statistics(at(10 + s)).models, first.models, strict=True))
             for s in (0.5, 1.25, 2.0, 2.75)]  # fmt: skip

    assert again[0] == MANY_LANES + 50
    assert again == sorted(again, reverse=True)
    assert again[-1] == 0


def test_of_many_lanes_what_has_changed_is_seen_at_once() -> None:
    hub, underway = crowd(MANY_LANES + 50)
    hub.statistics(at(10))

    underway[7].end_attempt(Outcome.REFUSED, at(10.1), failed=True)
    underway[7].back_off(at(10.1))
    found = hub.statistics(at(10.2))

    assert (found.models[7].in_flight, found.models[7].backing_off) == (0, 1)
    assert found.by_lane["lane-7"].in_flight == 0


def test_few_lanes_are_read_in_every_look() -> None:
    hub, _ = crowd(3)
    first = hub.statistics(at(10))

    assert [lane.underway.longest_wait_s for lane in first.models] == [9.0] * 3
    assert [lane.underway.longest_wait_s for lane in hub.statistics(at(10.25)).models] == [9.25] * 3


def test_a_ttft_has_the_error_of_its_own_stamp() -> None:
    late = {at(1.5): 3_000_000, at(3.7): 0}
    hub = MetricsHub(late_ns=late.__getitem__)

    first, second = answered(hub, start_s=1, ttft_s=0.5), answered(hub, start_s=3, ttft_s=0.7)

    assert (first.timing.ttft_error_ns, second.timing.ttft_error_ns) == (3_000_000, 0)
    assert hub.statistics(at(5)).ttft_error_s.max == pytest.approx(0.003)
    assert hub.statistics(at(5)).ttft_error_s.n == 2


def test_the_error_of_an_attempt_that_failed_is_not_the_next_ones() -> None:
    hub = MetricsHub(late_ns=lambda at_ns: 7_000_000)
    observation = Observation(hub, REQUEST, 0)
    observation.aim(ROUTE)
    for start_s in (0, 2):
        observation.enqueue(at(start_s))
        observation.admit(None, at(start_s))
        observation.open(WireOpened(at(start_s + 0.1), at(start_s), (), None, ""))
        if not start_s:
            observation.output(Delta(at(1), Channel.TEXT, "four"))
            observation.end_attempt(Outcome.NEUTRAL, at(1), failed=True)

    assert observation.timing(at(3)).ttft_error_ns == 0
