"""Gemini's dialect: through Google's SDK where it goes that far, byte by byte where it does not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from workbench.simulator.server import SimulatorThread

QUESTION = "Explain how an event loop works."


class Gemini:
    def __init__(self, simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
        self._base = f"{simulator.base_urls['gemini']}/v1beta/models"
        self._headers = {"x-goog-api-key": simulator.api_key}
        self._client = client

    async def post(
        self,
        model: str = "gemini-2.5-flash",
        method: str = "generateContent",
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> httpx.Response:
        full = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}], **body}
        return await self._client.post(
            f"{self._base}/{model}:{method}", headers={**self._headers, **(headers or {})}, json=full
        )

    async def stream(self, model: str = "gemini-2.5-flash", **body: Any) -> list[dict[str, Any]]:
        response = await self.post(model, "streamGenerateContent?alt=sse", **body)
        assert response.status_code == 200
        return [json.loads(frame.removeprefix("data: ")) for frame in response.text.strip().split("\r\n\r\n")]


@pytest.fixture
def gemini(simulator: SimulatorThread, client: httpx.AsyncClient) -> Gemini:
    return Gemini(simulator, client)


def parts_of(found: list[dict[str, Any]], *, thought: bool) -> str:
    parts = [part for chunk in found for part in chunk["candidates"][0].get("content", {}).get("parts", [])]
    return "".join(part["text"] for part in parts if part.get("thought", False) is thought)


async def test_googles_sdk_reads_it_whole_and_streamed(simulator: SimulatorThread) -> None:
    from google import genai
    from google.genai import types

    def ask() -> tuple[Any, list[Any], Any, list[str]]:
        with genai.Client(
            api_key=simulator.api_key, http_options=types.HttpOptions(base_url=simulator.base_urls["gemini"])
        ) as sdk:
            config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
            arguments: Any = {"model": "gemini-2.5-flash", "contents": QUESTION, "config": config}
            whole = sdk.models.generate_content(**arguments)
            streamed = list(sdk.models.generate_content_stream(**arguments))
            vectors = sdk.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
            names = [model.name or "" for model in sdk.models.list()]
        return whole, streamed, vectors, names

    whole, streamed, vectors, names = await asyncio.to_thread(ask)

    assert "".join(chunk.text or "" for chunk in streamed) == whole.text
    assert streamed[-1].usage_metadata == whole.usage_metadata
    assert whole.candidates[0].finish_reason.name == "STOP"
    assert [len(vector.values) for vector in vectors.embeddings] == [3072, 3072]
    assert "models/gemini-3.1-pro" in names


async def test_thoughts_are_shown_only_when_asked_for_and_always_counted(gemini: Gemini) -> None:
    silent = await gemini.stream()
    shown = await gemini.stream(generationConfig={"thinkingConfig": {"includeThoughts": True}})

    assert parts_of(silent, thought=True) == ""
    assert len(parts_of(shown, thought=True)) > 100
    assert silent[-1]["usageMetadata"] == shown[-1]["usageMetadata"]
    assert shown[-1]["usageMetadata"]["thoughtsTokenCount"] > 0


async def test_usage_grows_and_adds_up(gemini: Gemini) -> None:
    found = await gemini.stream()

    totals = [chunk["usageMetadata"]["totalTokenCount"] for chunk in found]
    last = found[-1]["usageMetadata"]
    assert totals == sorted(totals)
    counted = last["promptTokenCount"] + last["candidatesTokenCount"] + last["thoughtsTokenCount"]
    assert last["totalTokenCount"] == counted
    assert [chunk["candidates"][0].get("finishReason") for chunk in found][-1] == "STOP"
    assert not any(chunk["candidates"][0].get("finishReason") for chunk in found[:-1])


async def test_without_sse_the_chunks_are_one_json_array(gemini: Gemini) -> None:
    response = await gemini.post(method="streamGenerateContent")

    array = response.json()
    assert parts_of(array, thought=False) == parts_of(await gemini.stream(), thought=False)


async def test_thinking_can_be_turned_off_by_budget(gemini: Gemini) -> None:
    body = (await gemini.post(generationConfig={"thinkingConfig": {"thinkingBudget": 0}})).json()

    assert "thoughtsTokenCount" not in body["usageMetadata"]


async def test_the_limit_is_named(gemini: Gemini) -> None:
    config = {"maxOutputTokens": 7, "thinkingConfig": {"thinkingBudget": 0}}
    body = (await gemini.post(generationConfig=config)).json()

    assert body["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert body["usageMetadata"]["candidatesTokenCount"] == 7


async def test_a_schema_is_obeyed(gemini: Gemini) -> None:
    schema = {"type": "OBJECT", "properties": {"ok": {"type": "BOOLEAN"}, "n": {"type": "INTEGER"}}}
    config = {"responseMimeType": "application/json", "responseSchema": schema}
    body = (await gemini.post(generationConfig=config)).json()

    answer = json.loads(body["candidates"][0]["content"]["parts"][-1]["text"])
    assert {name: type(value) for name, value in answer.items()} == {"ok": bool, "n": int}


async def test_a_function_is_called(gemini: Gemini) -> None:
    tool = {
        "functionDeclarations": [
            {
                "name": "get_weather",
                "description": "Weather",
                "parameters": {"properties": {"city": {"type": "STRING"}}},
            }
        ]
    }
    found = await gemini.stream(tools=[tool], contents=[{"parts": [{"text": "What is the weather in Oslo?"}]}])

    call = found[-1]["candidates"][0]["content"]["parts"][0]["functionCall"]
    assert (call["name"], list(call["args"])) == ("get_weather", ["city"])


@pytest.mark.parametrize("streams", [False, True])
async def test_a_blocked_prompt_has_no_candidates_and_a_reason(gemini: Gemini, streams: bool) -> None:
    if streams:
        response = await gemini.post("gemini-2.5-flash!blocked", "streamGenerateContent?alt=sse")
        body = json.loads(response.text.removeprefix("data: "))
    else:
        body = (await gemini.post("gemini-2.5-flash!blocked")).json()

    assert body["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT"
    assert "candidates" not in body
    assert body["usageMetadata"]["promptTokenCount"] > 0


@pytest.mark.parametrize(("fault", "finish"), [("content-filter", "SAFETY"), ("refusal", "PROHIBITED_CONTENT")])
async def test_a_filtered_answer_says_so(gemini: Gemini, fault: str, finish: str) -> None:
    found = await gemini.stream(f"gemini-2.5-flash!{fault}")

    assert found[-1]["candidates"][0]["finishReason"] == finish


def thinking(**config: Any) -> dict[str, Any]:
    return {"generationConfig": {"thinkingConfig": config}}


REFUSED = [
    pytest.param("gemini-9", {}, 404, "NOT_FOUND", "is not found", id="unknown-model"),
    pytest.param(
        "gemini-3.1-pro",
        thinking(thinkingBudget=500, thinkingLevel="low"),
        400,
        "INVALID_ARGUMENT",
        "only one",
        id="both",
    ),
    pytest.param(
        "gemini-2.5-flash", thinking(thinkingLevel="low"), 400, "INVALID_ARGUMENT", "level", id="level-on-2.5"
    ),
    pytest.param(
        "gemini-2.5-pro", thinking(thinkingBudget=0), 400, "INVALID_ARGUMENT", "Budget 0", id="pro-must-think"
    ),
    pytest.param("gemini-2.5-flash", thinking(thinkingBudget=10**6), 400, "INVALID_ARGUMENT", "between", id="budget"),
    pytest.param("gemini-2.5-flash", {"colour": 1}, 400, "INVALID_ARGUMENT", "Unknown name", id="unknown-field"),
    pytest.param("gemini-2.5-flash", {"contents": []}, 400, "INVALID_ARGUMENT", "contents", id="no-contents"),
    pytest.param(
        "gemini-2.5-flash",
        {"generationConfig": {"temperature": 5}},
        400,
        "INVALID_ARGUMENT",
        "temperature",
        id="temperature",
    ),
]


@pytest.mark.parametrize(("model", "body", "code", "status", "words"), REFUSED)
async def test_what_google_refuses_is_refused_in_its_words(
    gemini: Gemini, model: str, body: dict[str, Any], code: int, status: str, words: str
) -> None:
    response = await gemini.post(model, **body)

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (code, code, status)
    assert words in error["message"]


async def test_the_proto_spelling_is_taken_too(gemini: Gemini) -> None:
    response = await gemini.post(generation_config={"max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}})

    assert response.json()["usageMetadata"]["candidatesTokenCount"] == 5


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        ("sim-key-dead", 400, "API key not valid"),
        ("", 403, "unregistered callers"),
        ("sim-key-spent", 429, "limit: 0"),
    ],
)
async def test_keys_that_do_not_work_say_why(gemini: Gemini, key: str, status: int, words: str) -> None:
    response = await gemini.post(headers={"x-goog-api-key": key})

    assert (response.status_code, words in response.json()["error"]["message"]) == (status, True)
