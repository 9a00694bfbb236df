"""The engine against simulated providers: real SDKs, real sockets, every wire family, and what can go wrong."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from scripted import ask, failure, kinds, listen

from workbench.core.clock import NS_PER_S
from workbench.core.errors import (
    ConnectionFailed,
    IncompleteStream,
    KeyRejected,
    MalformedResponse,
    ModelNotFound,
    Overloaded,
    QuotaSpent,
    RateLimited,
    ServerError,
    TimedOut,
    TimeoutKind,
    UnknownModel,
    WorkbenchError,
    WrongContentType,
)
from workbench.core.events import Delta, Retrying, check_stream
from workbench.core.settings import CacheSettings, ProviderSettings, RetrySettings, Settings, TimeoutSettings
from workbench.core.types import FinishReason, Params
from workbench.engine.engine import Engine
from workbench.engine.timeline import Span
from workbench.simulator.faults import Fault, FaultKind, FaultRule
from workbench.simulator.journal import Ending
from workbench.simulator.server import SimulatorThread

MODELS = {
    "openai chat": "gpt-4.1-mini",
    "openai responses": "gpt-5.4",
    "anthropic": "anthropic/claude-sonnet-4-6",
    "gemini": "gemini/gemini-3-flash",
    "together": "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "sambanova": "sambanova/Meta-Llama-3.1-8B-Instruct",
    "openrouter": "openrouter/openai/gpt-4.1-mini",
    "local": "local/qwen3-8b",
}
every_family = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
one_per_wire = pytest.mark.parametrize(
    "model",
    [MODELS[name] for name in ("openai chat", "openai responses", "anthropic", "gemini")],
    ids=["chat", "responses", "anthropic", "gemini"],
)


@pytest.fixture(scope="module")
def running() -> Iterator[SimulatorThread]:
    with SimulatorThread("fast") as simulator:
        yield simulator


class Stage:
    """A simulator with a clean slate, and engines that know no other provider."""

    def __init__(self, simulator: SimulatorThread, root: Path) -> None:
        self.simulator = simulator
        self._root = root

    def fault(self, kind: FaultKind, *, times: int | None = None, skip: int = 0, **options: Any) -> None:
        rule = FaultRule((Fault(kind, **options),), count=times, skip=skip)
        self.simulator.call(lambda simulation: simulation.faults.set_rules([rule]))

    def requests(self) -> int:
        return self.simulator.call(lambda simulation: simulation.journal.tally().requests)

    def endings(self) -> list[Ending]:
        """How each request ended, once the simulator has noticed."""
        for _ in range(200):
            found = self.simulator.call(lambda simulation: [entry.ending for entry in simulation.journal.entries()])
            if Ending.OPEN not in found:
                break
        return found

    def engine(
        self, *, keys: str | tuple[str, ...] = (), base_urls: dict[str, str] | None = None, **chosen: Any
    ) -> Engine:
        urls = {**self.simulator.base_urls, **(base_urls or {})}
        settings = Settings(
            providers={
                name: ProviderSettings(base_url=url, keys=keys or self.simulator.api_key) for name, url in urls.items()
            },
            cache=CacheSettings(enabled=chosen.pop("cache", False)),
            retry=RetrySettings(max_retries=chosen.pop("retries", 3), retry_delay_s=0.001),
            timeouts=TimeoutSettings(**chosen.pop("timeouts", {})),
        )
        assert not chosen
        return Engine(settings, environ={"LLM_CACHE_DIR": str(self._root), "LLM_STATE_DIR": str(self._root)})


@pytest.fixture
def stage(running: SimulatorThread, tmp_path: Path) -> Stage:
    running.call(lambda simulation: simulation.reset())
    return Stage(running, tmp_path)


@every_family
async def test_every_wire_family_answers(stage: Stage, model: str) -> None:
    async with stage.engine() as engine:
        events = await listen(engine, ask(model, text="Why is the sky blue?"))

    result = check_stream(events)
    assert len(result.text) > 100
    assert result.finish_reason is FinishReason.STOP
    assert result.usage is not None
    assert result.usage.output > 20
    assert result.timing.ttft_s is not None
    assert 0 <= result.timing.ttft_s <= (result.timing.service_s or 0)
    assert stage.requests() == 1


@one_per_wire
async def test_a_request_is_sent_once_and_exactly_our_retries_times_again(stage: Stage, model: str) -> None:
    stage.fault(FaultKind.RESET)
    async with stage.engine() as engine:
        events = await listen(engine, ask(model))

    assert isinstance(failure(events), ConnectionFailed)
    assert stage.requests() == 1 + 3
    assert sum(isinstance(event, Retrying) for event in events) == 3


@one_per_wire
async def test_sdks_add_no_retries_of_their_own(stage: Stage, model: str) -> None:
    stage.fault(FaultKind.UNAVAILABLE)
    async with stage.engine(retries=0) as engine:
        error = failure(await listen(engine, ask(model)))

    assert isinstance(error, Overloaded)
    assert stage.requests() == 1


@one_per_wire
async def test_the_same_server_error_ends_after_three_times(stage: Stage, model: str) -> None:
    stage.fault(FaultKind.POISON)
    async with stage.engine() as engine:
        error = failure(await listen(engine, ask(model)))

    assert isinstance(error, ServerError)
    assert "3 times" in error.hint
    assert stage.requests() == 3


@one_per_wire
@pytest.mark.parametrize(
    "fault",
    [
        (FaultKind.RESET, {}),
        (FaultKind.BAD_GATEWAY, {}),
        (FaultKind.ERROR_EVENT, {"after": 0}),
        (FaultKind.EMPTY, {}),
        (FaultKind.CUT, {"after": 0}),
    ],
    ids=lambda fault: fault[0].value,
)
async def test_a_fault_before_the_first_token_is_made_good(
    stage: Stage, model: str, fault: tuple[FaultKind, dict[str, Any]]
) -> None:
    stage.fault(fault[0], times=2, **fault[1])
    async with stage.engine() as engine:
        events = await listen(engine, ask(model))

    result = check_stream(events)
    assert result.finish_reason is FinishReason.STOP
    assert (result.attempts, stage.requests()) == (3, 3)


@one_per_wire
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FaultKind.ERROR_EVENT, ServerError | Overloaded),
        (FaultKind.CUT, IncompleteStream),
        (FaultKind.DROP, ConnectionFailed | IncompleteStream),
    ],
    ids=lambda value: value.value if isinstance(value, FaultKind) else "",
)
async def test_a_fault_in_the_middle_keeps_the_text_and_is_not_hidden(
    stage: Stage, model: str, kind: FaultKind, expected: type[WorkbenchError]
) -> None:
    stage.fault(kind, after=5)
    async with stage.engine() as engine:
        events = await listen(engine, ask(model))

    error = failure(events)
    assert isinstance(error, expected)
    partial = check_stream(events)
    assert partial.text or partial.reasoning
    assert partial.finish_reason is FinishReason.INCOMPLETE
    assert stage.requests() == 1


@one_per_wire
async def test_a_refusal_by_a_limit_is_waited_for(stage: Stage, model: str) -> None:
    stage.fault(FaultKind.RATE_REQUESTS, times=1, retry_after=0.05, hint="ms")
    async with stage.engine() as engine:
        events = await listen(engine, ask(model))
        traffic = engine.statistics().traffic

    assert check_stream(events).finish_reason is FinishReason.STOP
    assert [type(event.error) for event in events if isinstance(event, Retrying)] == [RateLimited]
    assert (traffic.refusals, traffic.retries) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FaultKind.UNAUTHORIZED, KeyRejected),
        (FaultKind.SPENT, QuotaSpent),
        (FaultKind.NOT_FOUND, ModelNotFound),
        (FaultKind.HTML, WrongContentType),
        (FaultKind.GARBLED_JSON, MalformedResponse),
    ],
    ids=lambda value: value.value if isinstance(value, FaultKind) else "",
)
async def test_what_cannot_get_better_is_said_once_and_clearly(
    stage: Stage, kind: FaultKind, expected: type[WorkbenchError]
) -> None:
    stage.fault(kind, after=0)
    async with stage.engine() as engine:
        error = failure(await listen(engine, ask("gpt-4.1-mini")))

    assert isinstance(error, expected)
    assert stage.simulator.api_key not in str(error)
    assert stage.requests() == 1


async def test_a_dead_key_among_live_ones_costs_one_request(stage: Stage) -> None:
    async with stage.engine(keys=("sim-key-dead", "sim-key-2")) as engine:
        for n in range(3):
            assert (await engine.complete(ask("gpt-4.1-mini", text=f"Question {n}"))).text

    assert stage.requests() <= 4


async def test_a_parameter_that_is_refused_is_left_out_and_stays_out(stage: Stage) -> None:
    stage.fault(FaultKind.UNSUPPORTED, times=1, parameter="seed")
    async with stage.engine() as engine:
        first = await engine.complete(ask("gpt-4.1-mini", params=Params(seed=7)))
        second = await engine.complete(ask("gpt-4.1-mini", text="And now?", params=Params(seed=7)))

    assert (first.attempts, second.attempts) == (2, 1)
    assert any(note.startswith("seed:") for note in second.notes)


async def test_silence_in_the_middle_times_out_with_what_there_was(stage: Stage) -> None:
    stage.fault(FaultKind.STALL, after=3)
    async with stage.engine(timeouts={"idle_s": 0.2}) as engine:
        events = await listen(engine, ask("gpt-4.1-mini"))

    error = failure(events)
    assert isinstance(error, TimedOut)
    assert error.kind is TimeoutKind.IDLE
    partial = check_stream(events)
    assert (bool(partial.text), partial.finish_reason) == (True, FinishReason.TIMED_OUT)


async def test_a_first_token_that_never_comes_times_out_and_is_tried_again(stage: Stage) -> None:
    stage.fault(FaultKind.SLOW_FIRST_TOKEN, times=1)
    async with stage.engine(timeouts={"first_token_s": 0.3}) as engine:
        events = await listen(engine, ask("gpt-4.1-mini"))

    assert check_stream(events).attempts == 2
    [retry] = [event for event in events if isinstance(event, Retrying)]
    assert isinstance(retry.error, TimedOut)


@one_per_wire
async def test_closing_the_stream_closes_the_response(stage: Stage, model: str) -> None:
    stage.fault(FaultKind.STALL, after=3)
    async with stage.engine() as engine, aclosing(engine.stream(ask(model))) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        await events.aclose()
        assert engine.statistics().traffic.in_flight == 0

    assert stage.endings() == [Ending.CANCELLED]


async def test_an_unreachable_server_hands_over_to_the_next_target(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with stage.engine(base_urls={"local": f"http://127.0.0.1:{port}/v1"}) as engine:
        events = await listen(engine, ask("local/qwen3-8b | gpt-4.1-mini"))

    result = check_stream(events)
    assert (result.route.provider, result.attempts) == ("openai", 5)
    assert {type(event.error) for event in events if isinstance(event, Retrying)} == {ConnectionFailed}


async def test_identical_requests_are_one_request_at_the_provider(stage: Stage) -> None:
    async with stage.engine(cache=True) as engine:
        async with asyncio.TaskGroup() as tasks:
            callers = [tasks.create_task(engine.complete(ask("gpt-4.1-mini"))) for _ in range(8)]
        again = await listen(engine, ask("gpt-4.1-mini"))

    assert len({caller.result().text for caller in callers}) == 1
    assert kinds(again)[0] == "CacheHit"
    assert check_stream(again).text == callers[0].result().text
    assert stage.requests() == 1


async def test_answers_survive_the_engine_that_got_them(stage: Stage) -> None:
    async with stage.engine(cache=True) as engine:
        first = await engine.complete(ask("gemini/gemini-3-flash"))
    async with stage.engine(cache=True) as engine:
        second = await engine.complete(ask("gemini/gemini-3-flash"))

    assert (second.cached, second.text, second.reasoning) == (True, first.text, first.reasoning)
    assert stage.requests() == 1


async def test_many_models_at_once_do_not_disturb_each_other(stage: Stage) -> None:
    async with stage.engine() as engine, asyncio.TaskGroup() as tasks:
        lanes = [
            tasks.create_task(listen(engine, ask(model, text=f"{n}?"))) for n in range(4) for model in MODELS.values()
        ]

    assert all(check_stream(lane.result()).finish_reason is FinishReason.STOP for lane in lanes)
    assert stage.requests() == 4 * len(MODELS)


async def test_an_answer_in_one_piece_is_the_same_answer(stage: Stage) -> None:
    async with stage.engine() as engine:
        streamed = await engine.complete(ask("gpt-4.1-mini"))
        whole = await engine.complete(ask("gpt-4.1-mini"), stream=False)

    assert whole.text == streamed.text
    assert whole.timing.ttft_s is None


@one_per_wire
async def test_a_ttft_says_how_late_its_own_stamp_may_be(stage: Stage, model: str) -> None:
    async with stage.engine() as engine:
        result = await engine.complete(ask(model))

        errors = engine.statistics().traffic.ttft_error_s

    timing = result.timing
    assert timing.first_token_ns is not None
    assert 0 < timing.ttft_error_ns < timing.first_token_ns - timing.submitted_ns
    assert errors.n == 1


async def test_a_window_that_a_person_sets_is_the_charts_limit_at_once(stage: Stage) -> None:
    async with stage.engine() as engine:
        await engine.complete(ask("gpt-4.1-mini"))
        assert engine.limiter is not None
        engine.limiter.pin_window(engine.limiter.statistics().lanes[0].name, 3)

        later_ns = time.monotonic_ns() + 2 * NS_PER_S
        series = engine._hub.series(Span.MINUTE, later_ns)

    assert series.limit[-1] == 3


async def test_warming_connects_ahead_and_ignores_what_it_cannot_know(stage: Stage) -> None:
    async with stage.engine() as engine:
        ready = await engine.warm(["gpt-4.1-mini", "no such model", "anthropic/claude-sonnet-4-6"], requests=2)
        pools = {pool.provider for pool in engine.statistics().pools}

    assert ready >= 2
    assert pools == {"openai", "anthropic"}
    assert stage.requests() == 0


async def test_an_unknown_model_reaches_no_provider(stage: Stage) -> None:
    async with stage.engine() as engine:
        error = failure(await listen(engine, ask("gpt5.4 mini")))

    assert isinstance(error, UnknownModel)
    assert stage.requests() == 0


@one_per_wire
async def test_a_refusal_can_be_told_while_its_request_still_waits_to_be_sent_again(stage: Stage, model: str) -> None:
    stage.fault(FaultKind.RATE_REQUESTS, times=1, retry_after=60.0)
    async with stage.engine() as engine, aclosing(engine.stream(ask(model))) as events:
        async for event in events:
            if isinstance(event, Retrying):
                break
        (refused,), ended = engine.failures, engine.records

    assert (refused.status, refused.error, ended) == (429, "rate limit", ())
    assert refused.key_alias is not None
    assert isinstance(event, Retrying)
    assert refused.said == event.error.message
