"""OpenAI's files and batches as its own SDK sees them, and what their validation finds."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from workbench.simulator.batch_book import BatchPace
from workbench.simulator.server import SimulatorThread


def _line(name: str, **changes: Any) -> str:
    body = {"model": "gpt-4.1-nano", "messages": [{"role": "user", "content": "Name a river."}]}
    row: dict[str, Any] = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
    row |= changes
    return json.dumps(row)


async def _create(sdk: AsyncOpenAI, text: str, **options: Any) -> Any:
    file = await sdk.files.create(file=("rows.jsonl", text.encode()), purpose=options.pop("purpose", "batch"))
    return await sdk.batches.create(
        **{
            "input_file_id": file.id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            **options,
        }
    )


async def test_a_file_comes_back_as_it_went_up(sdk: AsyncOpenAI) -> None:
    made = await sdk.files.create(file=("rows.jsonl", b"one\r\ntwo\n--three\n"), purpose="batch")

    assert (await sdk.files.retrieve(made.id)).bytes == 17
    assert [file.id async for file in sdk.files.list(purpose="batch")] == [made.id]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (_line("a") + "\n{nonsense\n", "invalid_json_line", 2),
        (_line("a") + "\n" + _line("a"), "duplicate_custom_id", 2),
        (_line("a", custom_id=None), "missing_required_parameter", 1),
        (_line("a", method="GET"), "invalid_method", 1),
        (_line("a", url="/v1/responses"), "invalid_url", 1),
        (_line("a", body={"model": "gpt-none", "messages": []}), "model_not_found", 1),
        (_line("a") + "\n" + _line("b", body={"model": "gpt-4.1", "messages": []}), "mismatched_model", 2),
        (_line("a", body={"model": "gpt-4.1-nano", "stream": True}), "invalid_request", 1),
    ],
)
async def test_a_bad_line_fails_the_batch_and_is_named(sdk: AsyncOpenAI, text: str, code: str, line: int) -> None:
    made = await _create(sdk, text)

    batch = await sdk.batches.retrieve(made.id)

    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    [problem] = batch.errors.data
    assert (problem.code, problem.line) == (code, line)
    assert batch.output_file_id is None


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "/v1/nonsense"},
        {"completion_window": "1h"},
        {"input_file_id": "file-none"},
        {"purpose": "user_data"},
        {"metadata": {str(number): "x" for number in range(17)}},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_what_cannot_be_a_batch_is_refused_at_once(sdk: AsyncOpenAI, options: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        await _create(sdk, _line("a"), **options)


async def test_an_empty_file_is_refused(sdk: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="empty"):
        await _create(sdk, "\n")


async def test_answers_are_nowhere_before_the_batch_is_over(sdk: AsyncOpenAI, simulator: SimulatorThread) -> None:
    simulator.set_batch_pace(BatchPace(validate_s=5.0, rows_per_s=1.0))
    made = await _create(sdk, _line("a"))

    assert made.status == "validating"
    assert made.output_file_id is None
    with pytest.raises(openai.NotFoundError):
        await sdk.files.content(f"file-output-{made.id}")


async def test_a_batch_that_is_over_cannot_be_cancelled(sdk: AsyncOpenAI) -> None:
    made = await _create(sdk, _line("a"))

    with pytest.raises(openai.ConflictError):
        await sdk.batches.cancel(made.id)


async def test_the_list_has_metadata_and_pages(sdk: AsyncOpenAI) -> None:
    made = [(await _create(sdk, _line("a"), metadata={"n": str(number)})).id for number in range(5)]

    listed = [batch async for batch in sdk.batches.list(limit=2)]

    assert [batch.id for batch in listed] == made[::-1]
    assert [(batch.metadata or {})["n"] for batch in listed] == ["4", "3", "2", "1", "0"]


async def test_time_and_pace_can_be_set_from_outside(
    sdk: AsyncOpenAI, client: httpx.AsyncClient, simulator: SimulatorThread
) -> None:
    admin = f"{simulator.url}/_sim/batches"
    await client.post(admin, json={"rows_per_s": 1.0, "validate_s": 5.0})
    made = await _create(sdk, _line("a"))
    await client.post(admin, json={"skip_s": 60})

    assert made.status == "validating"
    assert (await sdk.batches.retrieve(made.id)).status == "completed"
    assert (await client.post(admin, json={"nonsense": 1})).status_code == 400
