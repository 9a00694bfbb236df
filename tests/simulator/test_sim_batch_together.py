"""What is Together's own about batches: capitals, dates, bare lists, and another purpose and place for uploads."""

from __future__ import annotations

import json
from datetime import datetime

import httpx

from workbench.simulator.server import SimulatorThread

MODEL = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
LINE = json.dumps(
    {"custom_id": "a", "body": {"model": MODEL, "messages": [{"role": "user", "content": "Name a river."}]}}
)


async def _upload(client: httpx.AsyncClient, simulator: SimulatorThread, purpose: str) -> httpx.Response:
    return await client.post(
        f"{simulator.base_urls['together']}/files/upload",
        headers={"authorization": f"Bearer {simulator.api_key}"},
        data={"purpose": purpose, "file_name": "rows.jsonl"},
        files={"file": ("rows.jsonl", LINE.encode())},
    )


async def test_a_job_is_told_in_capitals_and_dates(client: httpx.AsyncClient, simulator: SimulatorThread) -> None:
    url, headers = simulator.base_urls["together"], {"authorization": f"Bearer {simulator.api_key}"}
    file = (await _upload(client, simulator, "batch-api")).json()

    body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions"}
    job = (await client.post(f"{url}/batches", headers=headers, json=body)).json()["job"]
    listed = (await client.get(f"{url}/batches", headers=headers)).json()

    assert job["status"] == "COMPLETED"
    assert datetime.fromisoformat(job["created_at"]).tzinfo is not None
    assert [row["id"] for row in listed] == [job["id"]]


async def test_openais_purpose_is_not_togethers(client: httpx.AsyncClient, simulator: SimulatorThread) -> None:
    assert (await _upload(client, simulator, "batch")).status_code == 400
