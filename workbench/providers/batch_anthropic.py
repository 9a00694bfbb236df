"""Anthropic's Message Batches over our own connections: the rows travel with the request that creates the batch.

There are no files, no metadata and no counts before the end, so a batch that was created without our hearing of it can
be told by its results alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from workbench.core.clock import Clock
from workbench.core.decoding import NOT_JSON
from workbench.core.errors import (
    BadRequest,
    BatchNotFound,
    Conflict,
    MalformedResponse,
)
from workbench.providers.anthropic import anthropic_body
from workbench.providers.anthropic_decoder import AnthropicDecoder
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
from workbench.providers.batch_rows import (
    CLOCKS_APART_S,
    LARGE,
    PIECE_BYTES,
    SMALL,
    about,
    asked,
    call_of,
    encoded,
    not_run,
    result_of,
    witness_of,
)
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.dialogue import Facts
from workbench.providers.fetching import fetch, fetch_lines
from workbench.providers.fitting import fit
from workbench.providers.http import Connections

_PATH: Final = "messages/batches"
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_KEPT_S: Final = 29 * 86_400.0
"""From creation; after that the results are archived and nobody can read them."""


class _Counts(msgspec.Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _Batch(msgspec.Struct):
    id: str
    processing_status: str
    request_counts: _Counts = msgspec.field(default_factory=_Counts)
    created_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_initiated_at: datetime | None = None
    results_url: str | None = None


class _Outcome(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct):
    custom_id: str
    result: _Outcome


_decode_line: Final = msgspec.json.Decoder(_Line).decode


class AnthropicBatches:
    """Batches at Anthropic."""

    limits = BatchLimits(rows=100_000, body_bytes=256_000_000, row_bytes=32_000_000)

    def __init__(self, connections: Connections, clock: Clock, memory: ParameterMemory) -> None:
        self._connections = connections
        self._clock = clock
        self._memory = memory

    def encode(self, account: BatchAccount, model: str, row: BatchRow) -> EncodedRow:
        if not _NAME.fullmatch(row.custom_id):
            raise BadRequest(
                f"Row {row.custom_id[:80]!r}: Anthropic takes ids of 1 to 64 letters, digits, hyphens and underscores.",
                **witness_of(account, model).details(),
            )
        call = call_of(account, model, row)
        fitted = fit(call.spec, model, row.params, self._memory.refused(call.route))
        body, placed = anthropic_body(call, fitted.body)
        line = encoded({"custom_id": row.custom_id, "params": body}, witness_of(account, model))
        return EncodedRow(row.custom_id, line, fitted.notes + placed)

    async def upload(self, account: BatchAccount, name: str, lines: Sequence[bytes]) -> None:
        """There are no files: `create` carries the rows."""

    async def find_upload(self, account: BatchAccount, name: str) -> None:
        """There are no files."""

    async def create(
        self, account: BatchAccount, model: str, *, tag: str, file_id: str | None, lines: Sequence[bytes]
    ) -> BatchStatus:
        witness_of(account).check_key()
        answer, _ = await fetch(
            self._connections, asked(account, model), _PATH, content=_body(lines), deadlines=LARGE, clock=self._clock
        )
        return status_of(self._batch(answer, account))

    async def find_batch(
        self, account: BatchAccount, *, tag: str, file_id: str | None, custom_id: str, rows: int, since_s: float
    ) -> BatchStatus | None:
        unsaid: str | None = None
        async with aclosing(self._batches(account, since_s - CLOCKS_APART_S)) as batches:
            async for batch in batches:
                if status_of(batch).counts.total != rows:
                    continue
                if batch.ended_at is None:
                    unsaid = batch.id
                elif await self._holds(account, batch.id, custom_id):
                    return status_of(batch)
        if unsaid is not None:
            raise Conflict(
                f"{account.spec.title} has a batch of {rows:,} rows under way ({unsaid}); which, it says at its end.",
                **witness_of(account).details(hint="It will be looked at again; nothing is sent twice meanwhile."),
            )
        return None

    async def status(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        return status_of(await self._one(account, batch_id))

    async def cancel(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        return status_of(await self._one(account, batch_id, "/cancel", method="POST"))

    async def results(self, account: BatchAccount, batch_id: str) -> AsyncGenerator[BatchResult, None]:
        witness = witness_of(account)
        path = f"{_PATH}/{_segment(batch_id)}/results"
        with about(batch_id, witness):
            async with aclosing(fetch_lines(self._connections, asked(account), path, LARGE, self._clock)) as lines:
                async for line in lines:
                    yield _result(line, Facts(witness, self._clock))

    async def _one(
        self, account: BatchAccount, batch_id: str, action: str = "", *, method: str | None = None
    ) -> _Batch:
        witness = witness_of(account)
        witness.check_key()
        path = f"{_PATH}/{_segment(batch_id)}{action}"
        with about(batch_id, witness):
            answer, _ = await fetch(
                self._connections, asked(account), path, method=method, deadlines=SMALL, clock=self._clock
            )
        return self._batch(answer, account)

    async def _batches(self, account: BatchAccount, since_s: float) -> AsyncGenerator[_Batch, None]:
        """Newest first, none that is older."""
        after = ""
        while True:
            answer, _ = await fetch(
                self._connections, asked(account), f"{_PATH}?limit=100{after}", deadlines=SMALL, clock=self._clock
            )
            page = answer if isinstance(answer, dict) else {}
            for row in page.get("data") or ():
                batch = self._batch(row, account)
                if batch.created_at is not None and batch.created_at.timestamp() < since_s:
                    return
                yield batch
            if not page.get("has_more") or not page.get("last_id"):
                return
            after = f"&after_id={page['last_id']}"

    async def _holds(self, account: BatchAccount, batch_id: str, custom_id: str) -> bool:
        try:
            async with aclosing(self.results(account, batch_id)) as results:
                async for result in results:
                    if result.custom_id == custom_id:
                        return True
        except BatchNotFound:
            return False  # deleted meanwhile, and nothing that could be found again
        return False

    def _batch(self, answer: Any, account: BatchAccount) -> _Batch:
        try:
            return msgspec.convert(answer, _Batch)
        except msgspec.ValidationError as exc:
            witness = witness_of(account)
            raise MalformedResponse(f"{witness.place.host} sent what is no batch: {exc}", **witness.details()) from exc


async def _body(lines: Sequence[bytes]) -> AsyncIterator[bytes]:
    """The request's body, in pieces that are made as they are sent."""
    piece = bytearray(b'{"requests":[')
    for number, line in enumerate(lines):
        if number:
            piece += b","
        piece += line
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
            await asyncio.sleep(0)
    yield bytes(piece) + b"]}"


def _segment(batch_id: str) -> str:
    """An id as part of a path; whatever a person typed must not lead elsewhere."""
    return quote(batch_id, safe="")


def _state(batch: _Batch) -> BatchState:
    counts = batch.request_counts
    match batch.processing_status:
        case "canceling":
            return BatchState.CANCELLING
        case "ended" if batch.cancel_initiated_at is not None and counts.canceled:
            return BatchState.CANCELLED
        case "ended" if counts.expired:
            return BatchState.EXPIRED
        case "ended":
            return BatchState.COMPLETED
        case _:
            return BatchState.IN_PROGRESS


def status_of(batch: _Batch) -> BatchStatus:
    counts = batch.request_counts
    failed = counts.errored + counts.canceled + counts.expired
    created_s = _epoch_s(batch.created_at)
    return BatchStatus(
        id=batch.id,
        state=_state(batch),
        counts=BatchCounts(counts.processing + counts.succeeded + failed, counts.succeeded, failed),
        created_s=created_s,
        ended_s=_epoch_s(batch.ended_at),
        expires_s=_epoch_s(batch.expires_at),
        results_until_s=None if created_s is None else created_s + _KEPT_S,
        raw_state=batch.processing_status,
    )


def _epoch_s(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _result(line: bytes, facts: Facts) -> BatchResult:
    try:
        said = _decode_line(line)
    except NOT_JSON as exc:
        raise facts.malformed(line) from exc
    outcome = said.result
    match outcome.type:
        case "succeeded":
            return result_of(said.custom_id, bytes(outcome.message), AnthropicDecoder(facts), facts)
        case "errored":
            error = facts.witness.failed_inside(msgspec.json.decode(outcome.error), facts.headers, facts.clock.wall())
            return BatchResult(said.custom_id, error=error, request_id=error.request_id)
        case _:
            return BatchResult(
                said.custom_id,
                error=not_run(facts.witness, outcome.type, outcome.type, expired=outcome.type == "expired"),
            )
