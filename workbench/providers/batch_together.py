"""Together's batches: OpenAI's files in another form, states in capitals, dates in words, and no metadata.

The openai SDK would send the upload elsewhere and cannot read the bare lists, so this goes over our own connections.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import msgspec

from workbench.core.clock import Clock
from workbench.core.errors import MalformedResponse
from workbench.providers.batch import (
    BatchAccount,
    BatchCounts,
    BatchLimits,
    BatchResult,
    BatchRow,
    BatchState,
    BatchStatus,
    EncodedRow,
)
from workbench.providers.batch_openai import CHAT_ENDPOINT, STATES, read_result, request_body
from workbench.providers.batch_rows import (
    LARGE,
    SMALL,
    LinesFile,
    about,
    asked,
    create_once,
    encoded,
    pieces,
    witness_of,
)
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.dialogue import Facts
from workbench.providers.fetching import fetch, fetch_lines
from workbench.providers.http import Connections

PURPOSE: Final = "batch-api"


class _Batch(msgspec.Struct):
    id: str
    status: str
    input_file_id: str | None = None
    model_id: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    job_deadline: datetime | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    error: str | None = None


class TogetherBatches:
    """Files and batches at Together."""

    limits = BatchLimits(rows=50_000, body_bytes=100_000_000, row_bytes=10_000_000)

    def __init__(self, connections: Connections, clock: Clock, memory: ParameterMemory) -> None:
        self._connections = connections
        self._clock = clock
        self._memory = memory

    def encode(self, account: BatchAccount, model: str, row: BatchRow) -> EncodedRow:
        body, _, notes = request_body(account, model, row, self._memory)
        line = encoded({"custom_id": row.custom_id, "body": body}, witness_of(account, model))
        return EncodedRow(row.custom_id, line, notes)

    async def upload(self, account: BatchAccount, name: str, lines: Sequence[bytes]) -> str:
        witness = witness_of(account)
        witness.check_key()
        form = _Form({"purpose": PURPOSE, "file_name": name, "file_type": "jsonl"}, name, LinesFile(lines))
        answer, headers = await fetch(
            self._connections,
            asked(account),
            "files/upload",
            content=form.content(),
            headers=form.headers,
            deadlines=LARGE,
            clock=self._clock,
        )
        file_id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(file_id, str):
            raise MalformedResponse(
                f"{witness.place.host} did not say what the upload is called.", **witness.details(headers)
            )
        return file_id

    async def find_upload(self, account: BatchAccount, name: str) -> str | None:
        for file in _rows(await self._ask(account, "files")):
            if file.get("filename") == name and file.get("purpose") == PURPOSE:
                return str(file.get("id"))
        return None

    async def create(
        self, account: BatchAccount, model: str, *, tag: str, file_id: str | None, lines: Sequence[bytes]
    ) -> BatchStatus:
        witness_of(account).check_key()
        body = {"input_file_id": file_id, "endpoint": CHAT_ENDPOINT}
        answer = await create_once(self._connections, asked(account), "batches", body, self._clock)
        return status_of(self._batch(answer, account))

    async def find_batch(
        self, account: BatchAccount, *, tag: str, file_id: str | None, custom_id: str, rows: int, since_s: float
    ) -> BatchStatus | None:
        for row in _rows(await self._ask(account, "batches")):
            if file_id is not None and row.get("input_file_id") == file_id:
                status = status_of(self._batch(row, account))
                if not status.is_queue_full:
                    return status
        return None

    async def status(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        return status_of(await self._one(account, batch_id))

    async def cancel(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        with about(batch_id, witness_of(account)):
            answer = await self._ask(account, f"batches/{quote(batch_id, safe='')}/cancel", method="POST")
        status = status_of(self._batch(answer, account))
        # Until it is cancelled, Together calls it in progress.
        return status if status.state.is_terminal else replace(status, state=BatchState.CANCELLING)

    async def results(self, account: BatchAccount, batch_id: str) -> AsyncGenerator[BatchResult, None]:
        batch = await self._one(account, batch_id)
        facts = Facts(witness_of(account, batch.model_id or ""), self._clock)
        with about(batch_id, facts.witness):
            for file_id in (batch.output_file_id, batch.error_file_id):
                if file_id is None:
                    continue
                path = f"files/{quote(file_id, safe='')}/content"
                async with aclosing(fetch_lines(self._connections, asked(account), path, LARGE, self._clock)) as lines:
                    async for line in lines:
                        yield read_result(line, account, facts)

    async def _one(self, account: BatchAccount, batch_id: str) -> _Batch:
        with about(batch_id, witness_of(account)):
            answer = await self._ask(account, f"batches/{quote(batch_id, safe='')}")
        return self._batch(answer, account)

    async def _ask(self, account: BatchAccount, path: str, **options: Any) -> Any:
        witness_of(account).check_key()
        answer, _ = await fetch(self._connections, asked(account), path, deadlines=SMALL, clock=self._clock, **options)
        return answer

    def _batch(self, answer: Any, account: BatchAccount) -> _Batch:
        if isinstance(answer, dict) and isinstance(answer.get("job"), dict):
            answer = answer["job"]
        try:
            return msgspec.convert(answer, _Batch)
        except msgspec.ValidationError as exc:
            witness = witness_of(account)
            raise MalformedResponse(f"{witness.place.host} sent what is no batch: {exc}", **witness.details()) from exc


class _Form:
    """A multipart body with one file, sent as it is made."""

    def __init__(self, fields: dict[str, str], name: str, file: LinesFile) -> None:
        boundary = uuid4().hex
        head = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        ]
        head.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quote(name)}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        )
        self._head = "".join(head).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._file = file
        self.headers = {
            "content-type": f"multipart/form-data; boundary={boundary}",
            "content-length": str(len(self._head) + file.size + len(self._tail)),
        }

    async def content(self) -> AsyncIterator[bytes]:
        yield self._head
        async for piece in pieces(self._file):
            yield piece
        yield self._tail


def _rows(answer: Any) -> list[dict[str, Any]]:
    """A list, bare or under `data`: Together has both."""
    rows = answer.get("data") if isinstance(answer, dict) else answer
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def status_of(batch: _Batch) -> BatchStatus:
    problem = " ".join((batch.error or "").split())
    return BatchStatus(
        id=batch.id,
        state=STATES.get(batch.status.lower(), BatchState.IN_PROGRESS),
        # A percentage is all that it says, and not of what.
        counts=BatchCounts(),
        created_s=_epoch_s(batch.created_at),
        ended_s=_epoch_s(batch.completed_at),
        expires_s=_epoch_s(batch.job_deadline),
        problem=problem,
        raw_state=batch.status,
        # It has no codes, but OpenAI's words.
        is_queue_full=batch.status.lower() == "failed" and "enqueued token limit" in problem.lower(),
    )


def _epoch_s(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
