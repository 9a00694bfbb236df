"""Message Batches as Anthropic has them: the rows come with the request, the results as one file in any order.

Everything about the list of rows is checked at once; what is wrong with one row's parameters is that row's result.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from workbench.simulator.anthropic_reading import read_messages
from workbench.simulator.batch_book import Batch, BatchRow, Phase
from workbench.simulator.batch_rows import RowExchange, RowWork
from workbench.simulator.batch_serving import BatchEndpoints
from workbench.simulator.dialect import Dialect, identifier
from workbench.simulator.durations import rfc3339_at
from workbench.simulator.exchange import Exchange
from workbench.simulator.faults import split_model
from workbench.simulator.refusal import Reason, Refusal

encode = msgspec.json.encode
MAX_ROWS = 100_000
MAX_BYTES = 256 * 1024 * 1024
PATH = "/v1/messages/batches"
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

BodyWriter = Callable[[RowExchange, Any], object]
"""The body of a whole answer to what `read_messages` has read."""


class _Request(msgspec.Struct):
    requests: list[msgspec.Raw]


class _Row(msgspec.Struct):
    custom_id: str
    params: dict[str, Any]


_decode_row = msgspec.json.Decoder(_Row).decode


class AnthropicBatches(BatchEndpoints):
    def __init__(self, dialect: Dialect, write_body: BodyWriter) -> None:
        super().__init__(dialect)
        self.work = RowWork(dialect, self._answerer)
        self._write_body = write_body

    def routes(self) -> list[BaseRoute]:
        return [
            self.route(PATH, "create", self.create),
            self.route(PATH, "list", self.list_batches, "GET"),
            self.route(PATH + "/{name}", "status", self.status, "GET"),
            self.route(PATH + "/{name}", "files", self.delete, "DELETE"),
            self.route(PATH + "/{name}/cancel", "cancel", self.cancel),
            self.route(PATH + "/{name}/results", "results", self.results, "GET"),
        ]

    async def create(self, exchange: Exchange) -> ASGIApp:
        raw = await exchange.request.body()
        if len(raw) > MAX_BYTES:
            raise Refusal(Reason.TOO_LARGE, "")
        try:
            requests = msgspec.json.decode(raw, type=_Request).requests
        except msgspec.DecodeError as exc:
            raise Refusal(Reason.BAD_JSON, f"requests: {exc}") from None
        lines = [bytes(request) for request in requests]
        batch = Batch(
            id=identifier("msgbatch_01", exchange, 22),
            number=self.book.next_number(),
            provider=self.dialect.provider,
            organisation=self.owner(exchange),
            model=_check(lines),
            endpoint="/v1/messages",
            lines=lines,
            read_row=_read_row,
            pace=self.book.pace,
            scale=self.dialect.simulation.time_scale,
            created_s=self.book.now_s(),
            tokens=len(raw) // 4,
        )
        self.check_enqueued(batch)
        self.book.add(batch)
        return self.dialect.plain(exchange, await self.body(exchange, batch))

    async def list_batches(self, exchange: Exchange) -> ASGIApp:
        query = exchange.request.query_params
        batches = self.book.batches(self.dialect.provider, self.owner(exchange))
        names = [batch.id for batch in batches]
        after = query.get("after_id")
        start = names.index(after) + 1 if after in names else 0
        limit = int(text) if (text := query.get("limit", "20")).isdecimal() else 0
        if not 1 <= limit <= 1_000:
            raise Refusal(Reason.BAD_VALUE, "limit: Input should be between 1 and 1000", parameter="limit")
        page = batches[start : start + limit]
        body = {
            "data": [await self.body(exchange, batch) for batch in page],
            "has_more": start + limit < len(batches),
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
        return self.dialect.plain(exchange, body)

    async def status(self, exchange: Exchange) -> ASGIApp:
        return self.dialect.plain(exchange, await self.body(exchange, self._named(exchange)))

    async def cancel(self, exchange: Exchange) -> ASGIApp:
        batch = self._named(exchange)
        if batch.at(self.book.now_s()).phase.is_end:
            raise Refusal(Reason.BAD_VALUE, f"Batch {batch.id} cannot be canceled because it has ended.")
        self.book.cancel(batch)
        return self.dialect.plain(exchange, await self.body(exchange, batch))

    async def delete(self, exchange: Exchange) -> ASGIApp:
        batch = self._named(exchange)
        if not batch.at(self.book.now_s()).phase.is_end:
            raise Refusal(Reason.BAD_VALUE, f"Batch {batch.id} cannot be deleted while it is in progress.")
        self.book.remove(batch)
        return self.dialect.plain(exchange, {"id": batch.id, "type": "message_batch_deleted"})

    async def results(self, exchange: Exchange) -> ASGIApp:
        batch = self._named(exchange)
        if not self.book.has_results(batch):
            raise Refusal(Reason.UNKNOWN_ROUTE, "")
        return self.download(exchange, self._lines(batch), "application/x-jsonl")

    def _named(self, exchange: Exchange) -> Batch:
        return self.batch(exchange, exchange.request.path_params["name"], "")

    async def body(self, exchange: Exchange, batch: Batch) -> dict[str, object]:
        phase, done, ended_s = batch.at(self.book.now_s())
        wall = self.book.wall
        counts = {"processing": len(batch.lines), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        if phase.is_end:
            # They stand still until the whole batch is over.
            failed = await self.work.failed(batch, done)
            left = len(batch.lines) - done
            counts = {
                "processing": 0,
                "succeeded": done - failed,
                "errored": failed,
                "canceled": left if phase is Phase.CANCELLED else 0,
                "expired": left if phase is Phase.EXPIRED else 0,
            }
        until_s = self.book.results_until_s(batch)
        archived = until_s is not None and not self.book.has_results(batch)
        url = str(exchange.request.url).partition(PATH)[0]
        status = "in_progress"
        if phase.is_end:
            status = "ended"
        elif phase is Phase.CANCELLING:
            status = "canceling"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": counts,
            "created_at": rfc3339_at(wall(batch.created_s)),
            "expires_at": rfc3339_at(wall(batch.expires_s)),
            "ended_at": None if ended_s is None else rfc3339_at(wall(ended_s)),
            "archived_at": rfc3339_at(wall(until_s)) if archived and until_s is not None else None,
            "cancel_initiated_at": None if batch.cancelled_s is None else rfc3339_at(wall(batch.cancelled_s)),
            "results_url": f"{url}{PATH}/{batch.id}/results" if phase.is_end and not archived else None,
        }

    async def _lines(self, batch: Batch) -> AsyncIterator[bytes]:
        phase, done, _ = batch.at(self.book.now_s())
        async for result in self.work.results(batch, done):
            if result.status == 200:
                said: dict[str, object] = {"type": "succeeded", "message": result.body}
            else:
                said = {"type": "errored", "error": result.body}
            yield encode({"custom_id": result.custom_id, "result": said})
        kind = "expired" if phase is Phase.EXPIRED else "canceled"
        for index in batch.order[done:]:
            yield encode({"custom_id": _read_row(batch.lines[index]).custom_id, "result": {"type": kind}})

    def _answerer(self, exchange: RowExchange, row: BatchRow) -> Callable[[], object]:
        if row.body.get("stream"):
            raise Refusal(Reason.BAD_VALUE, "stream: Streaming is not supported in batches")
        reading = read_messages(row.body, exchange.choose_model(row.body.get("model")))
        exchange.read_marks(reading.prompt.question)
        exchange.admit(reading.prompt)
        return lambda: self._write_body(exchange, reading.prompt)


def _check(lines: list[bytes]) -> str:
    """The first row's model. Raises what is wrong with the list."""
    if not lines:
        raise Refusal(Reason.BAD_VALUE, "requests: List should have at least 1 item after validation, not 0")
    if len(lines) > MAX_ROWS:
        raise Refusal(Reason.BAD_VALUE, f"requests: List should have at most {MAX_ROWS} items after validation")
    seen: set[str] = set()
    model = ""
    for number, line in enumerate(lines):
        try:
            row = _decode_row(line)
        except msgspec.DecodeError as exc:
            raise Refusal(Reason.BAD_VALUE, f"requests.{number}: {exc}") from None
        if not _NAME.fullmatch(row.custom_id):
            text = f"requests.{number}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
            raise Refusal(Reason.BAD_VALUE, text)
        if row.custom_id in seen:
            raise Refusal(Reason.BAD_VALUE, f"requests: Duplicate custom_id found: {row.custom_id}")
        seen.add(row.custom_id)
        model = model or split_model(str(row.params.get("model", "")))[0]
    return model


def _read_row(line: bytes) -> BatchRow:
    row = _decode_row(line)
    return BatchRow(row.custom_id, row.params)
