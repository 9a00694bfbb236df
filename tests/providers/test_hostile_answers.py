"""What only a broken server sends, or one that means harm: it ends as an error that says so, and costs no answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from provider_kit import Script, scripted, wired

from workbench.core.clock import ManualClock
from workbench.core.errors import BadRequest, IncompleteStream, MalformedResponse, RateLimited, UnsupportedParameter
from workbench.core.types import FinishReason, Json, Usage
from workbench.providers.complaint import LONGEST_SENTENCE, complaint_in
from workbench.providers.dialogue import Facts
from workbench.providers.failures import LONGEST_MESSAGE, Witness
from workbench.providers.transport_errors import Place

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = "sk-very-secret-key-0001"
WITNESS = Witness(Place("OpenAI", "https://api.openai.invalid/v1", "gpt-4o"), KEY)
DEEP = b"[" * 100_000


def frames(*payloads: object) -> bytes:
    return b"".join(b"data: %s\n\n" % (p if isinstance(p, bytes) else json.dumps(p).encode()) for p in payloads)


def chat(usage: object) -> bytes:
    delta = {"choices": [{"index": 0, "delta": {"content": "Rhine"}}]}
    stop = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return frames(delta, stop, {"choices": [], "usage": usage}, b"[DONE]")


def responses(usage: object) -> bytes:
    return frames(
        {"type": "response.output_text.delta", "delta": "Rhine"},
        {"type": "response.completed", "response": {"status": "completed", "usage": usage}},
    )


def anthropic(usage: object) -> bytes:
    return frames(
        {"type": "message_start", "message": {"usage": usage}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Rhine"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    )


def gemini(usage: object) -> bytes:
    said = {"content": {"parts": [{"text": "Rhine"}]}, "finishReason": "STOP"}
    return frames({"candidates": [said], "usageMetadata": usage})


Answer = Callable[[object], bytes]
FAMILIES: list[tuple[str, Answer, str]] = [
    ("local/any", chat, "prompt_tokens"),
    ("gpt-5", responses, "input_tokens"),
    ("anthropic/claude-sonnet-4-6", anthropic, "input_tokens"),
    ("gemini/gemini-2.5-flash", gemini, "promptTokenCount"),
]


@pytest.mark.parametrize(("model", "answer", "name"), FAMILIES, ids=[model for model, _, _ in FAMILIES])
@pytest.mark.parametrize("count", ["7", 7.0, "7.0"])
async def test_a_count_in_another_notation_counts(model: str, answer: Answer, name: str, count: object) -> None:
    async with scripted(Script(answer({name: count}))) as server, wired(server.base_urls) as wire:
        heard = await wire.ask(model)

    assert heard.error is None
    assert heard.usage.input == 7


@pytest.mark.parametrize(("model", "answer", "name"), FAMILIES, ids=[model for model, _, _ in FAMILIES])
@pytest.mark.parametrize("count", ["lots", 7.5, 1e30, True, [], {}], ids=str)
async def test_no_answer_is_lost_over_a_count_that_is_none(
    model: str, answer: Answer, name: str, count: object
) -> None:
    async with scripted(Script(answer({name: count}))) as server, wired(server.base_urls) as wire:
        heard = await wire.ask(model)

    assert heard.error is None
    assert heard.text == "Rhine"
    assert heard.end.finish_reason is FinishReason.STOP


@pytest.mark.parametrize("usage", [[], 7, "lots", True, {"prompt_tokens": 7, "prompt_tokens_details": []}], ids=str)
async def test_no_answer_is_lost_over_usage_of_another_shape(usage: object) -> None:
    async with scripted(Script(chat(usage))) as server, wired(server.base_urls) as wire:
        streamed = await wire.ask("local/any")
    whole = json.dumps({"choices": [{"message": {"content": "Rhine"}, "finish_reason": "stop"}], "usage": usage})
    script = Script(whole.encode(), content_type="application/json")
    async with scripted(script) as server, wired(server.base_urls) as wire:
        at_once = await wire.ask("local/any", stream=False)

    assert [(heard.text, heard.error) for heard in (streamed, at_once)] == [("Rhine", None)] * 2


async def test_a_finished_answer_is_not_lost_over_what_comes_after_it() -> None:
    body = chat({}).replace(b'"usage": {}', b'"usage": {"prompt_tokens": NaN}')
    async with scripted(Script(body)) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("local/any")

    assert heard.error is None
    assert (heard.text, heard.end.finish_reason) == ("Rhine", FinishReason.STOP)


@pytest.mark.parametrize("before", [b"", frames({"choices": [{"index": 0, "delta": {"content": "Rhine"}}]})])
async def test_half_an_event_at_the_end_is_an_answer_that_broke_off(before: bytes) -> None:
    half = b'data: {"choices": [{"index": 0, "delta": {"con'
    async with scripted(Script(before + half)) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("local/any")

    assert type(heard.error) is IncompleteStream
    assert heard.error.may_retry


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b'{"choices": [{"index": 0, "delta": {"content": "\xff\xfe"}}]}', id="no-utf-8"),
        pytest.param(b'{"choices": ' + DEEP, id="deep"),
        pytest.param(b'{"choices": [], "other": ' + DEEP, id="deep-aside"),
        pytest.param(b'{"error": {"message": "boom"}, "\xff": 1}', id="no-utf-8-beside-an-error"),
    ],
)
async def test_nonsense_amid_an_answer_is_malformed_and_what_came_before_stays(nonsense: bytes) -> None:
    body = frames({"choices": [{"index": 0, "delta": {"content": "Rhine"}}]}, nonsense) + chat({})
    async with scripted(Script(body)) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("local/any")

    assert type(heard.error) is MalformedResponse
    assert heard.text == "Rhine"


@pytest.mark.parametrize("field", ["code", "status", "type"])
def test_a_code_of_five_thousand_digits_is_none(field: str) -> None:
    error = WITNESS.refused(429, (), json.dumps({"error": {field: "9" * 5000, "message": "slow"}}).encode(), NOW)

    assert type(error) is RateLimited
    assert len(str(error)) < LONGEST_MESSAGE


@pytest.mark.parametrize("body", [DEEP, b'{"a":' * 100_000, b"[" * 700 + b"]" * 700], ids=["list", "object", "closed"])
def test_brackets_without_end_are_a_bad_request_like_any_other(body: bytes) -> None:
    assert type(WITNESS.refused(400, (), body, NOW)) is BadRequest


@pytest.mark.parametrize("letters", ["x", "x ", "a.b_", "model ", "parameter ", "try again in 1s "])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_novel_is_not_read_to_its_end(letters: str, wrapped: bool) -> None:
    novel = (letters * 300_000)[:300_000]
    body = json.dumps({"error": {"message": novel}}) if wrapped else novel

    assert len(complaint_in(body.encode()).message) <= LONGEST_SENTENCE
    assert len(WITNESS.refused(400, (), body.encode(), NOW).message) < LONGEST_MESSAGE + 100


def test_a_parameters_name_carries_neither_keys_nor_control_codes() -> None:
    named = {"code": "unsupported_parameter", "message": "no", "param": f"top_p\x1b]0;mine\x07 {KEY}"}

    error = WITNESS.refused(400, (), json.dumps({"error": named}).encode(), NOW)

    assert isinstance(error, UnsupportedParameter)
    assert KEY not in f"{error} {error.parameter}"
    assert "\x1b" not in f"{error} {error.parameter}"


def test_a_price_that_nobody_could_pay_is_not_believed() -> None:
    said: list[Json] = [-0.01, 1e308, float("inf"), float("nan")]

    assert [Usage(1, cost_usd=price).is_plausible for price in said] == [False] * 4  # type: ignore[arg-type]  # numbers
    assert Usage(1, cost_usd=0.02).is_plausible


def test_an_error_event_whose_rest_cannot_be_read_is_malformed() -> None:
    error = Facts(WITNESS, ManualClock()).failed_inside(b'{"error": {"message": "boom"}, "\xff": 1}')

    assert type(error) is MalformedResponse
