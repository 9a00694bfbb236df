"""A lane: states, text, conversation, and what its numbers say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.clock import NS_PER_S
from workbench.core.errors import ContentBlocked, IncompleteStream, RateLimited, TimedOut, TimeoutKind, WorkbenchError
from workbench.core.events import (
    Admitted,
    CacheHit,
    Delta,
    Failed,
    Finished,
    Opened,
    Queued,
    Retrying,
    StreamEvent,
    WaitReason,
)
from workbench.core.types import CacheMode, Channel, FinishReason, Message, Params, Result, Route, Timing, Usage
from workbench.session.lane import Lane
from workbench.session.lane_state import LaneState, state_after
from workbench.session.targets import Target

ROUTE = Route("alpha", "scripted", "alpha", "http://scripted.invalid")
OPENED = Opened(60, 50, 60)


def result(
    text: str = "",
    reasoning: str = "",
    reason: FinishReason = FinishReason.STOP,
    *,
    cached: bool = False,
    usage: Usage | None = None,
    timing: Timing | None = None,
) -> Result:
    return Result(text, reasoning, reason, usage, None, timing or Timing(0), ROUTE, cached=cached)


def answered(lane: Lane, prompt: str, text: str, system: str = "") -> None:
    turn = lane.begin(prompt, system, 0)
    for event in (Admitted(10, ROUTE, None, 1), OPENED, Delta(70, Channel.TEXT, text), Finished(80, result(text))):
        lane.apply(turn, event)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([Queued(0, WaitReason.TOKENS)], LaneState.QUEUED),
        ([Queued(0, WaitReason.TOKENS), Admitted(1, ROUTE, None, 1)], LaneState.CONNECTING),
        ([Admitted(1, ROUTE, None, 1), Retrying(2, 1, RateLimited("slow down"), None)], LaneState.QUEUED),
        ([OPENED, Delta(70, Channel.REASONING, "hm")], LaneState.THINKING),
        ([OPENED, Delta(70, Channel.REASONING, "hm"), Delta(71, Channel.TEXT, "so")], LaneState.STREAMING),
        ([OPENED, Delta(70, Channel.TEXT, "so"), Delta(71, Channel.REASONING, "hm")], LaneState.STREAMING),
        ([Finished(9, result())], LaneState.DONE),
        ([CacheHit(5, 0.0), Delta(6, Channel.TEXT, "x"), Finished(9, result("x", cached=True))], LaneState.CACHED),
        ([Finished(9, result(reason=FinishReason.LENGTH))], LaneState.TRUNCATED),
        ([Finished(9, result(reason=FinishReason.CONTENT_FILTER))], LaneState.FILTERED),
        ([Finished(9, result(reason=FinishReason.REFUSAL))], LaneState.REFUSED),
        ([Finished(9, result(reason=FinishReason.CANCELLED))], LaneState.CANCELLED),
        ([Failed(9, TimedOut("late", kind=TimeoutKind.IDLE), result())], LaneState.TIMED_OUT),
        ([Failed(9, ContentBlocked("no"), result())], LaneState.FILTERED),
        ([Failed(9, IncompleteStream("cut"), result())], LaneState.INCOMPLETE),
        ([Failed(9, RateLimited("no"), result())], LaneState.FAILED),
    ],
    ids=lambda value: value if isinstance(value, LaneState) else "",
)
def test_the_state_says_what_is_going_on(events: list[StreamEvent], state: LaneState) -> None:
    reached = LaneState.QUEUED
    for event in events:
        reached = state_after(reached, event)

    assert reached is state


@pytest.mark.parametrize("state", [state for state in LaneState if state.is_final])
def test_nothing_changes_a_final_state(state: LaneState) -> None:
    assert state_after(state, Delta(1, Channel.TEXT, "late")) is state


def test_every_state_has_a_glyph_of_its_own_in_both_sets() -> None:
    assert len({state.glyph for state in LaneState}) == len(LaneState)
    assert len({state.ascii_glyph for state in LaneState}) == len(LaneState)
    assert all(state.ascii_glyph.isascii() and len(state.glyph) == 1 for state in LaneState)


@given(
    st.lists(
        st.tuples(st.sampled_from([Channel.TEXT, Channel.REASONING]), st.text(min_size=1, max_size=5)), max_size=30
    )
)
def test_text_is_what_arrived_in_order_without_loss(pieces: list[tuple[Channel, str]]) -> None:
    lane = Lane(Target("alpha", slot=1))
    turn = lane.begin("p", "", 0)
    for number, (channel, text) in enumerate(pieces):
        lane.apply(turn, Delta(number, channel, text))

    for channel in (Channel.TEXT, Channel.REASONING):
        assert turn.text(channel) == "".join(text for of, text in pieces if of is channel)


def test_a_follow_up_carries_the_conversation_of_this_lane_alone() -> None:
    lane = Lane(Target("alpha", slot=1))
    answered(lane, "first", "one", system="be brief")

    turn = lane.begin("second", "be brief", 100)

    assert turn.request.messages == (
        Message.system("be brief"),
        Message.user("first"),
        Message.assistant("one"),
        Message.user("second"),
    )


def test_a_question_without_any_answer_is_not_part_of_the_conversation() -> None:
    lane = Lane(Target("alpha", slot=1))
    failed = lane.begin("lost", "", 0)
    lane.apply(failed, Failed(1, RateLimited("no"), result()))

    turn = lane.begin("again", "", 2)

    assert turn.request.messages == (Message.user("again"),)


def test_a_partial_answer_is_part_of_the_conversation() -> None:
    lane = Lane(Target("alpha", slot=1))
    turn = lane.begin("first", "", 0)
    lane.apply(turn, Delta(1, Channel.TEXT, "half"))
    lane.stop(2)

    assert lane.state is LaneState.CANCELLED
    assert lane.conversation() == (Message.user("first"), Message.assistant("half"))


def test_repeating_an_answer_asks_afresh_with_the_parameters_of_now() -> None:
    lane = Lane(Target("alpha", slot=1))
    answered(lane, "first", "one")
    lane.retarget(Target("alpha", Params(temperature=0.2), slot=1))

    turn = lane.again(100)

    assert len(lane.turns) == 1
    assert turn.request.messages == (Message.user("first"),)
    assert turn.request.params == Params(temperature=0.2)
    assert turn.request.cache is CacheMode.REFRESH


def test_repeating_a_failure_may_be_answered_from_the_cache() -> None:
    lane = Lane(Target("alpha", slot=1))
    lane.apply(lane.begin("first", "", 0), Failed(1, RateLimited("no"), result()))

    assert lane.again(2).request.cache is CacheMode.USE


def test_events_of_a_turn_that_was_stopped_change_nothing() -> None:
    lane = Lane(Target("alpha", slot=1))
    turn = lane.begin("first", "", 0)
    lane.stop(1)
    revision = lane.revision

    lane.apply(turn, Delta(2, Channel.TEXT, "late"))

    assert (turn.text(), lane.revision) == ("", revision)


def test_a_pause_of_a_second_is_noted_where_it_happened() -> None:
    lane = Lane(Target("alpha", slot=1))
    turn = lane.begin("p", "", 0)
    for at_s, text in ((0.1, "a"), (0.2, "b"), (1.7, "c"), (1.8, "d")):
        lane.apply(turn, Delta(int(at_s * NS_PER_S), Channel.TEXT, text))

    assert [(stall.position, round(stall.seconds, 3)) for stall in turn.stalls] == [(2, 1.5)]


def ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def streamed(pieces: int = 11, *, usage: Usage | None = None, every_s: float = 0.1) -> tuple[Lane, int]:
    """A lane with `pieces` pieces of four characters, the first one 0.5 s after sending; and the last one's stamp."""
    lane = Lane(Target("alpha", slot=1))
    turn = lane.begin("p", "", 0)
    lane.apply(turn, Admitted(ns(0.1), ROUTE, None, 1))
    lane.apply(turn, Opened(ns(0.7), ns(0.2), ns(0.6)))
    at_ns = ns(0.7)
    for index in range(pieces):
        at_ns = ns(0.7 + index * every_s)
        lane.apply(turn, Delta(at_ns, Channel.TEXT, "abcd"))
    if usage is not None:
        timing = Timing(
            0, ns(0.1), ns(0.2), ns(0.6), ns(0.7), ns(0.7), ns(0.7), at_ns, at_ns + 1, ttft_error_ns=6_000_000
        )
        lane.apply(turn, Finished(at_ns + 1, result("abcd" * pieces, usage=usage, timing=timing)))
    return lane, at_ns


def test_ttft_runs_from_sending_and_the_rate_from_the_first_token() -> None:
    lane, at_ns = streamed()

    numbers = lane.turns[-1].numbers(at_ns)

    assert numbers.ttft_s == pytest.approx(0.5)
    assert numbers.output_tokens == 11
    assert numbers.tokens_estimated
    assert numbers.rate_tps == pytest.approx(10.0)


def test_the_providers_count_replaces_the_estimate() -> None:
    lane, at_ns = streamed(usage=Usage(input=5, output=21))

    numbers = lane.turns[-1].numbers(at_ns)

    assert (numbers.output_tokens, numbers.tokens_estimated) == (21, False)
    assert numbers.rate_tps == pytest.approx(20.0)
    assert numbers.ttft_error_s == pytest.approx(0.006)


def test_an_answer_without_usage_stays_an_estimate() -> None:
    lane, at_ns = streamed()
    lane.stop(at_ns)

    assert lane.turns[-1].numbers(at_ns + ns(5)).tokens_estimated


def test_what_usage_taught_is_used_for_the_next_estimate() -> None:
    lane, _ = streamed(20, usage=Usage(output=40))
    turn = lane.begin("again", "", 0)
    lane.apply(turn, Delta(1, Channel.TEXT, "abcd"))

    assert turn.numbers(1).output_tokens == 2


def test_a_cached_answer_has_no_latency() -> None:
    lane = Lane(Target("alpha", slot=1))
    turn = lane.begin("p", "", 0)
    lane.apply(turn, CacheHit(1, 0.0))
    lane.apply(turn, Delta(2, Channel.TEXT, "abcd"))
    lane.apply(turn, Finished(3, result("abcd", cached=True, usage=Usage(output=1))))

    numbers = turn.numbers(3)

    assert (numbers.ttft_s, numbers.rate_tps) == (None, None)


def test_thinking_is_timed_apart_from_the_answer() -> None:
    lane = Lane(Target("alpha", slot=1))
    turn = lane.begin("p", "", 0)
    lane.apply(turn, Opened(ns(0.5), ns(0.1), ns(0.4)))
    lane.apply(turn, Delta(ns(0.5), Channel.REASONING, "hm"))
    thinking = turn.numbers(ns(1.5))
    lane.apply(turn, Delta(ns(2.5), Channel.TEXT, "so"))
    answering = turn.numbers(ns(9))

    assert thinking.reasoning_s == pytest.approx(1.0)
    assert (answering.ttft_s, answering.ttfa_s) == (pytest.approx(0.4), pytest.approx(2.4))
    assert answering.reasoning_s == pytest.approx(2.0)


def test_a_stalled_stream_looks_stalled_in_its_rate() -> None:
    lane, at_ns = streamed(5, every_s=0.25)

    series = lane.turns[-1].meter.rate_series(8, at_ns + ns(1.0))

    assert series == (4.0, 4.0, 4.0, 4.0, 4.0, 0.0, 0.0, 0.0)


def test_the_rate_of_a_finished_answer_spans_all_of_it() -> None:
    lane, at_ns = streamed(100, usage=Usage(output=100))

    series = lane.turns[-1].meter.rate_series(10, at_ns + ns(100))

    assert len(series) == 10
    assert min(series) > 0


def test_an_unknown_error_is_a_failure_with_its_title() -> None:
    assert state_after(LaneState.QUEUED, Failed(1, WorkbenchError("odd"), result())) is LaneState.FAILED
