"""Why it is slow: for every cause one sentence with the figures that prove it, and nothing said without proof."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monitor_world import NOW, circuit, dimension, lane, lane_traffic, queue, times, world

from workbench.core.clock import NS_PER_S
from workbench.core.errors import LimitKind
from workbench.core.events import WaitReason
from workbench.core.stats import NOTHING, Percentiles
from workbench.engine.lane_values import OVERLOADED, SPACED_OUT, TOO_MANY_CALLS
from workbench.engine.limiter_stats import LaneState, LaneStats
from workbench.engine.records import Underway
from workbench.session.diagnosis import Cause, Diagnosis, LaneView, diagnosis, lane_diagnosis
from workbench.session.monitor import overview
from workbench.tui.glyphs import Glyphs
from workbench.tui.monitor_words import reason


def view(of: LaneStats | None = None, **parts: Any) -> LaneView:
    return LaneView(of or lane(), NOW, **parts)


def hanging(**parts: Any) -> Underway:
    """Nothing has come back of what is on its way out."""
    count = sum(value for value in parts.values() if isinstance(value, int))
    return Underway(unanswered=count, **({"unheard": count} | parts))


FULL = lane(state=LaneState.FULL, in_flight=8)
SPENT = dimension(used=100.0)
COOLING = lane(paused_until_ns=NOW + 20 * NS_PER_S, why="requests per minute", state=LaneState.COOLING)

CASES = {
    "requests per minute": (
        view(lane(dimensions=(SPENT,)), queue=queue(WaitReason.REQUESTS, until_s=6)),
        Cause.RATE_LIMIT,
        "14 requests wait, the next goes in 6 s: 100 of 100 requests per minute used",
    ),
    "more than a minute's worth, which had been saved up": (
        view(lane(dimensions=(dimension(used=5.0, pace=4.0),)), queue=queue(WaitReason.REQUESTS, 1, until_s=9)),
        Cause.RATE_LIMIT,
        "1 request waits, the next goes in 9 s: 5 requests went in the last minute, which allows 4",
    ),
    "tokens per minute": (
        view(lane(dimensions=(SPENT, dimension(LimitKind.TOKENS, used=11_900, pace=12_000)))
             , queue=queue(WaitReason.TOKENS, 1)),
        Cause.RATE_LIMIT,
        "1 request waits: 11.9k of 12.0k tokens per minute used",
    ),
    "refused": (
        view(COOLING, queue=queue(WaitReason.COOLING, 2)),
        Cause.RATE_LIMIT,
        "refused (requests per minute): nothing is sent for 20 s, 2 requests wait",
    ),
    "refused for too many calls": (
        view(replace(COOLING, why=TOO_MANY_CALLS), queue=queue(WaitReason.COOLING, 2)),
        Cause.IN_FLIGHT_CAP,
        "refused (too many calls at once): nothing is sent for 20 s, 2 requests wait",
    ),
    "refused by a provider without room": (
        view(replace(COOLING, why=OVERLOADED), queue=queue(WaitReason.COOLING, 2)),
        Cause.BREAKER,
        "refused (the provider is overloaded): nothing is sent for 20 s, 2 requests wait",
    ),
    "more than the provider has let in so far": (
        view(replace(COOLING, why=SPACED_OUT, in_flight=17), queue=queue(WaitReason.COOLING, 2)),
        Cause.IN_FLIGHT_CAP,
        "2 requests wait: 17 in flight, and whether the provider takes more is tried one call at a time",
    ),
    "more than it has let in, and nothing waits": (
        view(replace(COOLING, why=SPACED_OUT, in_flight=17)),
        Cause.NOTHING,
        "nothing holds it up",
    ),
    "refused, and nothing waits": (
        view(replace(COOLING, in_flight=0)),
        Cause.NOTHING,
        "refused (requests per minute): nothing is sent for 20 s, and nothing waits for it",
    ),
    "refused, with a slow answer still under way": (
        view(COOLING, traffic=lane_traffic(answered=40, ttft_s=times(6.1))),
        Cause.SLOW_MODEL,
        "its first token takes 6.10s (p50 of 40), though nothing holds it back here",
    ),
    "provider's cap": (
        view(replace(FULL, ceiling=8), queue=queue(WaitReason.WINDOW)),
        Cause.IN_FLIGHT_CAP,
        "14 requests wait: 8 of 8 in flight, and the provider refuses more",
    ),
    "a cap by hand": (
        view(replace(FULL, window_pinned=True), queue=queue(WaitReason.WINDOW)),
        Cause.IN_FLIGHT_CAP,
        "14 requests wait: 8 of 8 in flight, a limit set by hand",
    ),
    "a young window": (
        view(FULL, queue=queue(WaitReason.WINDOW)),
        Cause.IN_FLIGHT_CAP,
        "14 requests wait: 8 of 8 in flight, and the window still has to grow",
    ),
    "a stalled stream": (
        view(traffic=lane_traffic(underway=Underway(1, 5, 2, 1.0, 7.2)), queue=queue(WaitReason.WINDOW)),
        Cause.STALL,
        "2 of 5 answers have been silent in mid-sentence for 8 s",
    ),
    "retries": (
        view(
            lane(error_title="server error, 503"),
            traffic=lane_traffic(retries_window=9, ttft_s=times(0.4, 3)),
        ),
        Cause.RETRIES,
        "9 of 12 attempts in the last minute failed and were repeated (server error, 503)",
    ),
    "an SDK that was imported": (
        view(traffic=lane_traffic(), setup_s=Percentiles(1, 2.4, max=2.4)),
        Cause.COLD_START,
        "the first request waited 2.40s for its SDK to be imported",
    ),
    "a model that is being loaded": (
        view(traffic=lane_traffic(underway=hanging(unheard=1, longest_wait_s=4.2))),
        Cause.COLD_START,
        "the first request has waited 5 s: a model that must be loaded takes so long, or the server does not answer",
    ),
    "a model that is being loaded behind a server that has answered": (
        view(traffic=lane_traffic(underway=Underway(1, longest_wait_s=4.2))),
        Cause.COLD_START,
        "the first request has waited 5 s: a model that must be loaded takes so long",
    ),
    "a model that is being loaded after its SDK was imported": (
        view(setup_s=Percentiles(1, 2.4, max=2.4)
             , traffic=lane_traffic(underway=hanging(unheard=1, longest_wait_s=4.2))),
        Cause.COLD_START,
        "the first request has waited 5 s: a model that must be loaded takes so long, or the server does not answer",
    ),
    "no connection yet": (
        view(traffic=lane_traffic(in_flight=1, underway=hanging(connecting=1, longest_connect_s=3.2))),
        Cause.SLOW_CONNECTION,
        "connecting to openai.invalid for 4 s: there is no connection yet",
    ),
    "no connection yet, after others had failed": (
        view(traffic=lane_traffic(
            in_flight=3, retries_window=6, underway=hanging(connecting=3, longest_connect_s=1.2))),
        Cause.SLOW_CONNECTION,
        "connecting to openai.invalid for 2 s: there is no connection yet",
    ),
    "a request that is not wholly written": (
        view(traffic=lane_traffic(in_flight=1, underway=hanging(writing=1, longest_write_s=3.2))),
        Cause.SLOW_CONNECTION,
        "sending the request to openai.invalid for 4 s: the last of it has not been taken yet",
    ),
    "several that are not": (
        view(traffic=lane_traffic(in_flight=3, underway=hanging(writing=3, longest_write_s=30.0))),
        Cause.SLOW_CONNECTION,
        "sending 3 requests to openai.invalid for 30 s: the last of it has not been taken yet",
    ),
    "one connection among many, for a moment": (
        view(traffic=lane_traffic(in_flight=9, underway=hanging(connecting=1, longest_connect_s=2.0))),
        Cause.NOTHING,
        "nothing holds it up",
    ),
    "one connection among many, for long": (
        view(traffic=lane_traffic(in_flight=9, underway=hanging(connecting=1, longest_connect_s=5.0))),
        Cause.SLOW_CONNECTION,
        "connecting to openai.invalid for 5 s: there is no connection yet",
    ),
    "connections that take no longer than usual": (
        view(traffic=lane_traffic(
            in_flight=2, connect_s=times(1.5, 4), underway=hanging(connecting=2, longest_connect_s=1.4))),
        Cause.SLOW_CONNECTION,
        "opening a connection takes 1.50s (p50 of 4); it is not the model",
    ),
    "the only answer so far": (
        view(traffic=lane_traffic(answered=1, ttft_s=times(6.3, 1))),
        Cause.COLD_START,
        "the only first token so far took 6.30s: a model that must be loaded takes so long",
    ),
    "a model that was loaded": (
        view(traffic=lane_traffic(answered=3, ttft_s=Percentiles(4, 0.4, max=6.3))),
        Cause.COLD_START,
        "the first token took 6.30s once; later requests find the model loaded",
    ),
    "a slow connection": (
        view(traffic=lane_traffic(answered=3, ttft_s=times(0.6, 5), connect_s=times(0.9, 4))),
        Cause.SLOW_CONNECTION,
        "opening a connection takes 0.90s (p50 of 4); it is not the model",
    ),
    "a slow first token": (
        view(traffic=lane_traffic(answered=40, ttft_s=times(6.1))),
        Cause.SLOW_MODEL,
        "its first token takes 6.10s (p50 of 40), though nothing holds it back here",
    ),
    "slow tokens": (
        view(traffic=lane_traffic(answered=40, ttft_s=times(0.4), tpot_s=times(0.25))),
        Cause.SLOW_MODEL,
        "it writes 4.0 tokens a second (p50 of 40 answers)",
    ),
    "a provider that fails": (
        view(circuit=circuit()),
        Cause.BREAKER,
        "5 failures in a row (server error): one request tries again in 20 s",
    ),
    "stopped by hand": (
        view(lane(state=LaneState.HELD), queue=queue(WaitReason.PAUSED)),
        Cause.HELD,
        "stopped by hand, 14 requests wait; p lets it go on",
    ),
    "no key": (view(lane(state=LaneState.DEAD)), Cause.NO_KEY, "no usable key is left: paste another one"),
    "the first connection, opened beside an import": (
        view(traffic=lane_traffic(answered=1, ttft_s=times(0.4, 1), connect_s=times(0.4, 1))),
        Cause.NOTHING,
        "nothing holds it up",
    ),
    "the first connection, and it is far away": (
        view(traffic=lane_traffic(answered=1, ttft_s=times(0.4, 1), connect_s=times(1.4, 1))),
        Cause.SLOW_CONNECTION,
        "opening a connection takes 1.40s (p50 of 1); it is not the model",
    ),
    "a connection that was slow to open once": (
        view(traffic=lane_traffic(answered=5, ttft_s=times(0.4, 5), connect_s=times(0.9, 1))),
        Cause.NOTHING,
        "nothing holds it up",
    ),
    "nothing": (view(traffic=lane_traffic(ttft_s=times(0.4))), Cause.NOTHING, "nothing holds it up"),
    "nothing asked": (view(lane(in_flight=0)), Cause.IDLE, "nothing is being asked"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_cause_has_a_sentence_with_its_figures(name: str) -> None:
    seen, cause, sentence = CASES[name]

    found = lane_diagnosis(seen)

    assert (found.cause, found.sentence) == (cause, sentence)


def test_what_was_slow_a_minute_ago_is_no_answer_to_why_it_is_slow_now() -> None:
    slow = lane_traffic(answered=40, ttft_s=times(6.1), retries_window=30, connect_s=times(2.0))

    assert lane_diagnosis(view(lane(in_flight=0), traffic=slow)).cause is Cause.IDLE


def said(*found: Diagnosis, late: Percentiles = NOTHING, busy: bool = True) -> Diagnosis:
    lanes = [(lane(f"openai#{number} · gpt"), one) for number, one in enumerate(found, 1)]
    return diagnosis(lanes, late_s=late, busy=busy)


def test_the_lane_that_holds_up_most_requests_speaks_for_all() -> None:
    few = Diagnosis(Cause.STALL, "one", 2)
    many = Diagnosis(Cause.RATE_LIMIT, "14 wait", 14)

    assert said(few, many, replace(many, affected=3)).sentence == "openai#2 · gpt: 14 wait (and 1 more like it)"


@pytest.mark.parametrize("still", [Diagnosis(Cause.HELD, "stopped by hand"), Diagnosis(Cause.NO_KEY, "no key is left")])
def test_a_lane_for_which_nothing_waits_holds_nothing_up_while_work_flows_on_another(still: Diagnosis) -> None:
    flows = Diagnosis(Cause.NOTHING, "nothing holds it up", 4)

    assert said(still, flows).cause is Cause.NOTHING
    assert said(still, replace(flows, cause=Cause.IDLE), busy=False).cause is still.cause


def test_a_provider_that_fails_is_named_though_who_waits_for_it_is_in_no_lane() -> None:
    failing = Diagnosis(Cause.BREAKER, "5 failures in a row")

    assert said(failing, Diagnosis(Cause.NOTHING, "fine", 4)).cause is Cause.BREAKER


def test_our_own_lateness_is_named_when_nothing_else_is_wrong() -> None:
    fine = Diagnosis(Cause.NOTHING, "fine", 4)

    found = said(fine, late=times(0.01, p95=0.061))

    assert found.cause is Cause.OWN_SCREEN
    assert found.sentence.startswith("this program was busy for 61 ms at a time (p95)")


def test_a_lane_in_trouble_matters_more_than_a_late_frame_but_not_more_than_a_program_that_hangs() -> None:
    waiting = Diagnosis(Cause.RATE_LIMIT, "14 wait", 14)

    assert said(waiting, late=times(0.01, p95=0.08)).cause is Cause.RATE_LIMIT
    assert said(waiting, late=times(0.01, p95=0.9)).cause is Cause.OWN_SCREEN


def test_a_program_that_was_late_once_is_not_what_holds_everything_up() -> None:
    once = Percentiles(9, 0.004, max=0.7)
    waiting = Diagnosis(Cause.IN_FLIGHT_CAP, "5 wait", 5)

    assert said(waiting, late=once).cause is Cause.IN_FLIGHT_CAP
    assert said(Diagnosis(Cause.NOTHING, "fine", 4), late=once).cause is Cause.NOTHING


def test_a_program_that_is_late_from_its_first_second_on_says_so() -> None:
    found = said(Diagnosis(Cause.NOTHING, "fine", 4), late=Percentiles(6, 0.12, max=0.7))

    assert found.cause is Cause.OWN_SCREEN
    assert "busy for 120 ms at a time (p50 of 6)" in found.sentence


def test_a_late_loop_is_nobodys_trouble_while_nothing_is_asked() -> None:
    assert said(late=times(0.01, p95=0.9), busy=False).cause is Cause.IDLE


def test_who_waits_for_money_is_told_so() -> None:
    found = diagnosis((), late_s=NOTHING, capped=3, busy=False)

    assert (found.cause, found.affected) == (Cause.SPEND_CAP, 3)


spreads = st.builds(
    Percentiles,
    n=st.integers(0, 500),
    p50=st.none() | st.floats(0, 100),
    p95=st.none() | st.floats(0, 100),
    p99=st.none() | st.floats(0, 100),
    max=st.none() | st.floats(0, 100),
)


@settings(max_examples=150, deadline=None)
@given(
    state=st.sampled_from(LaneState),
    in_flight=st.integers(0, 600),
    waits=st.sampled_from([*WaitReason, None]),
    count=st.integers(0, 5000),
    spread=st.lists(spreads, min_size=4, max_size=4),
    retries=st.integers(0, 50),
    answered=st.integers(0, 50),
)
def test_whatever_the_figures_are_there_is_one_cause_and_a_sentence(
    state: LaneState,
    in_flight: int,
    waits: WaitReason | None,
    count: int,
    spread: list[Percentiles],
    retries: int,
    answered: int,
) -> None:
    ttft, tpot, connect, setup = spread
    traffic = lane_traffic(ttft_s=ttft, tpot_s=tpot, connect_s=connect, retries_window=retries, answered=answered)

    found = lane_diagnosis(
        view(lane(state=state, in_flight=in_flight), traffic=traffic, queue=queue(waits, count), setup_s=setup)
    )

    assert found.sentence
    assert "None" not in found.sentence
    assert (found.cause is Cause.IDLE) <= (in_flight == 0)


# When it is over

QUIET = lane(in_flight=0)


@pytest.mark.parametrize(
    ("carried", "cause", "sentence"),
    [
        (
            lane_traffic(connect_s=times(1.56, 3), ttft_s=times(0.26, 4)),
            Cause.SLOW_CONNECTION,
            "takes 1.56s (p50 of 3)",
        ),
        (lane_traffic(ttft_s=times(5.0)), Cause.SLOW_MODEL, "its first token takes 5.00s"),
        (lane_traffic(retries_window=2, ttft_s=times(0.5, 1)), Cause.RETRIES, "2 of 3 attempts in the last minute"),
        (lane_traffic(gap_s=times(7.0, 1), ttft_s=times(0.5)), Cause.STALL, "was silent in mid-sentence for 7.00s"),
    ],
    ids=["slow connection", "slow model", "retries", "stall"],
)
def test_what_was_slow_is_still_told_when_nothing_is_asked(carried: Any, cause: Cause, sentence: str) -> None:
    seen = overview(world(QUIET, carried={QUIET.name: carried}))

    assert seen.diagnosis.cause is Cause.IDLE
    assert seen.lately is not None
    assert seen.lately.cause is cause
    assert sentence in seen.lately.sentence
    assert seen.lately.sentence.startswith(f"{QUIET.name}: ")


def test_a_wait_that_is_over_is_told_by_what_was_waited_for() -> None:
    waited = ((WaitReason.REQUESTS, 42.0), (WaitReason.WINDOW, 5.0), (WaitReason.SINGLE_FLIGHT, 90.0))
    seen = overview(world(QUIET, waited_s=waited))

    assert seen.lately == Diagnosis(Cause.RATE_LIMIT, "requests waited 42.0s in all (requests per minute)")


def test_a_program_that_was_busy_itself_says_so_afterwards() -> None:
    seen = overview(world(QUIET, stamp_error_s=times(0.05, p95=0.3)))

    assert seen.lately is not None
    assert seen.lately.cause is Cause.OWN_SCREEN


def test_a_minute_in_which_all_went_well_has_nothing_to_tell() -> None:
    carried = lane_traffic(ttft_s=times(0.4), connect_s=times(0.05))

    assert overview(world(QUIET, carried={QUIET.name: carried}, waited_s=((WaitReason.WINDOW, 0.2),))).lately is None


def test_what_was_is_not_told_while_something_is() -> None:
    busy = lane(in_flight=1)

    assert overview(world(busy, carried={busy.name: lane_traffic(ttft_s=times(5.0))})).lately is None


def test_the_second_line_says_that_nothing_is_asked_and_what_was_slow_lately() -> None:
    seen = overview(world(QUIET, carried={QUIET.name: lane_traffic(ttft_s=times(5.0))}))

    said = reason(seen, Glyphs()).plain

    assert said.startswith("Why slow? nothing is asked; lately: slow model · ")


def test_what_is_being_got_ready_is_not_called_idle() -> None:
    seen = overview(world(lane(in_flight=0), unfinished=2))

    assert seen.diagnosis.cause is Cause.NOTHING
    assert "got ready" in seen.diagnosis.sentence
    assert seen.lately is None
