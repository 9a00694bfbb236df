"""Gemini's batches as google-genai's own client sees them, and the two steps of an upload."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types

from workbench.simulator.batch_book import BatchPace
from workbench.simulator.server import SimulatorThread

MODEL = "gemini-2.5-flash-lite"


@pytest.fixture
async def gemini(simulator: SimulatorThread, client: httpx.AsyncClient) -> AsyncIterator[Any]:
    # Over httpx: aiohttp warns about the way in which the SDK uses it.
    options = types.HttpOptions(base_url=simulator.base_urls["gemini"], httpx_async_client=client)
    with genai.Client(api_key=simulator.api_key, http_options=options) as sdk:
        yield sdk.aio


async def test_inlined_rows_come_back_inlined_with_their_metadata(gemini: Any) -> None:
    row = {"contents": [{"role": "user", "parts": [{"text": "Name a river."}]}], "metadata": {"key": "a"}}

    made = await gemini.batches.create(model=MODEL, src=[row], config={"display_name": "job"})
    done = await gemini.batches.get(name=made.name)

    assert done.state.name == "JOB_STATE_SUCCEEDED"
    assert done.display_name == "job"
    [answer] = done.dest.inlined_responses
    assert answer.metadata == {"key": "a"}
    assert answer.response.candidates[0].content.parts[0].text


async def test_an_uploaded_file_becomes_a_file_of_results(gemini: Any) -> None:
    request = {"contents": [{"parts": [{"text": "Name a river."}]}], "generation_config": {"max_output_tokens": 50}}
    lines = "".join(json.dumps({"key": key, "request": request}) + "\n" for key in "abc")
    file = await gemini.files.upload(
        file=io.BytesIO(lines.encode()), config={"display_name": "rows", "mime_type": "application/jsonl"}
    )

    made = await gemini.batches.create(model=MODEL, src=file.name, config={"display_name": "job"})
    done = await gemini.batches.get(name=made.name)
    data = await gemini.files.download(file=done.dest.file_name)

    assert file.size_bytes == len(lines)
    assert sorted(json.loads(line)["key"] for line in data.splitlines()) == ["a", "b", "c"]


async def test_parameters_that_are_not_nested_are_that_rows_error(gemini: Any) -> None:
    request = {"contents": [{"parts": [{"text": "Name a river."}]}], "temperature": 1}
    line = json.dumps({"key": "a", "request": request})
    file = await gemini.files.upload(file=io.BytesIO(line.encode()), config={"mime_type": "application/jsonl"})

    made = await gemini.batches.create(model=MODEL, src=file.name, config={"display_name": "job"})
    done = await gemini.batches.get(name=made.name)
    [row] = [json.loads(text) for text in (await gemini.files.download(file=done.dest.file_name)).splitlines()]

    assert row["error"]["code"] == 3
    assert "temperature" in row["error"]["message"]


async def test_nothing_can_be_downloaded_before_the_end(client: httpx.AsyncClient, simulator: SimulatorThread) -> None:
    simulator.set_batch_pace(BatchPace(rows_per_s=1.0))
    url, headers = simulator.base_urls["gemini"], {"x-goog-api-key": simulator.api_key}
    row = {"request": {"contents": [{"parts": [{"text": "Hi"}]}]}}
    body = {"batch": {"displayName": "job", "inputConfig": {"requests": {"requests": [row]}}}}
    made = await client.post(f"{url}/v1beta/models/{MODEL}:batchGenerateContent", headers=headers, json=body)

    operation = (await client.get(f"{url}/v1beta/{made.json()['name']}", headers=headers)).json()

    assert operation["metadata"]["state"] == "BATCH_STATE_PENDING"
    assert "response" not in operation


@pytest.mark.parametrize(
    "batch",
    [
        {"displayName": "job", "inputConfig": {}},
        {"displayName": "job", "inputConfig": {"requests": {"requests": []}}},
        {"inputConfig": {"fileName": "files/none"}},
        {"displayName": "job", "inputConfig": {"fileName": "files/none"}},
    ],
)
async def test_what_cannot_be_a_batch_is_refused(
    client: httpx.AsyncClient, simulator: SimulatorThread, batch: dict[str, Any]
) -> None:
    answer = await client.post(
        f"{simulator.base_urls['gemini']}/v1beta/models/{MODEL}:batchGenerateContent",
        headers={"x-goog-api-key": simulator.api_key},
        json={"batch": batch},
    )

    assert answer.status_code in (400, 403)
