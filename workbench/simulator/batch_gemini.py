"""Gemini's batches: rows inline or as an uploaded file, an operation to look at, results in the form the rows had.

Files go up in two steps, a start that answers with an address and the bytes to that address. A file of results is
downloaded from a third place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from workbench.simulator.batch_book import Batch, BatchRow, Phase, Problem, RowResult, StoredFile
from workbench.simulator.batch_rows import RowExchange, RowWork
from workbench.simulator.batch_serving import BatchEndpoints, decoded, rows_of
from workbench.simulator.dialect import Dialect, identifier
from workbench.simulator.durations import rfc3339_at
from workbench.simulator.exchange import Exchange
from workbench.simulator.gemini_reading import Reading, read_contents
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.simulation import Shelf

encode = msgspec.json.encode
MAX_INLINE_BYTES = 20 * 1024 * 1024
MAX_FILE_BYTES = 2 * 1024 * 1024 * 1024
FILE_LIFETIME_S = 48 * 3600.0
VERSIONS = ("/v1beta", "/v1")

STATES = {
    Phase.VALIDATING: "PENDING",
    Phase.IN_PROGRESS: "RUNNING",
    Phase.FINALIZING: "RUNNING",
    Phase.COMPLETED: "SUCCEEDED",
    Phase.FAILED: "FAILED",
    Phase.EXPIRED: "EXPIRED",
    Phase.CANCELLING: "RUNNING",
    Phase.CANCELLED: "CANCELLED",
}

CODES = {
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "ABORTED": 10,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
}
"""A row's error has gRPC's number where a live answer has a status."""

BodyWriter = Callable[[RowExchange, Reading], object]
"""The body of a whole answer to what `read_contents` has read."""


class GeminiBatches(BatchEndpoints):
    def __init__(self, dialect: Dialect, write_body: BodyWriter) -> None:
        super().__init__(dialect)
        self.work = RowWork(dialect, self._answerer)
        self._write_body = write_body
        self._uploads = Shelf[str]()

    def uploader(self, request: Request) -> str | None:
        """The key that started this upload: its second step is signed with the address alone."""
        return self._uploads.get(request.query_params.get("upload_id", ""))

    def routes(self) -> list[BaseRoute]:
        return [route for version in VERSIONS for route in self._routes(version)]

    def _routes(self, version: str) -> list[BaseRoute]:
        return [
            self.route(f"/upload{version}/files", "upload", self.upload),
            self.route(f"{version}/files", "files", self.list_files, "GET"),
            # First, because a name may be anything: results, asked for with their own verb or as the SDK does it.
            self.route(f"/download{version}/files/{{name}}:download", "results", self.download_file, "GET"),
            self.route(f"{version}/files/{{name}}:download", "results", self.download_file, "GET"),
            self.route(f"{version}/files/{{name}}", "files", self.one_file, "GET"),
            self.route(f"{version}/files/{{name}}", "files", self.delete_file, "DELETE"),
            self.route(f"{version}/models/{{model}}:batchGenerateContent", "create", self.create),
            self.route(f"{version}/batches", "list", self.list_batches, "GET"),
            self.route(f"{version}/batches/{{name}}:cancel", "cancel", self.cancel),
            self.route(f"{version}/batches/{{name}}", "status", self.status, "GET"),
        ]

    # --- files

    async def upload(self, exchange: Exchange) -> ASGIApp:
        headers = exchange.request.headers
        command = headers.get("x-goog-upload-command", "")
        if command == "start":
            return await self._start_upload(exchange)
        if command != "upload, finalize":
            raise Refusal(Reason.BAD_VALUE, "X-Goog-Upload-Command must be 'start' or 'upload, finalize'.")
        data = await exchange.request.body()
        if len(data) > MAX_FILE_BYTES:
            raise Refusal(Reason.TOO_LARGE, "")
        query = exchange.request.query_params
        file = StoredFile(
            identifier("", exchange, 12).lower(),
            self.dialect.provider,
            self.owner(exchange),
            query.get("display_name", ""),
            query.get("mime_type", ""),
            data,
            self.book.now_s(),
        )
        self.book.add_file(file)
        response = self.dialect.plain(exchange, {"file": self.file_body(file)})
        response.headers["x-goog-upload-status"] = "final"
        return response

    async def _start_upload(self, exchange: Exchange) -> Response:
        body = await exchange.read_json()
        about = body.get("file")
        about = about if isinstance(about, dict) else {}
        name = about.get("display_name") or about.get("displayName") or ""
        mime = exchange.request.headers.get("x-goog-upload-header-content-type", "application/octet-stream")
        response = self.dialect.plain(exchange, {})
        upload_id = identifier("", exchange)
        self._uploads.put(upload_id, exchange.entry.key)
        url = exchange.request.url.include_query_params(upload_id=upload_id)
        response.headers["x-goog-upload-url"] = str(url.include_query_params(display_name=name, mime_type=mime))
        response.headers["x-goog-upload-status"] = "active"
        return response

    def file_body(self, file: StoredFile) -> dict[str, object]:
        wall = self.book.wall
        return {
            "name": f"files/{file.id}",
            "displayName": file.name,
            "mimeType": file.purpose,
            "sizeBytes": str(len(file.data)),
            "createTime": rfc3339_at(wall(file.created_s)),
            "expirationTime": rfc3339_at(wall(file.created_s + FILE_LIFETIME_S)),
            "state": "ACTIVE",
            "source": "UPLOADED",
        }

    async def list_files(self, exchange: Exchange) -> ASGIApp:
        files = [f for f in self.book.files(self.dialect.provider, self.owner(exchange)) if self._is_kept(f)]
        page, token = paged(exchange, files, most=100)
        body: dict[str, object] = {"files": [self.file_body(file) for file in page]} if page else {}
        return self.dialect.plain(exchange, body | token)

    async def one_file(self, exchange: Exchange) -> ASGIApp:
        return self.dialect.plain(exchange, self.file_body(self._file(exchange, exchange.request.path_params["name"])))

    async def delete_file(self, exchange: Exchange) -> ASGIApp:
        self.book.remove_file(self._file(exchange, exchange.request.path_params["name"]).id)
        return self.dialect.plain(exchange, {})

    async def download_file(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        batch = self.book.batch(name.removeprefix("batch-"), self.dialect.provider, self.owner(exchange))
        if batch is None or not self.book.has_results(batch):
            raise Refusal(Reason.FORBIDDEN_OR_MISSING, _no_file(name))
        return self.download(exchange, self._lines(batch), "application/octet-stream")

    def _file(self, exchange: Exchange, name: str) -> StoredFile:
        file = self.book.file(name, self.dialect.provider, self.owner(exchange))
        if file is None or not self._is_kept(file):
            raise Refusal(Reason.FORBIDDEN_OR_MISSING, _no_file(name))
        return file

    def _is_kept(self, file: StoredFile) -> bool:
        return self.book.now_s() < file.created_s + FILE_LIFETIME_S

    # --- batches

    async def create(self, exchange: Exchange) -> ASGIApp:
        raw = await exchange.request.body()
        if len(raw) > MAX_INLINE_BYTES:
            raise Refusal(Reason.TOO_LARGE, "")
        asked = _asked(raw)
        model = self.dialect.simulation.models.find(self.dialect.provider, exchange.request.path_params["model"])
        if model is None:
            raise Refusal(Reason.UNKNOWN_MODEL, "", model=exchange.request.path_params["model"])
        inline = asked.inputConfig.requests
        lines: list[bytes]
        if inline is not None:
            lines = [bytes(request) for request in inline.requests]
            if not lines:
                raise Refusal(Reason.BAD_VALUE, "* BatchGenerateContentRequest.batch.input_config: no requests")
        else:
            lines = rows_of(self._file(exchange, (asked.inputConfig.fileName or "").removeprefix("files/")).data)
        batch = Batch(
            id=identifier("", exchange, 32).lower(),
            number=self.book.next_number(),
            provider=self.dialect.provider,
            organisation=self.owner(exchange),
            model=model.name,
            endpoint=":generateContent",
            lines=lines,
            read_row=_read_inline if inline is not None else _read_line,
            pace=self.book.pace,
            scale=self.dialect.simulation.time_scale,
            created_s=self.book.now_s(),
            tokens=sum(map(len, lines)) // 4,
            details={"displayName": asked.displayName, "inline": inline is not None},
        )
        batch.problems = tuple(_problems(lines, inline=inline is not None))
        self.check_enqueued(batch)
        self.book.add(batch)
        return self.dialect.plain(exchange, await self.body(batch))

    async def list_batches(self, exchange: Exchange) -> ASGIApp:
        page, token = paged(exchange, self.book.batches(self.dialect.provider, self.owner(exchange)), most=100)
        rows = [await self.body(batch) for batch in page]
        return self.dialect.plain(exchange, ({"operations": rows} if rows else {}) | token)

    async def status(self, exchange: Exchange) -> ASGIApp:
        batch = self._named(exchange)
        if batch.details["inline"] and self.book.has_results(batch) and not batch.problems:
            return self._inline_results(exchange, batch, await self.body(batch))
        return self.dialect.plain(exchange, await self.body(batch))

    def _inline_results(self, exchange: Exchange, batch: Batch, body: dict[str, object]) -> ASGIApp:
        """The operation with everything in it, written row by row."""
        exchange.meet_faults("results")
        return self.download(exchange, _around(body, self._inlined(batch)), "application/json")

    async def cancel(self, exchange: Exchange) -> ASGIApp:
        batch = self._named(exchange)
        if batch.at(self.book.now_s()).phase.is_end:
            raise Refusal(Reason.BAD_VALUE, f"Batch batches/{batch.id} has already ended.")
        self.book.cancel(batch)
        return self.dialect.plain(exchange, {})

    def _named(self, exchange: Exchange) -> Batch:
        batch = self.batch(exchange, exchange.request.path_params["name"], "")
        if batch.at(self.book.now_s()).phase.is_end and not self.book.has_results(batch):
            raise Refusal(Reason.UNKNOWN_ROUTE, "")
        return batch

    async def body(self, batch: Batch) -> dict[str, object]:
        phase, done, ended_s = batch.at(self.book.now_s())
        failed = await self.work.failed(batch, done)
        wall = self.book.wall
        stats = {"requestCount": str(len(batch.lines)), "pendingRequestCount": str(len(batch.lines) - done)}
        if done - failed:
            stats["successfulRequestCount"] = str(done - failed)
        if failed:
            stats["failedRequestCount"] = str(failed)
        metadata: dict[str, object] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": f"models/{batch.model}",
            "displayName": batch.details["displayName"],
            "createTime": rfc3339_at(wall(batch.created_s)),
            "updateTime": rfc3339_at(wall(self.book.now_s())),
            "batchStats": stats,
            "state": f"BATCH_STATE_{STATES[phase]}",
            "name": f"batches/{batch.id}",
        }
        body: dict[str, object] = {"name": f"batches/{batch.id}", "metadata": metadata}
        if ended_s is None:
            return body
        metadata["endTime"] = rfc3339_at(wall(ended_s))
        body["done"] = True
        if batch.problems:
            body["error"] = {"code": 3, "message": batch.problems[0].message}
        elif not batch.details["inline"]:
            output = {"responsesFile": f"files/batch-{batch.id}"}
            metadata["output"] = output
            body["response"] = {"@type": metadata["@type"], **output}
        return body

    # --- rows

    async def _lines(self, batch: Batch) -> AsyncIterator[bytes]:
        async for result in self._every(batch):
            yield encode({"key": result.custom_id, **_said(result)})

    async def _inlined(self, batch: Batch) -> AsyncIterator[bytes]:
        async for result in self._every(batch):
            yield encode({**_said(result), "metadata": {"key": result.custom_id}})

    async def _every(self, batch: Batch) -> AsyncIterator[RowResult]:
        phase, done, _ = batch.at(self.book.now_s())
        async for result in self.work.results(batch, done):
            yield result
        code, word = (4, "expired") if phase is Phase.EXPIRED else (1, "cancelled")
        error = {"error": {"code": code, "message": f"The batch was {word} before this request was processed."}}
        for index in batch.order[done:]:
            yield RowResult(batch.read_row(batch.lines[index]).custom_id, 499, error, index)

    def _answerer(self, exchange: RowExchange, row: BatchRow) -> Callable[[], object]:
        exchange.choose_model(exchange.batch.model)
        reading = read_contents(row.body, exchange.model)
        exchange.read_marks(reading.prompt.question)
        exchange.admit(reading.prompt, count=reading.candidates)
        return lambda: self._write_body(exchange, reading)


class _Requests(msgspec.Struct):
    requests: list[msgspec.Raw]


class _Input(msgspec.Struct):
    requests: _Requests | None = None
    fileName: str | None = None


class _BatchBody(msgspec.Struct):
    inputConfig: _Input
    displayName: str


class _Asked(msgspec.Struct):
    batch: _BatchBody


def _asked(raw: bytes) -> _BatchBody:
    try:
        asked = msgspec.json.decode(raw, type=_Asked).batch
    except msgspec.DecodeError as exc:
        raise Refusal(Reason.BAD_JSON, str(exc)) from None
    if (asked.inputConfig.requests is None) is (asked.inputConfig.fileName is None):
        raise Refusal(Reason.BAD_VALUE, "* BatchGenerateContentRequest.batch.input_config: exactly one source, please")
    return asked


def _problems(lines: list[bytes], *, inline: bool) -> list[Problem]:
    """The first line that cannot be read, which is all that Gemini reports."""
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        row = decoded(line)
        if not isinstance(row, dict) or not isinstance(row.get("request"), dict):
            return [Problem("INVALID_ARGUMENT", f"Failed to parse line {number} of the input file.", number)]
        if inline:
            continue
        key = row.get("key")
        if not isinstance(key, str) or key in seen:
            return [Problem("INVALID_ARGUMENT", f"Missing or duplicate key in line {number}: {key!r}.", number)]
        seen.add(key)
    return [] if lines else [Problem("INVALID_ARGUMENT", "The input file is empty.")]


def _read_line(line: bytes) -> BatchRow:
    row = msgspec.json.decode(line)
    return BatchRow(row["key"], row["request"])


def _read_inline(line: bytes) -> BatchRow:
    row = msgspec.json.decode(line)
    metadata = row.get("metadata")
    return BatchRow(str(metadata.get("key", "")) if isinstance(metadata, dict) else "", row["request"])


def _said(result: RowResult) -> dict[str, object]:
    if result.status == 200:
        return {"response": result.body}
    error = result.body["error"]
    return {"error": {"code": CODES.get(error.get("status"), error["code"]), "message": error["message"]}}


async def _around(body: dict[str, object], rows: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The operation's JSON with its rows in `metadata.output`, which is where the SDK looks."""
    head = encode({name: value for name, value in body.items() if name != "metadata"})
    metadata = encode(body["metadata"])[:-1]
    yield head[:-1] + b',"metadata":' + metadata + b',"output":{"inlinedResponses":{"inlinedResponses":['
    first = True
    async for row in rows:
        yield row if first else b"," + row
        first = False
    yield b"]}}}}"


def paged(exchange: Exchange, rows: list[Any], most: int) -> tuple[list[Any], dict[str, object]]:
    """A page of these, and the token for the next one: a row's number."""
    query = exchange.request.query_params
    start, size = (int(query[name]) if query.get(name, "").isdecimal() else 0 for name in ("pageToken", "pageSize"))
    end = start + min(size or 10, most)
    return rows[start:end], {"nextPageToken": str(end)} if end < len(rows) else {}


def _no_file(name: str) -> str:
    return f"You do not have permission to access the File {name} or it may not exist."
