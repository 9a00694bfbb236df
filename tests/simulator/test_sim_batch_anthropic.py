"""Message Batches, byte by byte: what is checked at once, and what only a row's result says."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from workbench.simulator.batch_book import BatchPace
from workbench.simulator.server import SimulatorThread


def _row(name: object, **changes: Any) -> dict[str, Any]:
    params = {
        "model": "claude-haiku-4-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Name a river."}],
    }
    return {"custom_id": name, "params": params | changes}


class Batches:
    def __init__(self, client: httpx.AsyncClient, simulator: SimulatorThread) -> None:
        self._client = client
        self._url = f"{simulator.base_urls['anthropic']}/v1/messages/batches"
        self._headers = {"x-api-key": simulator.api_key, "anthropic-version": "2023-06-01"}

    async def create(self, *rows: object) -> httpx.Response:
        return await self._client.post(self._url, headers=self._headers, json={"requests": list(rows)})

    async def get(self, path: str) -> httpx.Response:
        return await self._client.get(f"{self._url}/{path}", headers=self._headers)


@pytest.fixture
def batches(client: httpx.AsyncClient, simulator: SimulatorThread) -> Batches:
    return Batches(client, simulator)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "at least 1 item"),
        ([_row("a"), _row("a")], "Duplicate custom_id"),
        ([_row("a b")], "should match pattern"),
        ([_row("x" * 65)], "should match pattern"),
        ([_row(7)], "requests.0"),
        ([{"custom_id": "a"}], "params"),
    ],
)
async def test_a_bad_list_of_rows_is_refused_at_once(batches: Batches, rows: list[Any], said: str) -> None:
    answer = await batches.create(*rows)

    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"max_tokens": 0}, "invalid_request_error"),
        ({"stream": True}, "invalid_request_error"),
        ({"model": "claude-none"}, "not_found_error"),
        ({"messages": [{"role": "user", "content": "[sim:overloaded]"}]}, "overloaded_error"),
    ],
)
async def test_what_is_wrong_with_a_row_is_that_rows_result(
    batches: Batches, changes: dict[str, Any], kind: str
) -> None:
    made = (await batches.create(_row("good"), _row("bad", **changes))).json()

    lines = (await batches.get(f"{made['id']}/results")).text.splitlines()

    by_name = {row["custom_id"]: row["result"] for row in map(json.loads, lines)}
    assert by_name["good"]["type"] == "succeeded"
    assert by_name["bad"]["error"]["error"]["type"] == kind


async def test_counts_and_results_stay_away_until_the_batch_has_ended(
    batches: Batches, simulator: SimulatorThread
) -> None:
    simulator.set_batch_pace(BatchPace(validate_s=0.0, rows_per_s=1.0, finalize_s=0.0))
    made = (await batches.create(*(_row(f"r{number}") for number in range(10)))).json()
    simulator.skip_batch_time(5.0)

    under_way = (await batches.get(made["id"])).json()
    early = await batches.get(f"{made['id']}/results")
    simulator.skip_batch_time(6.0)
    ended = (await batches.get(made["id"])).json()

    assert under_way["request_counts"]["processing"] == 10
    assert under_way["results_url"] is None
    assert early.status_code == 404
    assert ended["processing_status"] == "ended"
    assert ended["request_counts"]["succeeded"] == 10
    assert ended["results_url"].endswith(f"{made['id']}/results")
