"""The Responses API, as OpenAI's SDK understands it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

QUESTION = "Explain how an event loop works."
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


async def events(sdk: AsyncOpenAI, **arguments: Any) -> list[Any]:
    stream = await sdk.responses.create(**{"model": "gpt-5.4", "input": QUESTION, "stream": True, **arguments})
    return [event async for event in stream]


def order_of(found: list[Any]) -> list[str]:
    """Event types with neighbours of one kind taken together."""
    return [kind for kind, _ in itertools.groupby(event.type.removeprefix("response.") for event in found)]


SUMMARY = [
    "reasoning_summary_part.added",
    "reasoning_summary_text.delta",
    "reasoning_summary_text.done",
    "reasoning_summary_part.done",
]
MESSAGE = [
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
]


async def test_events_come_in_order_and_numbered(sdk: AsyncOpenAI) -> None:
    found = await events(sdk, reasoning={"effort": "medium", "summary": "auto"})

    assert order_of(found) == [
        "created",
        "in_progress",
        "output_item.added",
        *SUMMARY,
        *SUMMARY,
        "output_item.done",
        *MESSAGE,
        "completed",
    ]
    assert [event.sequence_number for event in found] == list(range(len(found)))


async def test_a_streamed_response_equals_the_whole_one(sdk: AsyncOpenAI) -> None:
    arguments: Any = {"model": "gpt-5.4", "input": QUESTION, "reasoning": {"summary": "auto"}}
    whole = await sdk.responses.create(**arguments)

    found = await events(sdk, **arguments)

    final = found[-1].response
    assert final.output_text == whole.output_text
    assert final.usage == whole.usage
    assert [item.type for item in final.output] == ["reasoning", "message"]
    deltas = "".join(event.delta for event in found if event.type == "response.output_text.delta")
    assert deltas == whole.output_text
    summary = "".join(event.delta for event in found if event.type == "response.reasoning_summary_text.delta")
    assert summary == "".join(part.text for part in final.output[0].summary)


async def test_reasoning_is_counted_in_the_output_and_silent_unless_asked(sdk: AsyncOpenAI) -> None:
    found = await events(sdk)

    usage = found[-1].response.usage
    assert 0 < usage.output_tokens_details.reasoning_tokens < usage.output_tokens
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert not any("summary" in event.type for event in found)


async def test_encrypted_reasoning_is_final_only_in_the_last_event(sdk: AsyncOpenAI) -> None:
    found = await events(sdk, include=["reasoning.encrypted_content"], store=False)

    done = next(event.item for event in found if event.type == "response.output_item.done")
    assert done.encrypted_content
    assert done.encrypted_content != found[-1].response.output[0].encrypted_content


async def test_a_limit_makes_it_incomplete(sdk: AsyncOpenAI) -> None:
    found = await events(sdk, max_output_tokens=400, reasoning={"effort": "none"}, input="Write 900 words about bread.")

    assert found[-1].type == "response.incomplete"
    assert found[-1].response.incomplete_details.reason == "max_output_tokens"
    assert found[-1].response.usage.output_tokens == 400
    assert found[-1].response.output[0].status == "incomplete"


async def test_reasoning_can_use_up_the_limit(sdk: AsyncOpenAI) -> None:
    response = await sdk.responses.create(model="o3", input=QUESTION, max_output_tokens=16)

    assert response.status == "incomplete"
    assert [item.type for item in response.output] == ["reasoning"]
    assert response.output_text == ""


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("error-event;after=3", "response.failed", "server_error"),
        ("error-event;after=3;status=429", "response.failed", "rate_limit_exceeded"),
        ("error-event;after=0;hint=error", "error", "server_error"),
    ],
)
async def test_a_failure_after_the_200_is_an_event(sdk: AsyncOpenAI, fault: str, kind: str, code: str) -> None:
    found = await events(sdk, extra_headers={"x-sim-fault": fault})

    last = found[-1]
    assert last.type == kind
    assert (last.code if kind == "error" else last.response.error.code) == code
    assert last.sequence_number == len(found) - 1


async def test_a_filter_makes_it_incomplete(sdk: AsyncOpenAI) -> None:
    found = await events(sdk, extra_headers={"x-sim-fault": "content-filter;after=6"})

    assert found[-1].response.incomplete_details.reason == "content_filter"


async def test_a_refusal_has_events_of_its_own(sdk: AsyncOpenAI) -> None:
    found = await events(sdk, extra_headers={"x-sim-fault": "refusal"})

    said = "".join(event.delta for event in found if event.type == "response.refusal.delta")
    content = found[-1].response.output[-1].content[0]
    assert said
    assert (content.type, content.refusal) == ("refusal", said)


async def test_a_tool_call_streams_its_arguments(sdk: AsyncOpenAI) -> None:
    found = await events(sdk, input="What is the weather in Oslo?", tools=[TOOL])

    pieces = "".join(event.delta for event in found if event.type == "response.function_call_arguments.delta")
    call = next(item for item in found[-1].response.output if item.type == "function_call")
    assert call.arguments == pieces
    assert "city" in json.loads(pieces)


async def test_a_schema_is_obeyed(sdk: AsyncOpenAI) -> None:
    properties = {"ok": {"type": "boolean"}}
    schema = {"type": "object", "properties": properties, "required": ["ok"], "additionalProperties": False}
    response = await sdk.responses.create(
        model="gpt-5.4",
        input=QUESTION,
        text={"format": {"type": "json_schema", "name": "verdict", "schema": schema, "strict": True}},
    )

    assert isinstance(json.loads(response.output_text)["ok"], bool)


async def test_an_earlier_response_is_part_of_the_prompt(sdk: AsyncOpenAI) -> None:
    first = await sdk.responses.create(model="gpt-4.1", input="Tell me about sourdough bread.")

    second = await sdk.responses.create(model="gpt-4.1", input="why?", previous_response_id=first.id)

    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens + 100
    assert "read" in second.output_text or "flour" in second.output_text
    assert (await sdk.responses.retrieve(first.id)).output_text == first.output_text


async def test_what_was_not_stored_is_not_found(sdk: AsyncOpenAI) -> None:
    first = await sdk.responses.create(model="gpt-4.1", input=QUESTION, store=False)

    with pytest.raises(openai.BadRequestError):
        await sdk.responses.create(model="gpt-4.1", input="why?", previous_response_id=first.id)
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(first.id)


REFUSED = [
    pytest.param({"temperature": 0.2}, "temperature", None, id="temperature"),
    pytest.param({"max_output_tokens": 3}, "max_output_tokens", "invalid_value", id="limit-too-low"),
    pytest.param({"max_tokens": 30}, "max_tokens", "unknown_parameter", id="chat-parameter"),
    pytest.param({"reasoning": {"effort": "ludicrous"}}, "reasoning.effort", "unsupported_value", id="effort"),
    pytest.param({"input": []}, "input", "invalid_value", id="no-input"),
    pytest.param({"input": [{"type": "tarot"}]}, "input[0].type", "invalid_value", id="unknown-item"),
]


@pytest.mark.parametrize(("change", "parameter", "code"), REFUSED)
async def test_what_openai_refuses_is_refused(
    sdk: AsyncOpenAI, change: dict[str, Any], parameter: str, code: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.responses.create(model="gpt-5.4", input=QUESTION, extra_body=change)

    assert (caught.value.param, caught.value.code) == (parameter, code)
