"""What a host that speaks OpenAI's batches makes of a file of rows, after the batch has been created."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.simulator.batch_book import Batch, Problem
from workbench.simulator.batch_rows import TURN_ROWS
from workbench.simulator.batch_serving import decoded
from workbench.simulator.faults import split_model

if TYPE_CHECKING:
    from workbench.simulator.openai import ChatDialect

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"


@dataclass(frozen=True, slots=True)
class BatchTraits:
    """How one host's batches differ."""

    upload_path: str = "/files"
    purpose: str = "batch"
    endpoints: tuple[str, ...] = (CHAT, RESPONSES)
    rows: int = 50_000
    file_bytes: int = 200 * 1024 * 1024
    needs_method: bool = True
    """Each line says POST and the endpoint."""


class Validation:
    """Looks through the rows of a batch."""

    def __init__(self, traits: BatchTraits, dialect: ChatDialect) -> None:
        self._traits = traits
        self._dialect = dialect

    async def problems(self, batch: Batch) -> tuple[Problem, ...]:
        """What is wrong with it, at most a few dozen lines of it as the real one reports."""
        return (*await self._in_lines(batch), *self._over_limit(batch))

    async def _in_lines(self, batch: Batch) -> list[Problem]:
        found: list[Problem] = []
        if len(batch.lines) > self._traits.rows:
            text = f"The batch input file contains too many requests: {len(batch.lines)} > {self._traits.rows}."
            return [Problem("too_many_tasks", text)]
        seen: set[str] = set()
        for number, line in enumerate(batch.lines, 1):
            if number % (4 * TURN_ROWS) == 0:
                await asyncio.sleep(0)
            problem = self._problem(batch, number, line, seen)
            if problem is not None:
                found.append(problem)
            if len(found) >= 50:
                break
        return found

    def _problem(self, batch: Batch, number: int, line: bytes, seen: set[str]) -> Problem | None:
        row = decoded(line)
        if not isinstance(row, dict):
            return Problem("invalid_json_line", "This line is not parseable as valid JSON.", number)
        name, body = row.get("custom_id"), row.get("body")
        if not isinstance(name, str) or not name:
            return Problem(
                "missing_required_parameter", "Missing required parameter: 'custom_id'.", number, "custom_id"
            )
        if name in seen:
            return Problem(
                "duplicate_custom_id", f"The custom_id '{name}' for this request is a duplicate.", number, "custom_id"
            )
        seen.add(name)
        if self._traits.needs_method and row.get("method") != "POST":
            return Problem("invalid_method", "Invalid value: 'method' must be 'POST'.", number, "method")
        if self._traits.needs_method and row.get("url") != batch.endpoint:
            text = f"The URL provided for this request does not match the batch endpoint '{batch.endpoint}'."
            return Problem("invalid_url", text, number, "url")
        if not isinstance(body, dict):
            return Problem("missing_required_parameter", "Missing required parameter: 'body'.", number, "body")
        return self._body_problem(batch, number, body)

    def _body_problem(self, batch: Batch, number: int, body: dict[str, Any]) -> Problem | None:
        model = body.get("model")
        plain = split_model(model)[0] if isinstance(model, str) else ""
        if self._dialect.simulation.models.find(self._dialect.provider, plain) is None:
            return Problem("model_not_found", f"The provided model '{plain}' does not exist.", number, "body.model")
        if plain != batch.model:
            text = "The model used in this request does not match the other requests of this batch."
            return Problem("mismatched_model", text, number, "body.model")
        if body.get("stream"):
            return Problem("invalid_request", "Streaming is not supported in batches.", number, "body.stream")
        return None

    def _over_limit(self, batch: Batch) -> list[Problem]:
        if (over := self._dialect.simulation.batches.over_limit(batch)) is None:
            return []
        limit, _ = over
        text = (
            f"Enqueued token limit reached for {batch.model} in organization org-simulated. Limit: {limit:,} enqueued "
            "tokens. Please try again once some in_progress batches have been completed."
        )
        return [Problem("token_limit_exceeded", text)]


def model_in(lines: list[bytes]) -> str:
    """Of the first row that names one."""
    first = next((row for row in map(decoded, lines[:50]) if isinstance(row, dict)), {})
    body = first.get("body")
    model = body.get("model") if isinstance(body, dict) else None
    return split_model(model)[0] if isinstance(model, str) else ""
