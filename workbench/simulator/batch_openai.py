"""Files and batches as OpenAI has them, and as Together copied them.

A batch is created at once and validated later: what is wrong with its file turns it into a failed one, with a list of
problems. Answers go to one file and errors to another, in any order; rows that were never run stand among the errors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from workbench.simulator.batch_book import Batch, BatchRow, Moment, Phase, RowResult, StoredFile
from workbench.simulator.batch_rows import RowExchange, RowWork
from workbench.simulator.batch_serving import BatchEndpoints, read_form, rows_of
from workbench.simulator.batch_validation import RESPONSES, BatchTraits, Validation, model_in
from workbench.simulator.dialect import identifier
from workbench.simulator.exchange import Exchange
from workbench.simulator.openai_chat import ChatTraits, accept, usage_of, whole_body
from workbench.simulator.openai_responses import ResponseWriter
from workbench.simulator.prompt_cache import CacheUse
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.responses_reading import read_response

if TYPE_CHECKING:
    from workbench.simulator.openai import ChatDialect

encode = msgspec.json.encode


class OpenAIBatches(BatchEndpoints):
    """Endpoints for a host that speaks Chat Completions."""

    dialect: ChatDialect

    def __init__(self, dialect: ChatDialect, traits: BatchTraits | None = None) -> None:
        super().__init__(dialect)
        self.traits = traits or BatchTraits()
        self.validation = Validation(self.traits, dialect)
        self.work = RowWork(dialect, self._answerer)

    def routes(self) -> list[BaseRoute]:
        return [
            self.route(self.traits.upload_path, "upload", self.upload),
            self.route("/files", "files", self.list_files, "GET"),
            self.route("/files/{name}", "files", self.one_file, "GET"),
            self.route("/files/{name}", "files", self.delete_file, "DELETE"),
            self.route("/files/{name}/content", "results", self.content, "GET"),
            self.route("/batches", "create", self.create),
            self.route("/batches", "list", self.list_batches, "GET"),
            self.route("/batches/{name}", "status", self.status, "GET"),
            self.route("/batches/{name}/cancel", "cancel", self.cancel),
        ]

    # --- files

    async def upload(self, exchange: Exchange) -> ASGIApp:
        form = await read_form(exchange.request)
        if form.file is None:
            raise Refusal(Reason.MISSING_PARAMETER, "", parameter="file")
        purpose = form.fields.get("purpose")
        if purpose is None:
            raise Refusal(Reason.MISSING_PARAMETER, "", parameter="purpose")
        if purpose not in (self.traits.purpose, "user_data", "fine-tune"):
            raise Refusal(Reason.BAD_VALUE, f"'{purpose}' is not one of ['{self.traits.purpose}', 'user_data']")
        if len(form.file) > self.traits.file_bytes:
            raise Refusal(Reason.TOO_LARGE, "")
        if not form.file.strip():
            raise Refusal(Reason.BAD_VALUE, "The file is empty.", parameter="file")
        name = form.fields.get("file_name") or form.file_name or "upload"
        file = StoredFile(
            identifier("file-", exchange),
            self.dialect.provider,
            self.owner(exchange),
            name,
            purpose,
            form.file,
            self.book.now_s(),
        )
        self.book.add_file(file)
        return self.dialect.plain(exchange, self.file_body(file))

    def file_body(self, file: StoredFile) -> dict[str, object]:
        return {
            "id": file.id,
            "object": "file",
            "bytes": len(file.data),
            "created_at": int(self.book.wall(file.created_s)),
            "expires_at": None,
            "filename": file.name,
            "purpose": file.purpose,
            "status": "processed",
            "status_details": None,
        }

    async def list_files(self, exchange: Exchange) -> ASGIApp:
        purpose = exchange.request.query_params.get("purpose")
        files = self.book.files(self.dialect.provider, self.owner(exchange))
        rows = [self.file_body(file) for file in files if purpose in (None, file.purpose)]
        return self.dialect.plain(exchange, page_of(exchange, rows, 10_000))

    async def one_file(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        return self.dialect.plain(exchange, self.file_body(self.file(exchange, name, no_file(name))))

    async def delete_file(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        self.book.remove_file(self.file(exchange, name, no_file(name)).id)
        return self.dialect.plain(exchange, {"id": name, "object": "file", "deleted": True})

    async def content(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        batch, wants_errors = self._behind(exchange, name)
        if batch is None:
            return self.download(exchange, _each(self.file(exchange, name, no_file(name)).data))
        return self.download(exchange, self._lines(batch, wants_errors=wants_errors))

    def _behind(self, exchange: Exchange, name: str) -> tuple[Batch | None, bool]:
        """The batch whose answers or errors this file is."""
        kind, _, batch_id = name.removeprefix("file-").partition("-")
        batch = self.book.batch(batch_id, self.dialect.provider, self.owner(exchange))
        if kind not in ("output", "error") or batch is None or not self.book.has_results(batch):
            return None, False
        return batch, kind == "error"

    # --- batches

    async def create(self, exchange: Exchange) -> ASGIApp:
        body = await exchange.read_json()
        endpoint = self._endpoint(body)
        metadata = _metadata(body)
        name = body.get("input_file_id")
        if not isinstance(name, str):
            raise Refusal(Reason.MISSING_PARAMETER, "", parameter="input_file_id")
        file = self.book.file(name, self.dialect.provider, self.owner(exchange))
        if file is None:
            raise Refusal(Reason.BAD_VALUE, f"Invalid input_file_id: {no_file(name)}", parameter="input_file_id")
        if file.purpose != self.traits.purpose:
            raise Refusal(
                Reason.BAD_VALUE,
                f"Invalid input file purpose: '{file.purpose}' is not '{self.traits.purpose}'.",
                parameter="input_file_id",
            )
        lines = rows_of(file.data)
        batch = Batch(
            id=identifier("batch_", exchange),
            number=self.book.next_number(),
            provider=self.dialect.provider,
            organisation=self.owner(exchange),
            model=model_in(lines),
            endpoint=endpoint,
            lines=lines,
            read_row=read_line,
            pace=self.book.pace,
            scale=self.dialect.simulation.time_scale,
            created_s=self.book.now_s(),
            tokens=len(file.data) // 4,
            details={"metadata": metadata, "input_file_id": name, "bytes": len(file.data)},
        )
        batch.problems = await self.validation.problems(batch)
        self.book.add(batch)
        return self.dialect.plain(exchange, self.created(await self.body(batch)))

    def _endpoint(self, body: dict[str, Any]) -> str:
        endpoint = body.get("endpoint")
        if endpoint is None:
            raise Refusal(Reason.MISSING_PARAMETER, "", parameter="endpoint")
        if endpoint not in self.traits.endpoints:
            known = ", ".join(f"'{name}'" for name in self.traits.endpoints)
            raise Refusal(
                Reason.BAD_VALUE, f"Invalid value: '{endpoint}'. Supported values are: {known}.", parameter="endpoint"
            )
        if self.traits.needs_method and body.get("completion_window") != "24h":
            raise Refusal(
                Reason.BAD_VALUE,
                f"Invalid value: '{body.get('completion_window')}'. Value must be '24h'.",
                parameter="completion_window",
            )
        return str(endpoint)

    async def list_batches(self, exchange: Exchange) -> ASGIApp:
        batches = self.book.batches(self.dialect.provider, self.owner(exchange))
        return self.dialect.plain(exchange, self.listed(exchange, [await self.body(batch) for batch in batches]))

    async def status(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        batch = self.batch(exchange, name, f"No batch found with id '{name}'.")
        return self.dialect.plain(exchange, await self.body(batch))

    async def cancel(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        batch = self.batch(exchange, name, f"No batch found with id '{name}'.")
        phase = batch.at(self.book.now_s()).phase
        if phase.is_end:
            raise Refusal(Reason.CONFLICT, f"Cannot cancel a batch with status '{phase}'.")
        self.book.cancel(batch)
        return self.dialect.plain(exchange, await self.body(batch))

    # What Together spells differently.

    def created(self, body: dict[str, object]) -> object:
        return body

    def listed(self, exchange: Exchange, rows: list[dict[str, object]]) -> object:
        return page_of(exchange, rows, 20)

    async def body(self, batch: Batch) -> dict[str, object]:
        moment = batch.at(self.book.now_s())
        phase, done, ended_s = moment
        failed = await self.work.failed(batch, done)
        wall = self.book.wall
        ended_at = None if ended_s is None else int(wall(ended_s))
        files = self.files_of(batch, moment, failed)
        problems = [
            {"code": p.code, "message": p.message, "line": p.line, "param": p.param} for p in batch.problems
        ]  # fmt: skip
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "model": batch.model,
            "errors": {"object": "list", "data": problems} if phase is Phase.FAILED else None,
            "input_file_id": batch.details["input_file_id"],
            "completion_window": "24h",
            "status": phase.value,
            "output_file_id": files[0],
            "error_file_id": files[1],
            "created_at": int(wall(batch.created_s)),
            "expires_at": int(wall(batch.expires_s)),
            **{f"{end}_at": ended_at if phase is end else None for end in Phase if end.is_end},
            "cancelling_at": None if batch.cancelled_s is None else int(wall(batch.cancelled_s)),
            "request_counts": {"total": len(batch.lines), "completed": done - failed, "failed": failed}
            if phase not in (Phase.VALIDATING, Phase.FAILED)
            else {"total": 0, "completed": 0, "failed": 0},
            "metadata": batch.details["metadata"],
        }

    def files_of(self, batch: Batch, moment: Moment, failed: int) -> tuple[str | None, str | None]:
        """Ids of the files with answers and with errors, where there are any."""
        if not moment.phase.is_end or batch.problems:
            return None, None
        unfinished = len(batch.lines) - moment.done
        return (
            f"file-output-{batch.id}" if moment.done > failed else None,
            f"file-error-{batch.id}" if failed or unfinished else None,
        )

    # --- rows

    async def _lines(self, batch: Batch, *, wants_errors: bool) -> AsyncIterator[bytes]:
        phase, done, _ = batch.at(self.book.now_s())
        async for result in self.work.results(batch, done):
            if (result.status != 200) is wants_errors:
                yield encode(self.result_line(batch, result))
        if wants_errors:
            for index in batch.order[done:]:
                yield encode(unfinished_line(batch, index, phase))

    def result_line(self, batch: Batch, result: RowResult) -> dict[str, object]:
        return {
            "id": f"batch_req_{batch.number:06d}{result.number:012d}",
            "custom_id": result.custom_id,
            "response": {
                "status_code": result.status,
                "request_id": f"req_{batch.number:06d}{result.number:012d}",
                "body": result.body,
            },
            "error": None,
        }

    def _answerer(self, exchange: RowExchange, row: BatchRow) -> Callable[[], object]:
        if exchange.batch.endpoint == RESPONSES:
            return _response(exchange, row.body)
        call = accept(exchange, row.body, strict=self.dialect.strict)
        traits: ChatTraits = self.dialect.traits
        usage = usage_of(call.prompt, (answer for answer, _ in call.answers), call.cache)
        return lambda: whole_body(exchange, call, traits, identifier(self.dialect.id_prefix, exchange), usage)


def _response(exchange: RowExchange, body: dict[str, Any]) -> Callable[[], object]:
    reading = read_response(body, exchange.choose_model(body.get("model")), ())
    exchange.read_marks(reading.prompt.question)
    exchange.admit(reading.prompt)

    def answer() -> object:
        ((said, _),) = exchange.answers(reading.prompt)
        return ResponseWriter(exchange, reading, CacheUse(), body).response(said)

    return answer


def read_line(line: bytes) -> BatchRow:
    row = msgspec.json.decode(line)
    return BatchRow(row["custom_id"], row["body"])


def unfinished_line(batch: Batch, index: int, phase: Phase) -> dict[str, object]:
    """A row that was never run."""
    if phase is Phase.EXPIRED:
        code, text = "batch_expired", "This request could not be executed before the completion window expired."
    else:
        code, text = "batch_cancelled", "This request was not executed because the batch was cancelled."
    return {
        "id": f"batch_req_{batch.number:06d}{index:012d}",
        "custom_id": batch.read_row(batch.lines[index]).custom_id,
        "response": None,
        "error": {"code": code, "message": text},
    }


def page_of(exchange: Exchange, rows: list[dict[str, object]], limit: int) -> dict[str, object]:
    """A list as OpenAI pages it: `after` is the last id that was seen."""
    query = exchange.request.query_params
    names = [row["id"] for row in rows]
    after = query.get("after")
    start = names.index(after) + 1 if after in names else 0
    try:
        limit = min(limit, int(query.get("limit", limit)))
    except ValueError:
        raise Refusal(Reason.BAD_VALUE, "Invalid 'limit': expected an integer.", parameter="limit") from None
    page = rows[start : start + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(rows),
    }


def no_file(name: str) -> str:
    return f"No such File object: {name}"


async def _each(data: bytes) -> AsyncIterator[bytes]:
    for line in rows_of(data):
        yield line


def _metadata(body: dict[str, Any]) -> dict[str, str] | None:
    metadata = body.get("metadata")
    if metadata is None:
        return None
    fits = (
        isinstance(metadata, dict)
        and len(metadata) <= 16
        and all(isinstance(value, str) and len(value) <= 512 and len(key) <= 64 for key, value in metadata.items())
    )
    if not fits:
        text = "Invalid 'metadata': expected at most 16 pairs of strings, of up to 64 and 512 characters."
        raise Refusal(Reason.BAD_VALUE, text, parameter="metadata")
    return dict(metadata)
