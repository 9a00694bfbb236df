"""Together's batches: OpenAI's, as its clients find them changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.simulator.batch_book import Batch, Phase
from workbench.simulator.batch_openai import OpenAIBatches
from workbench.simulator.batch_validation import CHAT, BatchTraits
from workbench.simulator.durations import rfc3339_at
from workbench.simulator.exchange import Exchange

if TYPE_CHECKING:
    from workbench.simulator.openai import ChatDialect

TOGETHER = BatchTraits("/files/upload", "batch-api", (CHAT,), 50_000, 100 * 1024 * 1024, needs_method=False)


class TogetherBatches(OpenAIBatches):
    """Upper-case states, dates in words, a percentage for a count, and no metadata."""

    def __init__(self, dialect: ChatDialect) -> None:
        super().__init__(dialect, TOGETHER)

    def created(self, body: dict[str, object]) -> object:
        return {"job": body, "warning": ""}

    def listed(self, exchange: Exchange, rows: list[dict[str, object]]) -> object:
        return rows

    async def body(self, batch: Batch) -> dict[str, object]:
        moment = batch.at(self.book.now_s())
        failed = await self.work.failed(batch, moment.done)
        output, errors = self.files_of(batch, moment, failed)
        phase = {Phase.FINALIZING: Phase.IN_PROGRESS, Phase.CANCELLING: Phase.IN_PROGRESS}.get(
            moment.phase, moment.phase
        )
        body: dict[str, object] = {
            "id": batch.id,
            "user_id": batch.organisation,
            "input_file_id": batch.details["input_file_id"],
            "file_size_bytes": batch.details["bytes"],
            "status": phase.value.upper(),
            "job_deadline": self._date(batch.expires_s),
            "created_at": self._date(batch.created_s),
            "endpoint": batch.endpoint,
            "progress": 100 * moment.done / max(1, len(batch.lines)),
            "model_id": batch.model,
        }
        if output:
            body["output_file_id"] = output
        if errors:
            body["error_file_id"] = errors
        if moment.phase is Phase.FAILED:
            body["error"] = "; ".join(f"line {p.line}: {p.message}" if p.line else p.message for p in batch.problems)
        if moment.ended_s is not None:
            body["completed_at"] = self._date(moment.ended_s)
        return body

    def _date(self, moment_s: float) -> str:
        return rfc3339_at(self.book.wall(moment_s))
