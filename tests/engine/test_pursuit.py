"""One request through the whole pipeline, over scripted wires, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from scripted import (
    Hang,
    ScriptedAdapter,
    ScriptedAdmission,
    Wait,
    answer,
    ask,
    end,
    kinds,
    listen,
    make_engine,
    usage,
    virtually,
)

from workbench.core.clock import NS_PER_S
from workbench.core.errors import (
    BadRequest,
    BreakerOpen,
    ConnectionFailed,
    EngineClosed,
    IncompleteStream,
    KeyRejected,
    MissingKey,
    ModelNotFound,
    Overloaded,
    ProviderError,
    RateLimited,
    ServerError,
    TimedOut,
    TimeoutKind,
    UnknownModel,
    UnsupportedParameter,
    UsageError,
    WorkbenchError,
)
from workbench.core.events import (
    Admitted,
    Delta,
    Failed,
    Finished,
    Opened,
    Queued,
    Retrying,
    StreamEvent,
    UsageReport,
    WaitReason,
    check_stream,
)
from workbench.core.types import Channel, FinishReason, Params, Priority, Usage
from workbench.engine.admission import Outcome
from workbench.engine.engine import Engine
from workbench.engine.records import Population
from workbench.providers.base import WireAlive


def run(
    adapter: ScriptedAdapter, admission: ScriptedAdmission | None = None, request: object = None, **options: object
) -> list[StreamEvent]:
    async def main() -> list[StreamEvent]:
        async with make_engine(adapter, admission, **options) as engine:
            return await listen(engine, request or ask())  # type: ignore[arg-type]

    return virtually(main)


def failure(events: list[StreamEvent]) -> WorkbenchError:
    check_stream(events)
    last = events[-1]
    assert isinstance(last, Failed), last
    return last.error


# -- the happy path ----------------------------------------------------------------------------------------------------


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


# -- retries -----------------------------------------------------------------------------------------------------------


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
def test_a_fault_before_the_first_token_is_invisible_but_for_retrying(fault: list[object]) -> None:
    adapter = ScriptedAdapter(fault, answer("fine"))  # type: ignore[arg-type]
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


# -- deadlines ---------------------------------------------------------------------------------------------------------


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


def test_adapters_are_given_what_is_left_of_the_time() -> None:
    adapter = ScriptedAdapter(answer("fine"))

    run(adapter, ScriptedAdmission(wait_s=4.0), ask(deadline_s=10))

    deadlines = adapter.book.calls[0].deadlines
    assert (deadlines.total_s, deadlines.first_token_s) == (6.0, 6.0)


# -- cancelling and closing --------------------------------------------------------------------------------------------


def test_closing_the_generator_closes_the_response_at_once_and_settles_neutral() -> None:
    adapter = ScriptedAdapter(["some", Hang()])
    admission = ScriptedAdmission()

    async def main() -> tuple[list[str], int, float]:
        async with make_engine(adapter, admission) as engine:
            seen: list[str] = []
            async with aclosing(engine.stream(ask())) as events:
                async for event in events:
                    seen.append(type(event).__name__)
                    if isinstance(event, Delta):
                        break
            return seen, adapter.book.open_now, engine.statistics().traffic.cancelled

    assert virtually(main) == (["Admitted", "Opened", "Delta"], 0, 1)
    assert admission.outcomes == [Outcome.NEUTRAL]


def test_a_cancelled_caller_leaves_nothing_behind_wherever_it_stands() -> None:
    async def main() -> None:
        adapter = ScriptedAdapter([Wait(2), ConnectionFailed("reset")])
        for stop_at in (0.5, 1.5, 3.2, 4.1):
            admission = ScriptedAdmission(wait_s=1.0)
            async with make_engine(adapter, admission) as engine:
                caller = asyncio.create_task(engine.complete(ask()))
                await asyncio.sleep(stop_at)
                caller.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await caller

                assert (admission.waiting, admission.unsettled, adapter.book.open_now) == (0, 0, 0)
                assert engine._intake.under_way == 0

    virtually(main)


def test_closing_the_engine_ends_every_request_and_tells_its_caller() -> None:
    adapter = ScriptedAdapter(["some", Hang()])
    admission = ScriptedAdmission()

    async def main() -> list[StreamEvent]:
        async with make_engine(adapter, admission) as engine:
            caller = asyncio.create_task(listen(engine, ask()))
            await asyncio.sleep(1)
        return await caller

    events = virtually(main)

    assert isinstance(failure(events), EngineClosed)
    assert check_stream(events).text == "some"
    assert (adapter.book.open_now, admission.unsettled, admission.closed) == (0, 0, True)


def test_an_engine_that_is_not_open_says_so() -> None:
    async def main() -> None:
        engine = make_engine(ScriptedAdapter(answer("fine")))
        with pytest.raises(EngineClosed):
            await engine.complete(ask())
        async with engine:
            pass
        with pytest.raises(EngineClosed, match="closed"):
            await engine.complete(ask())

    virtually(main)


def test_an_engine_belongs_to_its_loop() -> None:
    engines: list[Engine] = []

    async def elsewhere() -> None:
        with pytest.raises(UsageError, match="another event loop"):
            await engines[0].complete(ask())

    async def main() -> None:
        async with make_engine(ScriptedAdapter(answer("fine"))) as engine:
            engines.append(engine)
            await asyncio.to_thread(lambda: asyncio.run(elsewhere()))

    asyncio.run(main())


def test_a_fault_of_ours_ends_its_own_request_and_no_other() -> None:
    adapter = ScriptedAdapter([ZeroDivisionError("oops")], answer("fine"))
    admission = ScriptedAdmission()

    async def main() -> tuple[list[StreamEvent], str]:
        async with make_engine(adapter, admission) as engine:
            return await listen(engine, ask()), (await engine.complete(ask())).text

    events, text = virtually(main)

    error = failure(events)
    assert "ZeroDivisionError: oops" in error.message
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert text == "fine"
    assert admission.unsettled == 0


# -- the breaker -------------------------------------------------------------------------------------------------------


def test_an_open_breaker_tells_a_person_at_once_and_counts_down() -> None:
    adapter = ScriptedAdapter([ConnectionFailed("refused")])

    async def main() -> tuple[WorkbenchError, int]:
        async with make_engine(adapter) as engine:
            for _ in range(2):
                await listen(engine, ask())
            sent = len(adapter.book.calls)
            await asyncio.sleep(10)
            error = failure(await listen(engine, ask()))
            return error, len(adapter.book.calls) - sent

    error, sent = virtually(main)

    assert isinstance(error, BreakerOpen)
    assert "refused" in error.message
    assert " 20 s" in error.hint
    assert sent == 0


def test_bulk_work_waits_for_the_breaker_and_one_of_it_probes() -> None:
    adapter = ScriptedAdapter(*[[ConnectionFailed("refused")]] * 5, [Wait(1), "A", Wait(5), end()], answer("B"))

    async def main() -> tuple[list[str], list[float], list[Queued]]:
        async with make_engine(adapter, retries=0) as engine:
            for _ in range(5):
                await listen(engine, ask())
            async with asyncio.TaskGroup() as tasks:
                bulk = [tasks.create_task(listen(engine, ask(text=f"{n}", priority=Priority.BULK))) for n in range(4)]
        streams = [task.result() for task in bulk]
        waits = [event for event in streams[0] if isinstance(event, Queued)]
        return sorted(check_stream(events).text for events in streams), adapter.book.sent_at_s[5:], waits

    texts, sent_at_s, waits = virtually(main)

    assert texts == ["A", "B", "B", "B"]
    assert sent_at_s == [30.0, 31.0, 31.0, 31.0], "the first output of the probe lets the others go"
    assert waits[0].reason is WaitReason.BREAKER
    assert waits[0].until_ns == 30 * NS_PER_S


def test_resetting_the_breakers_lets_waiting_work_go_at_once() -> None:
    adapter = ScriptedAdapter(*[[ConnectionFailed("refused")]] * 5, answer("fine"))

    async def main() -> tuple[int, float]:
        async with make_engine(adapter, retries=0) as engine:
            for _ in range(5):
                await listen(engine, ask())
            waiting = asyncio.create_task(engine.complete(ask(priority=Priority.BULK)))
            await asyncio.sleep(3)
            reset = engine.reset_circuit_breakers()
            await waiting
            return reset, asyncio.get_running_loop().time()

    assert virtually(main) == (1, 3.0)


def test_what_queued_before_an_outage_goes_back_to_the_breaker_instead_of_to_the_wire() -> None:
    adapter = ScriptedAdapter(*[[ConnectionFailed("refused")]] * 5, answer("fine"))
    admission = ScriptedAdmission()

    async def main() -> int:
        async with make_engine(adapter, admission, retries=0) as engine:
            admission.wait_s = 2.0
            late = asyncio.create_task(listen(engine, ask()))
            await asyncio.sleep(1)
            admission.wait_s = 0.0
            for _ in range(5):
                await listen(engine, ask())
            admission.wait_s = 2.0
            assert isinstance(failure(await late), BreakerOpen)
            return admission.unsettled

    assert virtually(main) == 0
    assert len(adapter.book.calls) == 5


# -- chains ------------------------------------------------------------------------------------------------------------

CHAIN = "gpt-5.4 | anthropic/claude-sonnet-4-6"
FIRST, SECOND = CHAIN.split(" | ")


def test_a_chain_goes_on_when_a_target_fails_with_its_own_retries() -> None:
    adapter = ScriptedAdapter(by_model={FIRST: [[ServerError("boom", status=500)]], SECOND: [answer("fine")]})

    events = run(adapter, request=ask(CHAIN))

    result = check_stream(events)
    assert (result.text, result.route.spec) == ("fine", SECOND)
    assert [call.route.spec for call in adapter.book.calls] == [FIRST] * 3 + [SECOND]
    assert result.attempts == 4
    assert result.notes == ("gpt-5.4 was tried first: server error.",)
    routes = [event.route.spec for event in events if isinstance(event, Admitted)]
    assert routes == [FIRST] * 3 + [SECOND]


def test_when_all_fail_the_wanted_target_speaks_and_the_others_are_attached() -> None:
    adapter = ScriptedAdapter(
        by_model={FIRST: [[ModelNotFound("no such model", status=404)]], SECOND: [[KeyRejected("no", status=401)]]}
    )

    error = failure(run(adapter, request=ask(CHAIN)))

    assert isinstance(error, ModelNotFound)
    assert [type(other) for other in error.others] == [KeyRejected]


def test_a_chain_never_switches_after_the_first_token() -> None:
    adapter = ScriptedAdapter(by_model={FIRST: [["half", ConnectionFailed("reset")]], SECOND: [answer("never")]})

    events = run(adapter, request=ask(CHAIN))

    assert isinstance(failure(events), ConnectionFailed)
    assert check_stream(events).text == "half"


def test_a_request_that_is_wrong_is_wrong_everywhere() -> None:
    adapter = ScriptedAdapter(by_model={FIRST: [[BadRequest("no", status=400)]], SECOND: [answer("never")]})

    assert isinstance(failure(run(adapter, request=ask(CHAIN))), BadRequest)


def test_a_missing_key_moves_on_along_the_chain() -> None:
    class KeylessFirst(ScriptedAdmission):
        def enqueue(self, ticket: object) -> object:  # type: ignore[override]
            if ticket.route.spec == FIRST:  # type: ignore[attr-defined]
                raise MissingKey("openai", ("OPENAI_API_KEY",))
            return super().enqueue(ticket)  # type: ignore[arg-type]

    adapter = ScriptedAdapter(answer("fine"))

    result = check_stream(run(adapter, KeylessFirst(), ask(CHAIN)))

    assert (result.text, result.route.spec) == ("fine", SECOND)


def test_an_open_breaker_moves_a_chain_on_even_for_bulk_work() -> None:
    adapter = ScriptedAdapter(by_model={FIRST: [[ConnectionFailed("refused")]], SECOND: [answer("fine")]})

    async def main() -> float:
        async with make_engine(adapter, retries=0) as engine:
            for _ in range(5):
                await listen(engine, ask(FIRST))
            assert (await engine.complete(ask(CHAIN, priority=Priority.BULK))).text == "fine"
            return asyncio.get_running_loop().time()

    assert virtually(main) == 0.0


def test_a_first_target_that_never_gets_a_turn_leaves_time_for_the_second() -> None:
    class FullFirst(ScriptedAdmission):
        def enqueue(self, ticket: object) -> object:  # type: ignore[override]
            self.wait_s = 1e6 if ticket.route.spec == FIRST else 0.0  # type: ignore[attr-defined]
            return super().enqueue(ticket)  # type: ignore[arg-type]

    events = run(ScriptedAdapter(answer("fine")), FullFirst(), ask(CHAIN, deadline_s=60))

    result = check_stream(events)
    assert (result.text, result.timing.e2e_s) == ("fine", 30.0)


def test_an_unknown_model_is_a_failure_with_a_suggestion() -> None:
    events = run(ScriptedAdapter(answer("never")), request=ask("claude-sonet-4-6"))

    error = failure(events)
    assert isinstance(error, UnknownModel)
    assert "claude-sonnet" in error.hint


# -- sharing and the cache ---------------------------------------------------------------------------------------------


async def test_identical_requests_make_one_call_and_the_next_one_is_a_hit(tmp_path: object) -> None:
    adapter = ScriptedAdapter([Wait(0.01), *answer("shared ", "answer")])
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as tasks:
            callers = [tasks.create_task(listen(engine, ask())) for _ in range(5)]
        hit = await listen(engine, ask())
        traffic = engine.statistics().traffic

    streams = [caller.result() for caller in callers]
    assert len(adapter.book.calls) == 1
    assert {check_stream(events).text for events in streams} == {"shared answer"}
    assert sum(not check_stream(events).cached for events in streams) == 1
    assert kinds(hit) == ["CacheHit", "Delta", "Finished"]
    assert (traffic.answered, traffic.shared, traffic.cached, traffic.requests) == (1, 4, 1, 6)
    assert traffic.ttft_s.n == 1


async def test_a_hit_costs_nothing_and_says_what_it_saved(tmp_path: object) -> None:
    reasoning = Delta(0, Channel.REASONING, "hm")
    adapter = ScriptedAdapter([reasoning, "A", usage(input=1000, output=10), end()])
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:  # type: ignore[arg-type]
        first = await engine.complete(ask())
        hit = check_stream(await listen(engine, ask()))

    assert (hit.text, hit.reasoning, hit.usage) == ("A", "hm", first.usage)
    assert (hit.cached, hit.cost_usd, hit.attempts) == (True, 0.0, 0)
    assert hit.saved_usd == first.cost_usd
    assert hit.saved_s is not None
    assert hit.timing.ttft_s is None


@pytest.mark.parametrize(
    ("modes", "calls"),
    [
        (["use", "use"], 1),
        (["off", "use"], 2),
        (["use", "off"], 2),
        (["read-only", "read-only"], 2),
        (["use", "read-only"], 1),
        (["use", "refresh", "use"], 2),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
async def test_cache_modes(tmp_path: object, modes: list[str], calls: int) -> None:
    from workbench.core.types import CacheMode

    adapter = ScriptedAdapter(answer("1"), answer("2"), answer("3"))
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:  # type: ignore[arg-type]
        texts = [(await engine.complete(ask(cache=CacheMode(mode)))).text for mode in modes]

    assert len(adapter.book.calls) == calls
    assert texts[-1] == str(calls)


async def test_samples_and_parameters_are_different_questions(tmp_path: object) -> None:
    adapter = ScriptedAdapter(answer("x"))
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:  # type: ignore[arg-type]
        for n in range(3):
            await engine.complete(ask(sample=n))
        await engine.complete(ask(model="local/m", params=Params(temperature=0.1)))
        await engine.complete(ask(model="local/m", params=Params(temperature=0.2)))

    assert len(adapter.book.calls) == 5


async def test_broken_and_refused_answers_are_asked_again(tmp_path: object) -> None:
    adapter = ScriptedAdapter(
        ["half", IncompleteStream("cut")], ["I can't.", end(FinishReason.REFUSAL)], answer("whole"), answer("never")
    )
    async with make_engine(adapter, cache=True, root=tmp_path) as engine:  # type: ignore[arg-type]
        texts = [check_stream(await listen(engine, ask())).text for _ in range(4)]

    assert texts == ["half", "I can't.", "whole", "whole"]


async def test_a_cancelled_leader_leaves_the_call_to_its_follower(tmp_path: object) -> None:
    adapter = ScriptedAdapter([Wait(0.02), *answer("fine")])
    admission = ScriptedAdmission()
    async with make_engine(adapter, admission, cache=True, root=tmp_path) as engine:  # type: ignore[arg-type]
        leader = asyncio.create_task(engine.complete(ask()))
        follower = asyncio.create_task(engine.complete(ask()))
        await admission.granted.wait()
        leader.cancel()
        result = await follower
        traffic = engine.statistics().traffic

    assert (result.text, result.cached) == ("fine", False)
    assert len(adapter.book.calls) == 1
    assert admission.outcomes == [Outcome.SUCCESS]
    assert (traffic.answered, traffic.cancelled, traffic.requests) == (1, 1, 2)


# -- records -----------------------------------------------------------------------------------------------------------


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
            assert (traffic.retries, traffic.lanes[0].in_flight) == (1, 1)
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
