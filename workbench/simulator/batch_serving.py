"""What the batch endpoints of all providers share: faults by operation, uploads, results as they are read.

A `FaultRule` with an `operation` strikes here: `upload`, `create`, `status`, `list`, `cancel`, `results`, `files`.
`reset` and `drop` break the connection (an upload's in the middle of its body, a download's after `after` rows),
`truncated-json` ends a download in the middle of a row, `cut` after a whole one, and `lost-answer` does everything that
was asked for and answers 500.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email import message_from_bytes

import msgspec
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from workbench.simulator.batch_book import Batch, BatchBook, StoredFile
from workbench.simulator.dialect import Dialect, Operation
from workbench.simulator.exchange import Exchange
from workbench.simulator.faults import Fault, FaultKind
from workbench.simulator.journal import Ending
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.stream import Headers, break_connection

WRITE_BYTES = 64 * 1024
"""Of results, at a time."""


class BatchEndpoints:
    """One provider's files and batches; subclasses spell them."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    @property
    def book(self) -> BatchBook:
        return self.dialect.simulation.batches

    def route(self, path: str, name: str, operation: Operation, *methods: str) -> Route:
        """A route whose requests meet the faults meant for operations of this name."""

        async def faulty(exchange: Exchange) -> ASGIApp:
            exchange.meet_faults(name)
            early = self.dialect.early(exchange)
            if early is not None:
                return early
            if name == "upload" and exchange.fault(FaultKind.DROP):
                async for _ in exchange.request.stream():
                    break
                return exchange.respond([], None, open_s=0.0, status=0)
            response = await operation(exchange)
            lost = exchange.fault(FaultKind.LOST_ANSWER)
            if lost is not None:
                raise Refusal(Reason.SERVER_ERROR, lost.message, status=lost.status)
            return response

        return self.dialect.route(path, faulty, *methods)

    def owner(self, exchange: Exchange) -> str:
        return exchange.account.organisation

    def check_enqueued(self, batch: Batch) -> None:
        """For those that refuse at once what would be too much in waiting."""
        if (over := self.book.over_limit(batch)) is not None:
            limit, waiting = over
            raise Refusal(
                Reason.RATE_ENQUEUED, "", model=batch.model, limit=limit, used=waiting, requested=batch.tokens
            )

    def batch(self, exchange: Exchange, name: str, missing: str) -> Batch:
        found = self.book.batch(name, self.dialect.provider, self.owner(exchange))
        if found is None:
            raise Refusal(Reason.UNKNOWN_ROUTE, missing)
        return found

    def file(self, exchange: Exchange, name: str, missing: str) -> StoredFile:
        found = self.book.file(name, self.dialect.provider, self.owner(exchange))
        if found is None:
            raise Refusal(Reason.UNKNOWN_ROUTE, missing)
        return found

    def download(self, exchange: Exchange, lines: AsyncIterator[bytes], media: str = "application/jsonl") -> ASGIApp:
        """The lines as they are made, one after the other."""
        exchange.entry.status = 200
        headers = [(b"content-type", media.encode()), *self.dialect.common_headers(exchange)]
        kinds = (FaultKind.DROP, FaultKind.CUT, FaultKind.TRUNCATED_JSON)
        return _Download(exchange, lines, headers, exchange.fault(*kinds))


class _Download:
    """A response without a length, which ends where the lines do or where a fault says."""

    def __init__(self, exchange: Exchange, lines: AsyncIterator[bytes], headers: Headers, fault: Fault | None) -> None:
        self._exchange = exchange
        self._lines = lines
        self._headers = headers
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            ending = await self._send_lines(send)
            self._exchange.close(ending)
            if ending is Ending.BROKEN and self._fault and self._fault.kind is FaultKind.DROP:
                break_connection(scope)
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._exchange.close(Ending.CANCELLED)

    async def _send_lines(self, send: Send) -> Ending:
        fault, waiting, count = self._fault, bytearray(), 0
        async for line in self._lines:
            if fault is not None and count == fault.after:
                if fault.kind is not FaultKind.CUT:
                    waiting += line[: len(line) // 2]
                await send({"type": "http.response.body", "body": bytes(waiting), "more_body": True})
                return Ending.BROKEN
            waiting += line
            waiting += b"\n"
            count += 1
            if len(waiting) >= WRITE_BYTES:
                await send({"type": "http.response.body", "body": bytes(waiting), "more_body": True})
                waiting.clear()
        await send({"type": "http.response.body", "body": bytes(waiting), "more_body": True})
        return Ending.COMPLETED


@dataclass(frozen=True, slots=True)
class Form:
    fields: dict[str, str]
    file_name: str | None
    file: bytes | None


async def read_form(request: Request) -> Form:
    """A multipart body with one file in it."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode("latin-1", "replace")
    boundary = message_from_bytes(head).get_param("boundary")
    if not isinstance(boundary, str):
        raise Refusal(Reason.BAD_VALUE, "Could not parse multipart form: there is no boundary.")
    fields: dict[str, str] = {}
    file_name: str | None = None
    file: bytes | None = None
    mark = b"--" + boundary.encode("latin-1", "replace")
    body = await request.body()
    for part in (b"\r\n" + body).split(b"\r\n" + mark)[1:-1]:
        raw_head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        about = message_from_bytes(raw_head + b"\r\n\r\n")
        name = about.get_param("name", header="content-disposition")
        if about.get_filename() is not None:
            file_name, file = about.get_filename(), content
        elif isinstance(name, str):
            fields[name] = content.decode("utf-8", "replace")
    return Form(fields, file_name, file)


def rows_of(data: bytes) -> list[bytes]:
    """The lines of a file, numbered as they stand; only what follows the last line end is none."""
    lines = data.split(b"\n")
    if not lines[-1].strip():
        lines.pop()
    return lines


def decoded(line: bytes) -> object:
    """One line's JSON, or None where it is none."""
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
