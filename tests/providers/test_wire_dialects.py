"""Every dialect through its real SDK (or our own client) to the simulator, over real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from provider_kit import Wire

from workbench.core.errors import (
    BadRequest,
    ConnectionFailed,
    ContentBlocked,
    ContextOverflow,
    EmptyStream,
    IncompleteStream,
    KeyRejected,
    LimitKind,
    MalformedResponse,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaSpent,
    RateLimited,
    RequestTooLarge,
    ServerError,
    TimedOut,
    TimeoutKind,
    UnsupportedParameter,
    WrongContentType,
)
from workbench.core.events import Delta
from workbench.core.types import FinishReason, Message, Params
from workbench.providers.base import Deadlines
from workbench.providers.capabilities import wire_family
from workbench.simulator.journal import Ending
from workbench.simulator.server import SimulatorThread


@dataclass(frozen=True)
class Row:
    """One provider row, and what its dialect does."""

    model: str
    reasons: bool = False
    request_id: bool = True
    length: str = "length"
    has_end_mark: bool = True
    """False where a finish reason is all the end there is."""


ROWS = [
    pytest.param(Row("gpt-4o"), id="openai-chat"),
    pytest.param(Row("gpt-5", reasons=True, length="max_output_tokens", has_end_mark=False), id="openai-responses"),
    pytest.param(Row("together_ai/openai/gpt-oss-120b", reasons=True, request_id=False), id="together"),
    pytest.param(Row("sambanova/gpt-oss-120b", reasons=True, request_id=False), id="sambanova"),
    pytest.param(Row("openrouter/openai/gpt-5.4", reasons=True), id="openrouter"),
    pytest.param(Row("local/qwen3-8b", reasons=True, request_id=False), id="local"),
    pytest.param(Row("anthropic/claude-sonnet-4-6", length="max_tokens"), id="anthropic"),
    pytest.param(Row("gemini/gemini-2.5-flash", True, False, "MAX_TOKENS", has_end_mark=False), id="gemini"),
]
rows = pytest.mark.parametrize("row", ROWS)


async def settled(simulator: SimulatorThread) -> None:
    """Until the simulator has noticed that nobody listens any more."""
    async with asyncio.timeout(60):
        while any(entry.ending is Ending.OPEN for entry in entries(simulator)):
            await asyncio.to_thread(simulator.call, lambda simulation: None)


def entries(simulator: SimulatorThread) -> list[Any]:
    return simulator.call(lambda simulation: list(simulation.journal._entries))


@rows
async def test_an_answer_streams_to_its_end(wire: Wire, row: Row) -> None:
    heard = await wire.ask(row.model, "Name three rivers.")

    assert heard.error is None
    assert heard.text
    assert "<think>" not in heard.text
    assert bool(heard.reasoning) is row.reasons
    assert heard.end.finish_reason is FinishReason.STOP
    assert heard.usage.input > 0
    assert heard.usage.output > heard.usage.reasoning >= (1 if row.reasons else 0)
    assert bool(heard.opened.request_id) is row.request_id
    assert heard.opened.sent_ns <= heard.opened.at_ns
    assert dict(heard.opened.headers)["content-type"].startswith("text/event-stream")


@rows
async def test_the_same_answer_comes_whole(wire: Wire, row: Row) -> None:
    streamed = await wire.ask(row.model, "Name three rivers.")
    whole = await wire.ask(row.model, "Name three rivers.", stream=False)

    assert whole.error is None
    assert (whole.text, whole.reasoning) == (streamed.text, streamed.reasoning)
    assert whole.usage == streamed.usage
    assert whole.end.finish_reason is FinishReason.STOP


@rows
async def test_the_callers_limit_is_sent_and_its_end_is_named(wire: Wire, row: Row) -> None:
    heard = await wire.ask(row.model, "Name three rivers.", params=Params(max_tokens=2_000))
    short = await wire.ask(f"{row.model}!length;after=3", "Name three rivers.")

    assert heard.error is None
    assert short.end.finish_reason is FinishReason.LENGTH
    assert short.end.raw_reason == row.length


@rows
async def test_each_call_is_one_request_with_the_key_in_a_header_alone(
    wire: Wire, row: Row, simulator: SimulatorThread
) -> None:
    await wire.ask(row.model, key="sim-key-31")

    [entry] = entries(simulator)
    assert entry.key == "sim-key-31"
    assert "sim-key-31" not in repr(entry.body)


@rows
async def test_system_messages_reach_the_model_as_such(wire: Wire, row: Row, simulator: SimulatorThread) -> None:
    messages = (
        Message.system("Be brief."),
        Message.user("One?"),
        Message.assistant("Yes."),
        Message.user("Two?"),
    )

    heard = await wire.hear(wire.call(row.model, messages))

    assert heard.error is None
    [entry] = entries(simulator)
    body = repr(entry.body)
    assert body.index("One?") < body.index("Yes.") < body.index("Two?")
    assert "Be brief." in body


REFUSALS: dict[str, tuple[type[ProviderError], LimitKind | None]] = {
    "rate-requests": (RateLimited, LimitKind.REQUESTS),
    "rate-tokens": (RateLimited, LimitKind.TOKENS),
    "rate-concurrency": (RateLimited, LimitKind.CONCURRENCY),
    "rate-day": (QuotaSpent, None),
    "limit-zero": (QuotaSpent, None),
    "spent": (QuotaSpent, None),
    "unauthorized": (KeyRejected, None),
    "forbidden": (KeyRejected, None),
    "not-found": (ModelNotFound, None),
    "context-overflow": (ContextOverflow, None),
    "too-large": (RequestTooLarge, None),
    "blocked": (ContentBlocked, None),
    "server-error": (ServerError, None),
    "bad-gateway": (ServerError, None),
    "unavailable": (Overloaded, None),
    "overloaded": (Overloaded, None),
    "html": (WrongContentType, None),
    "html-error": (ServerError, None),
    "reset": (ConnectionFailed, None),
}
EXCEPTIONS: dict[str, dict[str, tuple[type[ProviderError], LimitKind | None]]] = {
    # One sentence for every limit, and it speaks of requests per minute.
    "openrouter": dict.fromkeys(("rate-tokens", "rate-concurrency", "rate-day"), (RateLimited, LimitKind.REQUESTS)),
    "gemini": {"rate-tokens": (RateLimited, LimitKind.INPUT_TOKENS)},
}


@rows
async def test_every_refusal_is_what_it_is_and_is_sent_once(wire: Wire, row: Row, simulator: SimulatorThread) -> None:
    expected = REFUSALS | EXCEPTIONS.get(row.model.partition("/")[0], {})

    heard = {fault: await wire.ask(f"{row.model}!{fault}") for fault in expected}

    errors = {fault: one.error for fault, one in heard.items()}
    assert {fault: (type(error), getattr(error, "limit", None)) for fault, error in errors.items()} == expected
    # A connection that breaks before a byte came back may be one the server had closed: the transport may try another.
    answered = [entry.status for entry in entries(simulator) if entry.status]
    assert len(answered) == len(expected) - 1
    assert not any("sim-key-1" in f"{error!r} {error}" for error in errors.values())
    assert [fault for fault, error in errors.items() if error and not error.hint] == ["reset"]


@rows
async def test_a_wait_is_read_from_wherever_it_is_said(wire: Wire, row: Row) -> None:
    heard = await wire.ask(f"{row.model}!rate-requests;retry_after=7")

    assert isinstance(heard.error, RateLimited)
    assert heard.error.retry_after_s == pytest.approx(7, abs=1.1)


@rows
async def test_an_error_inside_the_answer_is_an_error_after_what_came_before(wire: Wire, row: Row) -> None:
    heard = await wire.ask(f"{row.model}!error-event;after=4")

    assert isinstance(heard.error, ServerError | Overloaded)
    assert heard.text or heard.reasoning


@rows
@pytest.mark.parametrize("fault", ["cut;after=4", "truncated-json;after=4"])
async def test_an_answer_without_its_end_is_incomplete(wire: Wire, row: Row, fault: str) -> None:
    heard = await wire.ask(f"{row.model}!{fault}")

    assert isinstance(heard.error, IncompleteStream | MalformedResponse)
    assert heard.text or heard.reasoning


@rows
async def test_a_broken_connection_leaves_an_incomplete_answer(wire: Wire, row: Row) -> None:
    heard = await wire.ask(f"{row.model}!drop;after=4")

    assert isinstance(heard.error, IncompleteStream)
    assert heard.text or heard.reasoning


@rows
async def test_a_cut_before_any_output_is_incomplete_or_empty(wire: Wire, row: Row) -> None:
    opening = await wire.ask(f"{row.model}!cut;after=0")
    nothing = await wire.ask(f"{row.model}!empty")

    assert isinstance(opening.error, IncompleteStream | EmptyStream)
    assert isinstance(nothing.error, EmptyStream)


@rows
async def test_a_finish_reason_is_an_end_even_without_the_end_mark(wire: Wire, row: Row) -> None:
    if not row.has_end_mark:
        pytest.skip("the finish reason is its only end mark")

    heard = await wire.ask(f"{row.model}!no-done")

    assert heard.error is None
    assert heard.end.finish_reason is FinishReason.STOP


@rows
async def test_garbled_json_is_malformed(wire: Wire, row: Row) -> None:
    heard = await wire.ask(f"{row.model}!garbled-json;after=4")

    assert isinstance(heard.error, MalformedResponse)


CUTS = ("crlf", "cr", "split", "whole", "comments", "pings", "blank-data", "no-final-newline", "split;size=3,crlf")


@rows
async def test_however_the_bytes_are_cut_the_answer_is_the_same(wire: Wire, row: Row) -> None:
    prompt = "Rivières, 川, 🌊 please."
    plain = await wire.ask(f"{row.model}!length;after=10", prompt)

    odd = {cut: await wire.ask(f"{row.model}!length;after=10,{cut}", prompt) for cut in CUTS}

    assert {cut: (heard.text, heard.reasoning) for cut, heard in odd.items()} == dict.fromkeys(
        CUTS, (plain.text, plain.reasoning)
    )


RIDES = ("usage-on-last", "usage-on-every", "usage-twice", "empty-choices", "missing-choices")


@rows
async def test_wherever_usage_rides_it_is_counted_once(wire: Wire, row: Row) -> None:
    plain = await wire.ask(f"{row.model}!length;after=10")

    odd = {ride: await wire.ask(f"{row.model}!length;after=10,{ride}") for ride in RIDES}

    assert {ride: (heard.text, heard.usage) for ride, heard in odd.items()} == dict.fromkeys(
        RIDES, (plain.text, plain.usage)
    )


@rows
async def test_a_silent_answer_is_complete_and_empty(wire: Wire, row: Row) -> None:
    heard = await wire.ask(f"{row.model}!silent")

    assert heard.error is None
    assert heard.text == ""
    assert heard.end.finish_reason is FinishReason.STOP


@rows
async def test_a_refusal_by_the_model_is_named(wire: Wire, row: Row) -> None:
    heard = await wire.ask(f"{row.model}!refusal")

    assert heard.error is None
    # Compatible hosts have no word for it: there a refusal is an answer like any other.
    assert heard.end.finish_reason in (FinishReason.REFUSAL, FinishReason.CONTENT_FILTER, FinishReason.STOP)
    if row.model in ("gpt-4o", "gpt-5", "anthropic/claude-sonnet-4-6"):
        assert heard.end.finish_reason is FinishReason.REFUSAL


@rows
async def test_a_filter_that_steps_in_is_named(wire: Wire, row: Row) -> None:
    heard = await wire.ask(f"{row.model}!content-filter")

    if heard.error is None:
        assert heard.end.finish_reason in (FinishReason.CONTENT_FILTER, FinishReason.REFUSAL)
    else:
        assert isinstance(heard.error, ContentBlocked)


# What must run out is short; what must not outlasts any stall of the machine.
NO_BEGINNING = Deadlines(connect_s=60.0, first_token_s=0.2, idle_s=120.0, total_s=120.0)
NO_MORE = Deadlines(connect_s=60.0, first_token_s=120.0, idle_s=0.2, total_s=120.0)


@rows
async def test_silence_before_an_answer_has_its_own_deadline(wire: Wire, row: Row) -> None:
    heard = await wire.ask(f"{row.model}!slow-first-token,pings", deadlines=NO_BEGINNING)

    assert isinstance(heard.error, TimedOut)
    assert heard.error.kind is TimeoutKind.FIRST_TOKEN


@rows
async def test_silence_within_an_answer_has_its_own_deadline(wire: Wire, row: Row) -> None:
    heard = await wire.ask(f"{row.model}!stall;after=4", deadlines=NO_MORE)

    assert isinstance(heard.error, TimedOut)
    assert heard.error.kind is TimeoutKind.IDLE


async def test_a_parameter_that_is_refused_is_left_out_once_it_is_remembered(wire: Wire) -> None:
    model = "gpt-4o!unsupported;parameter=seed"
    params = Params(seed=1)

    first = await wire.ask(model, params=params)
    assert isinstance(first.error, UnsupportedParameter)
    assert first.error.parameter == "seed"
    route = wire.call(model).route
    assert wire.memory.remember(route, first.error.parameter)

    again = await wire.ask("gpt-4o", params=params)
    wire.memory.remember(wire.call("gpt-4o").route, "seed")
    without = await wire.ask("gpt-4o", params=params)

    assert again.opened.notes == ()
    assert without.opened.notes == ("seed: left out, gpt-4o has refused it.",)


async def test_openrouter_states_its_price_and_is_told_who_asks(wire: Wire, simulator: SimulatorThread) -> None:
    heard = await wire.ask("openrouter/openai/gpt-5.4")

    assert heard.usage.cost_usd is not None
    assert heard.usage.cost_usd > 0
    [entry] = entries(simulator)
    assert entry.headers["x-title"] == "llm-workbench"
    assert entry.headers["http-referer"] == "http://localhost"
    assert entry.body["provider"] == {"sort": "price"}


async def test_responses_are_not_stored_and_reasoning_is_asked_for_encrypted(
    wire: Wire, simulator: SimulatorThread
) -> None:
    await wire.ask("gpt-5", params=Params(reasoning_effort="high"))

    [entry] = entries(simulator)
    assert entry.body["store"] is False
    assert entry.body["include"] == ["reasoning.encrypted_content"]
    assert entry.body["reasoning"] == {"summary": "auto", "effort": "high"}
    assert entry.body["stream_options"] == {"include_obfuscation": False}


async def test_thinking_is_asked_for_and_shown(wire: Wire, simulator: SimulatorThread) -> None:
    budget = await wire.ask("anthropic/claude-haiku-4-5", params=Params(thinking_budget=2_000))
    effort = await wire.ask("anthropic/claude-sonnet-4-6", params=Params(reasoning_effort="high"))
    level = await wire.ask("gemini/gemini-3-flash", params=Params(reasoning_effort="low"))
    off = await wire.ask("gemini/gemini-2.5-flash", params=Params(thinking_budget=0))

    assert [bool(heard.reasoning) for heard in (budget, effort, level, off)] == [True, True, True, False]
    assert [heard.error for heard in (budget, effort, level, off)] == [None] * 4


async def test_cache_control_marks_the_system_text_and_stays_for_the_conversation(
    wire: Wire, simulator: SimulatorThread
) -> None:
    mark = {"type": "ephemeral", "ttl": "5m"}

    heard = await wire.hear(wire.call("anthropic/claude-sonnet-4-6", params=Params(extra=(("cache_control", mark),))))

    [entry] = entries(simulator)
    assert entry.body["cache_control"] == mark
    assert entry.body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": mark}]
    assert heard.error is None


async def test_cached_prompt_tokens_count_as_input_in_every_dialect(wire: Wire) -> None:
    long = "A river is water that has somewhere to be. " * 400

    for model in ("gpt-4o", "gpt-5", "anthropic/claude-sonnet-4-6", "gemini/gemini-2.5-flash"):
        extra = (("cache_control", {"type": "ephemeral"}),) if "claude" in model else ()
        first = await wire.ask(model, long, params=Params(extra=extra))
        again = await wire.ask(model, long, params=Params(extra=extra))

        assert again.usage.input == first.usage.input > 1_024
        assert 0 < again.usage.cached_input <= again.usage.input, model


async def test_a_bad_value_is_a_bad_request_with_the_providers_own_words(wire: Wire) -> None:
    heard = await wire.ask("gpt-4o", params=Params(temperature=9.0))

    assert isinstance(heard.error, BadRequest)
    assert "temperature" in heard.error.message


async def test_closing_an_answer_early_lets_the_provider_know(wire: Wire, simulator: SimulatorThread) -> None:
    for model in ("gpt-4o", "gpt-5", "anthropic/claude-sonnet-4-6", "gemini/gemini-2.5-flash"):
        call = wire.call(f"{model}!stall;after=4")
        events = wire.adapters[wire_family(call.spec, call.route.wire_model, call.params)].open(call)

        async for event in events:
            if isinstance(event, Delta):
                break
        await events.aclose()

    await settled(simulator)
    assert [entry.ending for entry in entries(simulator)] == [Ending.CANCELLED] * 4


async def test_sdk_messages_are_not_logged_with_the_key(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        await wire.ask("gpt-4o", key="sim-key-77")
        await wire.ask("gemini/gemini-2.5-flash", key="sim-key-77")
        await wire.ask("anthropic/claude-sonnet-4-6", key="sim-key-77")

    assert "sim-key-77" not in caplog.text
