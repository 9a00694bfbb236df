"""Open breakers and fallback chains: who waits, who moves on, whose error is shown."""

from __future__ import annotations

import asyncio

from scripted import (
    ScriptedAdapter,
    ScriptedAdmission,
    Wait,
    answer,
    ask,
    end,
    failure,
    listen,
    make_engine,
    run,
    virtually,
)

from workbench.core.clock import NS_PER_S
from workbench.core.errors import (
    BadRequest,
    BreakerOpen,
    ConnectionFailed,
    KeyRejected,
    MissingKey,
    ModelNotFound,
    ServerError,
    UnknownModel,
    WorkbenchError,
)
from workbench.core.events import Admitted, Queued, WaitReason, check_stream
from workbench.core.types import Priority
from workbench.engine.admission import Ticket, Waiter


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


def test_a_request_that_opens_the_breaker_itself_still_says_what_went_wrong() -> None:
    adapter = ScriptedAdapter([ConnectionFailed("refused")])

    error = failure(run(adapter, request=ask(max_retries=9)))

    assert isinstance(error, ConnectionFailed)
    assert "failed too often in a row" in error.hint
    assert len(adapter.book.calls) == 5


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
        def enqueue(self, ticket: Ticket) -> Waiter:
            if ticket.route.spec == FIRST:
                raise MissingKey("openai", ("OPENAI_API_KEY",))
            return super().enqueue(ticket)

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
        def enqueue(self, ticket: Ticket) -> Waiter:
            self.wait_s = 1e6 if ticket.route.spec == FIRST else 0.0
            return super().enqueue(ticket)

    events = run(ScriptedAdapter(answer("fine")), FullFirst(), ask(CHAIN, deadline_s=60))

    result = check_stream(events)
    assert (result.text, result.timing.e2e_s) == ("fine", 30.0)


def test_an_unknown_model_is_a_failure_with_a_suggestion() -> None:
    events = run(ScriptedAdapter(answer("never")), request=ask("claude-sonet-4-6"))

    error = failure(events)
    assert isinstance(error, UnknownModel)
    assert "claude-sonnet" in error.hint
