"""OpenAI's dialects, as its own SDK understands them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema
import openai
import pytest
from openai import AsyncOpenAI

from workbench.simulator.server import SimulatorThread

QUESTION = [{"role": "user", "content": "Explain how an event loop works."}]
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "population": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": {"enum": ["old", "new"]}, "minItems": 2},
    },
    "required": ["city", "population", "tags"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


async def chunks(sdk: AsyncOpenAI, **arguments: Any) -> list[Any]:
    arguments = {"model": "gpt-4.1", "messages": QUESTION, **arguments}
    stream = await sdk.chat.completions.create(stream=True, **arguments)
    return [chunk async for chunk in stream]


def text_of(found: list[Any], index: int = 0) -> str:
    choices = [choice for chunk in found for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


async def test_a_stream_opens_with_the_role_and_ends_with_a_reason(sdk: AsyncOpenAI) -> None:
    found = await chunks(sdk)

    first, last = found[0].choices[0], found[-1].choices[0]
    assert (first.delta.role, first.delta.content, first.finish_reason) == ("assistant", "", None)
    assert (last.delta.content, last.finish_reason) == (None, "stop")
    assert len(text_of(found)) > 200
    assert len({chunk.id for chunk in found}) == 1


async def test_a_streamed_answer_equals_the_whole_one(sdk: AsyncOpenAI) -> None:
    whole = await sdk.chat.completions.create(model="gpt-4.1", messages=QUESTION)

    found = await chunks(sdk, stream_options={"include_usage": True})

    assert text_of(found) == whole.choices[0].message.content
    assert found[-1].choices == []
    assert found[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in found[:-1])


async def test_usage_comes_only_when_it_is_asked_for(sdk: AsyncOpenAI) -> None:
    assert all(chunk.usage is None for chunk in await chunks(sdk))


async def test_every_event_carries_one_token(sdk: AsyncOpenAI) -> None:
    found = await chunks(sdk, stream_options={"include_usage": True})

    spoken = [chunk for chunk in found if chunk.choices and chunk.choices[0].delta.content]
    assert len(spoken) == found[-1].usage.completion_tokens


async def test_the_limit_ends_the_answer_and_is_named(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="gpt-4.1", messages=QUESTION, max_tokens=12)

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12


async def test_a_stop_sequence_is_left_out_of_the_answer(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="gpt-4.1", messages=QUESTION, stop=["loop"])

    assert answer.choices[0].finish_reason == "stop"
    assert "loop" not in (answer.choices[0].message.content or "")


async def test_several_samples_differ_and_their_tokens_add_up(sdk: AsyncOpenAI) -> None:
    found = await chunks(sdk, n=3, stream_options={"include_usage": True})

    texts = {text_of(found, index) for index in range(3)}
    assert len(texts) == 3
    assert sum(1 for chunk in found for choice in chunk.choices if choice.finish_reason) == 3
    spoken = sum(1 for chunk in found for choice in chunk.choices if choice.delta.content)
    assert found[-1].usage.completion_tokens == spoken


async def test_a_schema_is_obeyed(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(
        model="gpt-5.4",
        messages=QUESTION,
        response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}},
    )

    jsonschema.validate(json.loads(answer.choices[0].message.content or ""), SCHEMA)


async def test_any_object_is_an_object(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(
        model="gpt-4.1", messages=QUESTION, response_format={"type": "json_object"}
    )

    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


async def test_a_tool_is_called_in_pieces_that_join_to_its_arguments(sdk: AsyncOpenAI) -> None:
    found = await chunks(sdk, tools=[WEATHER], messages=[{"role": "user", "content": "What is the weather in Oslo?"}])

    calls = [call for chunk in found for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert calls[0].function.name == "get_weather"
    assert "city" in json.loads("".join(call.function.arguments or "" for call in calls))
    assert found[-1].choices[0].finish_reason == "tool_calls"


async def test_a_question_about_something_else_calls_no_tool(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="gpt-4.1", messages=QUESTION, tools=[WEATHER])

    assert answer.choices[0].message.tool_calls is None


async def test_hidden_reasoning_is_counted_and_not_shown(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="gpt-5.4", messages=QUESTION, reasoning_effort="high")

    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    reasoning = answer.usage.completion_tokens_details.reasoning_tokens
    assert reasoning is not None
    assert 0 < reasoning < answer.usage.completion_tokens
    assert not hasattr(answer.choices[0].message, "reasoning_content")


async def test_no_effort_means_no_reasoning(sdk: AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="gpt-5.4", messages=QUESTION, reasoning_effort="none")

    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 0


async def test_a_long_prefix_is_cached_from_the_second_request_on(sdk: AsyncOpenAI) -> None:
    prompt = "Here is a long document. " * 400
    asked = [{"role": "system", "content": prompt}, *QUESTION]

    first = await sdk.chat.completions.create(model="gpt-5.6", messages=asked, reasoning_effort="none")
    second = await sdk.chat.completions.create(model="gpt-5.6", messages=asked, reasoning_effort="none")

    assert first.usage is not None
    assert second.usage is not None
    before, after = first.usage.prompt_tokens_details, second.usage.prompt_tokens_details
    assert before is not None
    assert after is not None
    assert (before.cached_tokens, after.cache_write_tokens) == (0, 0)
    assert before.cache_write_tokens == after.cached_tokens
    assert after.cached_tokens is not None
    assert after.cached_tokens >= 1024
    assert after.cached_tokens % 128 == 0


async def test_obfuscation_is_on_unless_it_is_declined(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    async def bodies(options: dict[str, Any]) -> str:
        response = await client.post(
            f"{simulator.base_urls['openai']}/chat/completions",
            headers={"authorization": f"Bearer {simulator.api_key}"},
            json={"model": "gpt-4.1", "messages": QUESTION, "stream": True, **options},
        )
        return response.text

    assert '"obfuscation":' in await bodies({})
    assert '"obfuscation":' not in await bodies({"stream_options": {"include_obfuscation": False}})


REFUSED = [
    pytest.param({"model": "gpt-9"}, 404, "model_not_found", id="unknown-model"),
    pytest.param({"colour": "red"}, 400, "unknown_parameter", id="unknown-parameter"),
    pytest.param(
        {"model": "gpt-5.4", "temperature": 0.3}, 400, "unsupported_value", id="temperature-of-reasoning-model"
    ),
    pytest.param(
        {"model": "gpt-5.4", "max_tokens": 9}, 400, "unsupported_parameter", id="max-tokens-of-reasoning-model"
    ),
    pytest.param({"model": "gpt-5.4", "stop": ["x"]}, 400, "unsupported_parameter", id="stop-of-reasoning-model"),
    pytest.param({"model": "gpt-5.4", "reasoning_effort": "minimal"}, 400, "unsupported_value", id="effort-unknown"),
    pytest.param({"reasoning_effort": "low"}, 400, "unsupported_parameter", id="effort-without-reasoning"),
    pytest.param({"temperature": 3}, 400, "invalid_value", id="temperature-too-high"),
    pytest.param({"max_tokens": 10**9}, 400, "invalid_value", id="limit-too-high"),
    pytest.param({"max_tokens": 5, "max_completion_tokens": 5}, 400, "invalid_value", id="two-limits"),
    pytest.param({"messages": []}, 400, "invalid_value", id="no-messages"),
    pytest.param({"messages": [{"role": "wizard", "content": "x"}]}, 400, "invalid_value", id="unknown-role"),
    pytest.param({"stream_options": {"include_usage": True}}, 400, "invalid_value", id="stream-options-without-stream"),
    pytest.param({"n": 0}, 400, "invalid_value", id="no-samples"),
    pytest.param(
        {"messages": [{"role": "user", "content": "word " * 140_000}], "model": "gpt-4o"},
        400,
        "context_length_exceeded",
        id="context-overflow",
    ),
]


@pytest.mark.parametrize(("change", "status", "code"), REFUSED)
async def test_what_openai_refuses_is_refused_in_its_words(
    sdk: AsyncOpenAI, simulator: SimulatorThread, change: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await sdk.chat.completions.create(
            model="gpt-4.1",
            messages=QUESTION,
            extra_body={**change},  # type: ignore[arg-type]  # on purpose
        )

    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.response.headers["x-request-id"]
    assert simulator.tally().by_status == {status: 1}


KEYS = [
    pytest.param("sim-key-dead", 401, "invalid_api_key", id="dead"),
    pytest.param("not-a-key", 401, "invalid_api_key", id="wrong"),
    pytest.param("sim-key-forbidden", 403, "insufficient_permissions", id="forbidden"),
    pytest.param("sim-key-spent", 429, "insufficient_quota", id="spent"),
]


@pytest.mark.parametrize(("key", "status", "code"), KEYS)
async def test_keys_that_do_not_work_say_why(sdk: AsyncOpenAI, key: str, status: int, code: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await sdk.with_options(api_key=key).chat.completions.create(model="gpt-4.1", messages=QUESTION)

    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert key not in caught.value.message


async def test_any_numbered_key_works(sdk: AsyncOpenAI) -> None:
    answer = await sdk.with_options(api_key="sim-key-42").chat.completions.create(
        model="gpt-4.1-nano", messages=QUESTION, max_tokens=5
    )

    assert answer.choices[0].message.content


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'{"model": "gpt-4.1", "messages": "\xff"}'], ids=str)
async def test_a_body_that_is_no_json_object_is_a_400(
    simulator: SimulatorThread, client: httpx.AsyncClient, body: bytes
) -> None:
    response = await client.post(
        f"{simulator.base_urls['openai']}/chat/completions",
        content=body,
        headers={"authorization": f"Bearer {simulator.api_key}"},
    )

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_an_unknown_address_is_a_404_of_the_providers_own(sdk: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.get("/assistants", cast_to=object)

    assert caught.value.code == "unknown_url"


async def test_models_are_listed_and_described(sdk: AsyncOpenAI) -> None:
    names = [model.id async for model in sdk.models.list()]

    assert {"gpt-5.4", "gpt-4.1", "o4-mini", "text-embedding-3-small"} <= set(names)
    assert (await sdk.models.retrieve("gpt-4.1")).owned_by == "system"
    with pytest.raises(openai.NotFoundError):
        await sdk.models.retrieve("gpt-9")


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings_have_unit_length_and_their_own_order(sdk: AsyncOpenAI, encoding: Any) -> None:
    answer = await sdk.embeddings.create(
        model="text-embedding-3-small",
        input=["the cat sat", "the cat sat down", "gross domestic product"],
        encoding_format=encoding,
        dimensions=256,
    )

    def cosine(i: int, j: int) -> float:
        return sum(a * b for a, b in zip(answer.data[i].embedding, answer.data[j].embedding, strict=True))

    assert [item.index for item in answer.data] == [0, 1, 2]
    if encoding == "float":
        assert cosine(0, 0) == pytest.approx(1.0)
        assert cosine(0, 1) > cosine(0, 2) + 0.2


async def test_a_chat_model_does_not_embed(sdk: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        await sdk.embeddings.create(model="gpt-4.1", input="x")
