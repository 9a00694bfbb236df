"""One request through the whole pipeline, over scripted wires, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from scripted import (
    Hang,
    ScriptedAdapter,
    ScriptedAdmission,
    Step,
    Wait,
    answer,
    ask,
    end,
    failure,
    kinds,
    listen,
    make_engine,
    run,
    usage,
    virtually,
)

from workbench.core.clock import NS_PER_S
from workbench.core.errors import (
    BadRequest,
    ConnectionFailed,
    IncompleteStream,
    KeyRejected,
    Overloaded,
    ProviderError,
    RateLimited,
    ServerError,
    TimedOut,
    TimeoutKind,
    UnsupportedParameter,
)
from workbench.core.events import (
    Admitted,
    Delta,
    Finished,
    Opened,
    Queued,
    Retrying,
    UsageReport,
    WaitReason,
    check_stream,
)
from workbench.core.settings import TimeoutSettings
from workbench.core.types import Channel, FinishReason, Params, Usage
from workbench.engine.admission import Outcome
from workbench.engine.engine import Engine
from workbench.engine.records import Population
from workbench.providers.base import Call, WireAlive, WireEvent


def test_an_answer_passes_through_with_its_stamps_usage_and_cost() -> None:
    adapter = ScriptedAdapter(
        [Wait(0.4), Delta(0, Channel.REASONING, "hm"), Wait(0.1), "Hel", "lo", usage(input=1000, output=30), end()]
    )
    admission = ScriptedAdmission(wait_s=2.0)

    events = run(adapter, admission)

    result = check_stream(events)
    assert kinds(events) == ["Queued", "Admitted", "Opened", "Delta", "Delta", "Delta", "UsageReport", "Finished"]
    assert (result.text, result.reasoning, result.finish_reason) == ("Hello", "hm", FinishReason.STOP)
    assert result.usage == Usage(input=1000, output=30)
    assert result.cost_usd is not None
    assert result.cost_usd > 0
    timing = result.timing
    assert (timing.queue_s, timing.e2e_s, timing.retry_wait_ns) == (2.0, 2.5, 0)
    assert (result.attempts, result.request_id, result.key_alias) == (1, "req_1", "openai#1")
    assert admission.outcomes == [Outcome.SUCCESS]


def test_the_first_token_may_be_reasoning_but_the_first_answer_is_not() -> None:
    stamps = [
        WireAlive(1 * NS_PER_S),
        Delta(2 * NS_PER_S, Channel.TEXT, ""),
        Delta(3 * NS_PER_S, Channel.REASONING, "hm"),
        Delta(5 * NS_PER_S, Channel.TEXT, "a"),
        Delta(6 * NS_PER_S, Channel.TEXT, "b"),
        end(),
    ]

    timing = check_stream(run(ScriptedAdapter(stamps))).timing

    assert timing.first_event_ns == 1 * NS_PER_S
    assert (timing.ttft_s, timing.ttfa_s) == (3.0, 5.0)
    assert timing.last_token_ns == 6 * NS_PER_S
    assert timing.tpot_s(4) == 1.0


def test_what_says_nothing_yet_is_held_back_until_output() -> None:
    events = run(ScriptedAdapter([WireAlive(0), usage(input=9), Delta(0, Channel.TEXT, ""), "A", end()]))

    assert kinds(events) == ["Admitted", "Opened", "UsageReport", "Delta", "Finished"]


def test_an_answer_without_a_character_is_still_an_ending() -> None:
    events = run(ScriptedAdapter([end(FinishReason.CONTENT_FILTER)]))

    assert kinds(events) == ["Admitted", "Opened", "Finished"]
    assert check_stream(events).finish_reason is FinishReason.CONTENT_FILTER


def test_what_breaks_after_the_end_mark_takes_nothing_away() -> None:
    admission = ScriptedAdmission()
    events = run(ScriptedAdapter(["A", end(), ConnectionFailed("reset")]), admission)

    assert isinstance(events[-1], Finished)
    assert admission.outcomes == [Outcome.SUCCESS]


def test_complete_returns_the_result_and_raises_the_error_with_its_partial_answer() -> None:
    async def main() -> tuple[str, ProviderError]:
        adapter = ScriptedAdapter(answer("fine"), ["half", IncompleteStream("cut")])
        async with make_engine(adapter) as engine:
            text = (await engine.complete(ask())).text
            with pytest.raises(IncompleteStream) as caught:
                await engine.complete(ask())
            return text, caught.value

    text, error = virtually(main)

    assert text == "fine"
    assert error.partial is not None
    assert (error.partial.text, error.partial.finish_reason) == ("half", FinishReason.INCOMPLETE)


def test_an_answer_in_one_piece_has_no_first_token() -> None:
    async def main() -> tuple[object, ...]:
        adapter = ScriptedAdapter([Wait(3), "all of it", usage(input=1, output=3), end()])
        async with make_engine(adapter) as engine:
            result = await engine.complete(ask(), stream=False)
            traffic = engine.statistics().traffic
            return adapter.book.calls[0].stream, result.timing.ttft_s, result.timing.e2e_s, traffic.ttft_s.n

    assert virtually(main) == (False, None, 3.0, 0)


@pytest.mark.parametrize(
    "fault",
    [
        [ConnectionFailed("reset")],
        [WireAlive(0), ServerError("inside a 200 stream")],
        [usage(input=3), Delta(0, Channel.TEXT, ""), IncompleteStream("cut")],
        [Overloaded("busy", status=529)],
    ],
    ids=["connection", "inside 200", "cut before output", "overloaded"],
)
def test_a_fault_before_the_first_token_is_invisible_but_for_retrying(fault: list[Step]) -> None:
    adapter = ScriptedAdapter(fault, answer("fine"))
    admission = ScriptedAdmission()

    events = run(adapter, admission)

    assert check_stream(events).text == "fine"
    assert kinds(events)[:4] == ["Admitted", "Retrying", "Admitted", "Opened"]
    assert check_stream(events).attempts == 2
    assert admission.unsettled == 0
    assert [ticket.attempt for ticket in admission.tickets] == [1, 2]


def test_retries_wait_longer_each_time_and_hold_no_lease_meanwhile() -> None:
    adapter = ScriptedAdapter([ConnectionFailed("reset")])
    admission = ScriptedAdmission()

    events = run(adapter, admission)

    error = failure(events)
    assert adapter.book.sent_at_s == [0.0, 0.25, 0.75, 1.75]
    assert [event.resume_ns for event in events if isinstance(event, Retrying)] == [
        round(s * NS_PER_S) for s in (0.25, 0.75, 1.75)
    ]
    assert "3 retries are used up" in error.hint
    assert admission.outcomes == [Outcome.NEUTRAL] * 4
    assert check_stream(events).timing.retry_wait_ns == round(1.75 * NS_PER_S)


@pytest.mark.parametrize(("retries", "sent"), [(0, 1), (1, 2), (5, 6)])
def test_a_request_is_sent_once_and_as_often_again_as_it_may_be(retries: int, sent: int) -> None:
    adapter = ScriptedAdapter([ConnectionFailed("reset")])

    run(adapter, request=ask(max_retries=retries))

    # The sixth time falls on an open breaker, which five failures in a row have opened.
    assert len(adapter.book.calls) == min(sent, 5)


def test_after_the_first_token_nothing_is_sent_again() -> None:
    adapter = ScriptedAdapter(["half of ", "it", ConnectionFailed("reset")], answer("never"))

    events = run(adapter)

    assert isinstance(failure(events), ConnectionFailed)
    partial = check_stream(events)
    assert (partial.text, partial.finish_reason) == ("half of it", FinishReason.INCOMPLETE)
    assert len(adapter.book.calls) == 1


def test_a_stream_that_just_ends_is_incomplete() -> None:
    events = run(ScriptedAdapter(["half"]))

    assert isinstance(failure(events), IncompleteStream)


def test_a_refusal_goes_back_to_the_queue_at_once() -> None:
    adapter = ScriptedAdapter([RateLimited("slow", status=429)], [RateLimited("slow", status=429)], answer("fine"))
    admission = ScriptedAdmission()

    events = run(adapter, admission)

    assert check_stream(events).text == "fine"
    assert admission.outcomes == [Outcome.REFUSED, Outcome.REFUSED, Outcome.SUCCESS]
    assert [ticket.attempt for ticket in admission.tickets] == [1, 2, 3]
    assert [event.resume_ns for event in events if isinstance(event, Retrying)] == [None, None]
    assert adapter.book.sent_at_s == [0.0, 0.0, 0.0], "when to go again is the limiter's business"


def test_twelve_refusals_are_enough() -> None:
    adapter = ScriptedAdapter([RateLimited("slow", status=429)])

    error = failure(run(adapter))

    assert len(adapter.book.calls) == 12
    assert "refused 12 times" in error.hint


def test_a_dead_key_is_settled_as_such_and_another_one_is_tried() -> None:
    adapter = ScriptedAdapter([KeyRejected("no", status=401)], answer("fine"))
    admission = ScriptedAdmission()

    assert check_stream(run(adapter, admission)).text == "fine"
    assert admission.outcomes == [Outcome.KEY_DEAD, Outcome.SUCCESS]


def test_an_unsupported_parameter_is_left_out_and_remembered() -> None:
    refused = UnsupportedParameter("no temperature", parameter="temperature", status=400)
    adapter = ScriptedAdapter([refused], answer("fine"))

    async def main() -> tuple[str, set[str]]:
        async with make_engine(adapter) as engine:
            text = (await engine.complete(ask(params=Params(temperature=0.3)))).text
            return text, set(engine._memory.refused(engine.route("gpt-5.4")[0].route))

    assert virtually(main) == ("fine", {"temperature"})
    assert adapter.book.sent_at_s == [0.0, 0.0]


def test_two_requests_that_meet_the_same_refused_parameter_are_both_sent_again() -> None:
    refused = UnsupportedParameter("no temperature", parameter="temperature", status=400)
    adapter = ScriptedAdapter([Wait(1), refused], [Wait(1), refused], answer("fine"))

    async def main() -> list[str]:
        async with make_engine(adapter) as engine, asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(engine.complete(ask(text=f"{n}"))) for n in range(2)]
        return [task.result().text for task in both]

    assert virtually(main) == ["fine", "fine"]


def test_bad_requests_are_not_sent_again() -> None:
    adapter = ScriptedAdapter([BadRequest("no", status=400)])

    assert isinstance(failure(run(adapter)), BadRequest)
    assert len(adapter.book.calls) == 1


def test_the_deadline_covers_waiting() -> None:
    admission = ScriptedAdmission(wait_s=1e6)

    events = run(ScriptedAdapter(answer("late")), admission, ask(deadline_s=5))

    error = failure(events)
    assert isinstance(error, TimedOut)
    assert error.kind is TimeoutKind.TOTAL
    assert check_stream(events).timing.e2e_s == 5.0
    assert admission.waiting == 0


def test_the_deadline_ends_an_answer_that_never_does_and_keeps_what_there_was() -> None:
    adapter = ScriptedAdapter(["some", Hang()])
    admission = ScriptedAdmission()

    events = run(adapter, admission, ask(deadline_s=5))

    error = failure(events)
    assert isinstance(error, TimedOut)
    assert "while the answer was on its way" in error.message
    partial = check_stream(events)
    assert (partial.text, partial.finish_reason) == ("some", FinishReason.TIMED_OUT)
    assert adapter.book.open_now == 0
    assert admission.outcomes == [Outcome.NEUTRAL]


@pytest.mark.parametrize(
    ("connected_ns", "words"),
    [(None, "were over before there was a connection."), (1, "were over while it was being sent.")],
    ids=["connecting", "writing"],
)
def test_a_deadline_says_that_the_request_was_not_even_out(connected_ns: int | None, words: str) -> None:
    class Unreachable(ScriptedAdapter):
        def open(self, call: Call) -> AsyncGenerator[WireEvent, None]:
            assert call.sending is not None
            call.sending.dial(1)
            call.sending.connected_ns = connected_ns
            return super().open(call)

    events = run(Unreachable([Hang()]), request=ask(deadline_s=5))

    assert failure(events).message.endswith(words)


def test_without_a_deadline_of_its_own_a_request_has_the_settings_total() -> None:
    patient = {"settings": {"timeouts": TimeoutSettings(total_s=7.0)}}

    events = run(ScriptedAdapter(["some", Hang()]), **patient)

    assert check_stream(events).timing.e2e_s == 7.0
    assert "7 s were over" in failure(events).message


def test_adapters_are_given_what_is_left_of_the_time() -> None:
    adapter = ScriptedAdapter(answer("fine"))

    run(adapter, ScriptedAdmission(wait_s=4.0), ask(deadline_s=10))

    deadlines = adapter.book.calls[0].deadlines
    assert (deadlines.total_s, deadlines.first_token_s) == (6.0, 6.0)


def test_one_record_per_request_with_its_attempts_and_waits() -> None:
    adapter = ScriptedAdapter([Wait(1), ConnectionFailed("reset")], [RateLimited("slow", status=429)], answer("A", "B"))
    admission = ScriptedAdmission(wait_s=2.0)

    async def main() -> Engine:
        async with make_engine(adapter, admission) as engine:
            await listen(engine, ask())
            return engine

    [record] = virtually(main).records

    assert record.population is Population.ANSWERED
    assert [(a.number, a.outcome, a.error, a.status) for a in record.attempts] == [
        (1, Outcome.NEUTRAL, "unreachable", None),
        (2, Outcome.REFUSED, "rate limit", 429),
        (3, Outcome.SUCCESS, "", None),
    ]
    assert dict(record.waits) == {WaitReason.WINDOW: 6 * NS_PER_S}
    assert record.timing.retry_wait_ns == round(1.25 * NS_PER_S), "the failed second and its back-off"
    assert (record.chunks, record.characters) == (2, 2)


def test_a_listener_s_fault_is_told_and_costs_no_answer() -> None:
    async def main() -> tuple[str, list[str]]:
        def keep(_: object) -> None:
            raise OSError("disk full")

        async with make_engine(ScriptedAdapter(answer("fine")), on_record=keep) as engine:
            text = (await engine.complete(ask())).text
            return text, [notice.text for notice in engine.statistics().notices]

    assert virtually(main) == ("fine", ["Whoever keeps the records failed: OSError: disk full."])


def test_live_counters_follow_a_request_through_its_stations() -> None:
    adapter = ScriptedAdapter([Wait(1), ConnectionFailed("reset")], ["x" * 400, Hang()])
    admission = ScriptedAdmission(wait_s=1.0)

    async def main() -> list[tuple[int, int, int]]:
        seen = []
        async with make_engine(adapter, admission) as engine:
            caller = asyncio.create_task(listen(engine, ask()))
            for at_s in (0.5, 1.5, 2.1, 3.0, 3.5):
                await asyncio.sleep(at_s - asyncio.get_running_loop().time())
                traffic = engine.statistics().traffic
                seen.append((traffic.queued, traffic.in_flight, traffic.backing_off))
            assert traffic.tokens_per_s == 100.0, "four hundred characters are about a hundred tokens"
            assert (traffic.retries, traffic.models[0].in_flight) == (1, 1)
            caller.cancel()
            await asyncio.wait({caller})
            traffic = engine.statistics().traffic
            seen.append((traffic.queued, traffic.in_flight, traffic.backing_off))
        return seen

    assert virtually(main) == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0), (0, 1, 0), (0, 0, 0)]


def test_events_carry_what_a_pane_needs() -> None:
    events = run(ScriptedAdapter([Wait(1), "A", usage(input=1, output=1), end()]), ScriptedAdmission(wait_s=1.0))

    queued, admitted, opened, delta, report, finished = events
    assert isinstance(queued, Queued)
    assert queued.until_ns == NS_PER_S
    assert isinstance(admitted, Admitted)
    assert (admitted.attempt, admitted.key_alias) == (1, "openai#1")
    assert isinstance(opened, Opened)
    assert (opened.sent_ns, opened.request_id) == (2 * NS_PER_S, "req_1")
    assert isinstance(delta, Delta)
    assert isinstance(report, UsageReport)
    assert isinstance(finished, Finished)
