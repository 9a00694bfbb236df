"""Anthropic's dialect, event by event."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx
import pytest

from workbench.simulator.server import SimulatorThread

QUESTION = [{"role": "user", "content": "Explain how an event loop works."}]
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
LONG = "All of this has to be kept in mind. " * 700


class Messages:
    """The Messages endpoint, and nothing between it and the test."""

    def __init__(self, simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
        self._url = f"{simulator.base_urls['anthropic']}/v1/messages"
        self._client = client
        self._headers = {"x-api-key": simulator.api_key, "anthropic-version": "2023-06-01"}

    async def post(self, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        full = {"model": "claude-sonnet-4-6", "max_tokens": 4_000, "messages": QUESTION, **body}
        full = {name: value for name, value in full.items() if value is not None}
        return await self._client.post(self._url, headers={**self._headers, **(headers or {})}, json=full)

    async def stream(self, headers: dict[str, str] | None = None, **body: Any) -> list[dict[str, Any]]:
        response = await self.post(headers, stream=True, **body)
        assert response.status_code == 200
        found = []
        for block in response.text.strip().split("\n\n"):
            name, data = block.split("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            found.append(event)
        return found


@pytest.fixture
def messages(simulator: SimulatorThread, client: httpx.AsyncClient) -> Messages:
    return Messages(simulator, client)


def order_of(found: list[dict[str, Any]]) -> list[str]:
    def kind(event: dict[str, Any]) -> str:
        return event["delta"]["type"] if event["type"] == "content_block_delta" else event["type"]

    return [name for name, _ in itertools.groupby(map(kind, found))]


def joined(found: list[dict[str, Any]], field: str) -> str:
    return "".join(e["delta"].get(field, "") for e in found if e["type"] == "content_block_delta")


async def test_events_come_in_order(messages: Messages) -> None:
    found = await messages.stream()

    assert order_of(found) == [
        "message_start",
        "content_block_start",
        "ping",
        "text_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[-2]["delta"]["stop_reason"] == "end_turn"


async def test_thinking_is_a_block_of_its_own_and_is_signed(messages: Messages) -> None:
    found = await messages.stream(thinking={"type": "enabled", "budget_tokens": 2_000})

    assert order_of(found) == [
        "message_start",
        "content_block_start",
        "ping",
        "thinking_delta",
        "signature_delta",
        "content_block_stop",
        "content_block_start",
        "text_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    usage = found[-2]["usage"]
    assert 0 < usage["output_tokens_details"]["thinking_tokens"] < usage["output_tokens"]


async def test_a_streamed_message_equals_the_whole_one(messages: Messages) -> None:
    whole = (await messages.post(thinking={"type": "adaptive"})).json()

    found = await messages.stream(thinking={"type": "adaptive"})

    thinking, text = whole["content"]
    assert joined(found, "thinking") == thinking["thinking"]
    assert joined(found, "signature") == thinking["signature"]
    assert joined(found, "text") == text["text"]
    final = {name: value for name, value in found[-2]["usage"].items() if name != "output_tokens_details"}
    assert final == whole["usage"]


async def test_it_does_not_think_unless_told_to(messages: Messages) -> None:
    assert [block["type"] for block in (await messages.post()).json()["content"]] == ["text"]


async def test_the_limit_and_a_stop_sequence_are_named(messages: Messages) -> None:
    short = (await messages.post(max_tokens=9)).json()
    stopped = (await messages.post(stop_sequences=["loop"])).json()

    assert (short["stop_reason"], short["usage"]["output_tokens"]) == ("max_tokens", 9)
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "loop")


async def test_a_tool_is_used_with_arguments_in_pieces(messages: Messages) -> None:
    asked = [{"role": "user", "content": "What is the weather in Oslo?"}]
    found = await messages.stream(tools=[TOOL], messages=asked)
    whole = (await messages.post(tools=[TOOL], messages=asked)).json()

    assert json.loads(joined(found, "partial_json")) == whole["content"][-1]["input"]
    assert whole["stop_reason"] == "tool_use"


async def test_a_marked_prefix_is_written_once_and_read_afterwards(messages: Messages) -> None:
    system = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]

    first = (await messages.post(system=system)).json()["usage"]
    second = (await messages.post(system=system, messages=[{"role": "user", "content": "Why?"}])).json()["usage"]

    assert first["cache_creation_input_tokens"] > 1_024
    assert (first["cache_read_input_tokens"], second["cache_creation_input_tokens"]) == (0, 0)
    assert second["cache_read_input_tokens"] == first["cache_creation_input_tokens"]
    assert first["input_tokens"] < 50


async def test_an_hours_cache_is_counted_apart(messages: Messages) -> None:
    system = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]

    usage = (await messages.post(system=system)).json()["usage"]

    assert usage["cache_creation"]["ephemeral_5m_input_tokens"] == 0
    assert usage["cache_creation"]["ephemeral_1h_input_tokens"] == usage["cache_creation_input_tokens"]


@pytest.mark.parametrize(("model", "caches"), [("claude-sonnet-4-6", True), ("claude-haiku-4-5", False)])
async def test_a_prefix_below_the_models_minimum_is_not_kept(messages: Messages, model: str, caches: bool) -> None:
    text = "Two thousand tokens or so. " * 300
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]

    usage = (await messages.post(model=model, system=system)).json()["usage"]

    assert (usage["cache_creation_input_tokens"] > 0) is caches


async def test_two_organisations_share_no_cache(messages: Messages) -> None:
    system = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
    await messages.post({"x-api-key": "sim-key-1@one"}, system=system)

    same = (await messages.post({"x-api-key": "sim-key-2@one"}, system=system)).json()["usage"]
    other = (await messages.post({"x-api-key": "sim-key-1@two"}, system=system)).json()["usage"]

    assert same["cache_read_input_tokens"] > 0
    assert other["cache_read_input_tokens"] == 0


MARK = {"type": "ephemeral"}
REFUSED = [
    pytest.param({"max_tokens": None}, 400, "max_tokens: Field required", id="no-limit"),
    pytest.param({"max_tokens": 10**6}, 400, "maximum allowed number of output tokens", id="limit-too-high"),
    pytest.param({"model": "claude-9"}, 404, "model: claude-9", id="unknown-model"),
    pytest.param({"colour": "red"}, 400, "Extra inputs are not permitted", id="unknown-parameter"),
    pytest.param({"temperature": 1.5}, 400, "range: 0..1", id="temperature"),
    pytest.param({"temperature": 0.5, "top_p": 0.5}, 400, "cannot both be specified", id="two-samplings"),
    pytest.param({"messages": [{"role": "system", "content": "x"}]}, 400, 'Unexpected role "system"', id="system-role"),
    pytest.param({"messages": [{"role": "assistant", "content": "x"}]}, 400, "first message", id="assistant-first"),
    pytest.param({"thinking": {"type": "enabled", "budget_tokens": 10}}, 400, "1024", id="budget-too-small"),
    pytest.param({"thinking": {"type": "enabled", "budget_tokens": 4_000}}, 400, "greater than", id="budget-too-large"),
    pytest.param({"thinking": {"type": "adaptive"}, "temperature": 0.2}, 400, "set to 1", id="thinking-temperature"),
    pytest.param({"thinking": {"type": "hard"}}, 400, "expected tags", id="unknown-thinking"),
    pytest.param(
        {"system": [{"type": "text", "text": "x", "cache_control": MARK}] * 5}, 400, "maximum of 4", id="marks"
    ),
    pytest.param(
        {
            "system": [
                {"type": "text", "text": "x", "cache_control": {**MARK, "ttl": "5m"}},
                {"type": "text", "text": "y", "cache_control": {**MARK, "ttl": "1h"}},
            ]
        },
        400,
        "must not come after",
        id="hour-after-minutes",
    ),
    pytest.param({"messages": [{"role": "user", "content": "w " * 420_000}]}, 400, "prompt is too long", id="overflow"),
]


@pytest.mark.parametrize(("change", "status", "words"), REFUSED)
async def test_what_anthropic_refuses_is_refused_in_its_words(
    messages: Messages, change: dict[str, Any], status: int, words: str
) -> None:
    response = await messages.post(**change)

    body = response.json()
    assert response.status_code == status
    assert (body["type"], words in body["error"]["message"]) == ("error", True)
    assert response.headers["request-id"]


@pytest.mark.parametrize(
    ("key", "status", "kind"),
    [
        ("sim-key-dead", 401, "authentication_error"),
        ("sim-key-forbidden", 403, "permission_error"),
        ("sim-key-spent", 402, "billing_error"),
    ],
)
async def test_keys_that_do_not_work_say_why(messages: Messages, key: str, status: int, kind: str) -> None:
    response = await messages.post({"x-api-key": key})

    assert (response.status_code, response.json()["error"]["type"]) == (status, kind)


async def test_the_version_header_is_required(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    response = await client.post(
        f"{simulator.base_urls['anthropic']}/v1/messages", headers={"x-api-key": simulator.api_key}, json={}
    )

    assert (response.status_code, "anthropic-version" in response.text) == (400, True)


async def test_models_and_token_counts(
    messages: Messages, simulator: SimulatorThread, client: httpx.AsyncClient
) -> None:
    base, headers = (
        simulator.base_urls["anthropic"],
        {"x-api-key": simulator.api_key, "anthropic-version": "2023-06-01"},
    )
    listed = (await client.get(f"{base}/v1/models", headers=headers)).json()
    counted = await client.post(
        f"{base}/v1/messages/count_tokens",
        headers=headers,
        json={"model": "claude-sonnet-4-6", "messages": QUESTION},
    )
    used = (await messages.post()).json()["usage"]["input_tokens"]

    assert "claude-haiku-4-5" in [row["id"] for row in listed["data"]]
    assert counted.json() == {"input_tokens": used}
